//! The real Redis (or Valkey), in memory only.

use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

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

/// A pass-through in front of Redis whose answers to TIME are moved: what a failover to a server with
/// another clock looks like.
#[derive(Debug)]
pub struct MovedClock {
    port: u16,
    ahead_secs: Arc<AtomicI64>,
    server: JoinHandle<()>,
}

impl MovedClock {
    pub async fn before(redis: &Redis) -> Self {
        let target = redis.port;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ahead_secs = Arc::new(AtomicI64::new(0));
        let shared = Arc::clone(&ahead_secs);
        let server = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let redis = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                tokio::spawn(pass(client, redis, Arc::clone(&shared)));
            }
        });
        Self { port, ahead_secs, server }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn set_ahead(&self, secs: i64) {
        self.ahead_secs.store(secs, Ordering::SeqCst);
    }
}

impl Drop for MovedClock {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass(client: TcpStream, redis: TcpStream, ahead_secs: Arc<AtomicI64>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_redis, mut to_redis) = redis.into_split();
    let requests = async { tokio::io::copy(&mut from_client, &mut to_redis).await };
    let answers = async {
        let mut answer = Vec::new();
        while from_redis.read_buf(&mut answer).await? > 0 {
            move_time(&mut answer, ahead_secs.load(Ordering::SeqCst));
            to_client.write_all(&answer).await?;
            answer.clear();
        }
        std::io::Result::Ok(())
    };
    tokio::select! {
        _ = requests => {}
        _ = answers => {}
    }
}

/// The answer to TIME is the only one that begins with a text of ten digits; it comes alone.
fn move_time(answer: &mut [u8], by_secs: i64) {
    let Some(seconds) = answer.strip_prefix(b"*2\r\n$10\r\n") else { return };
    let seconds: i64 = std::str::from_utf8(&seconds[..10]).unwrap().parse().unwrap();
    answer[9..19].copy_from_slice((seconds + by_secs).to_string().as_bytes());
}
