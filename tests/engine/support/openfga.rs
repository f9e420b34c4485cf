//! The real OpenFGA server, started for a test.

use std::net::TcpListener;
use std::path::PathBuf;
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

/// Where `scripts/install-tools` puts it, or in the path.
fn binary() -> PathBuf {
    let from = |name| std::env::var_os(name).map(PathBuf::from);
    let folder = from("AUTH_GATEWAY_TOOLS").or_else(|| {
        let cache = from("XDG_CACHE_HOME").or_else(|| Some(from("HOME")?.join(".cache")));
        Some(cache?.join("auth-gateway-tools"))
    });
    let installed = folder.map(|folder| folder.join("bin/openfga"));
    installed.filter(|file| file.exists()).unwrap_or_else(|| "openfga".into())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl OpenFga {
    /// Starts one; a port that somebody else takes meanwhile is replaced by another.
    pub async fn start() -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for _ in 0..5 {
            let http = format!("127.0.0.1:{}", free_port());
            let process = Command::new(binary())
                .args(["run", "--metrics-enabled=false", "--playground-enabled=false"])
                .args(["--log-level", "none", "--http-addr", &http])
                .args(["--grpc-addr", &format!("127.0.0.1:{}", free_port())])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("openfga is installed by scripts/install-tools test");
            let url = format!("http://{http}");
            let mut server = Self { process, url, client: client.clone() };
            if server.is_up().await {
                return server;
            }
        }
        panic!("openfga does not start");
    }

    /// False when the process has ended.
    async fn is_up(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.client.get(format!("{}/healthz", self.url)).send().await.is_err() {
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
