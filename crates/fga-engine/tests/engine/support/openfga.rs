//! The real OpenFGA server, started for a test.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::http::Http;
use serde_json::Value;

pub struct OpenFga {
    process: Child,
    pub url: String,
    http: Http,
}

impl Drop for OpenFga {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where `OPENFGA_BIN` says, or in the path.
fn binary() -> PathBuf {
    std::env::var_os("OPENFGA_BIN").map_or_else(|| "openfga".into(), PathBuf::from)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl OpenFga {
    /// Starts one; a port that somebody else takes meanwhile is replaced by another.
    pub async fn start() -> Self {
        for _ in 0..5 {
            let address = format!("127.0.0.1:{}", free_port());
            let process = Command::new(binary())
                .args(["run", "--metrics-enabled=false", "--playground-enabled=false"])
                .args(["--log-level", "none", "--http-addr", &address])
                .args(["--grpc-addr", &format!("127.0.0.1:{}", free_port())])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("OPENFGA_BIN names the server's program, or it is in the path");
            let url = format!("http://{address}");
            let mut server = Self { process, url, http: Http::new() };
            if server.is_up().await {
                return server;
            }
        }
        panic!("openfga does not start");
    }

    /// False when the process has ended.
    async fn is_up(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        let health = format!("{}/healthz", self.url);
        while self.http.send("GET", &health, String::new()).await.is_none() {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "openfga does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }

    /// Status and JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.url);
        let (status, body) = self.http.send("POST", &url, body.to_string()).await.unwrap();
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    pub async fn create_store(&self) -> String {
        let (_, body) = self.post("/stores", &serde_json::json!({"name": "test"})).await;
        body["id"].as_str().unwrap().to_owned()
    }
}
