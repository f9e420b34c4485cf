//! The real OpenFGA server, started for a test.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub struct OpenFga {
    process: Child,
    pub url: String,
    client: reqwest::Client,
}

impl Drop for OpenFga {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl OpenFga {
    /// `None` where no `openfga` is installed (`OPENFGA_BIN`, or in the path).
    pub async fn start() -> Option<Self> {
        let binary = std::env::var("OPENFGA_BIN").unwrap_or_else(|_| "openfga".to_owned());
        let http = format!("127.0.0.1:{}", free_port());
        let process = Command::new(binary)
            .args(["run", "--metrics-enabled=false", "--playground-enabled=false"])
            .args(["--log-level", "none", "--http-addr", &http])
            .args(["--grpc-addr", &format!("127.0.0.1:{}", free_port())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let server =
            Self { process, url: format!("http://{http}"), client: reqwest::Client::new() };
        let deadline = Instant::now() + Duration::from_secs(20);
        while server.client.get(format!("{}/healthz", server.url)).send().await.is_err() {
            assert!(Instant::now() < deadline, "openfga does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(server)
    }

    /// Status and JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.url)).body(body.to_string());
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
    }

    pub async fn create_store(&self) -> String {
        let (_, body) = self.post("/stores", &serde_json::json!({"name": "test"})).await;
        body["id"].as_str().unwrap().to_owned()
    }
}
