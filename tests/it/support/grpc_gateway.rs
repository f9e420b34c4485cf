//! A real application behind grpc-gateway: `tests/apps/grpc-gateway`.

use std::path::PathBuf;
use std::process::Command;

use super::process::{Process, accepts, free_port, root, tool};

/// Answers every request with what it was told, over HTTP and in the metadata of its gRPC call.
#[derive(Debug)]
pub struct GrpcGateway {
    port: u16,
    _process: Process,
}

impl GrpcGateway {
    pub async fn start() -> Self {
        let port = free_port();
        let process = Process::spawn(
            "grpc-gateway-app",
            Command::new(program()).arg(format!("127.0.0.1:{port}")),
        );
        process.ready(async || accepts(port).await).await;
        Self { port, _process: process }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// The program of these sources, not of another clone's.
fn program() -> PathBuf {
    let sources = root().join("tests/apps/grpc-gateway");
    let script = format!("cat {}/* | sha256sum | cut -c1-12", sources.display());
    let hash = Command::new("sh").args(["-c", &script]).output().unwrap().stdout;
    tool(&format!("grpc-gateway-app-{}", String::from_utf8(hash).unwrap().trim()))
}
