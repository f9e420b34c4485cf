//! The real Redis (or Valkey), in memory only.

use std::process::Command;
use std::sync::Mutex;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::process::{Process, free_port, tool};

#[derive(Debug)]
pub struct Redis {
    port: u16,
    folder: TempDir,
    process: Mutex<Option<Process>>,
}

impl Redis {
    pub async fn start() -> Self {
        let redis = Self::not_started();
        redis.up().await;
        redis
    }

    /// Has a port, but nobody listens there.
    pub fn not_started() -> Self {
        Self { port: free_port(), folder: TempDir::new().unwrap(), process: Mutex::new(None) }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Empty, on the same port as before.
    pub async fn up(&self) {
        let port = self.port.to_string();
        let mut command = Command::new(tool("redis-server"));
        command.env_clear().current_dir(self.folder.path()).args([
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--maxmemory-policy",
            "noeviction",
        ]);
        let process = Process::spawn("redis-server", &mut command);
        process.ready(async || self.command("PING").await.is_some_and(|a| a == "+PONG")).await;
        *self.process.lock().unwrap() = Some(process);
    }

    pub fn down(&self) {
        self.process.lock().unwrap().take();
    }

    /// Accepts connections and says nothing.
    pub fn freeze(&self) {
        self.process.lock().unwrap().as_ref().unwrap().signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.process.lock().unwrap().as_ref().unwrap().signal(Signal::SIGCONT);
    }

    /// The first line of the answer to an inline command, without its line end.
    pub async fn command(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n") {
            if stream.read_buf(&mut answer).await.ok()? == 0 {
                return None;
            }
        }
        Some(String::from_utf8_lossy(&answer).lines().next()?.to_owned())
    }
}
