//! A `redis-server` of the test's own.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use redis::FromRedisValue;

pub(super) struct Server {
    port: u16,
    running: Option<Running>,
}

struct Running {
    process: Child,
    /// Kept open: the server would otherwise write its log into a closed pipe.
    _log: BufReader<ChildStdout>,
}

impl Server {
    /// On a port that was free a moment ago; another one when somebody was faster.
    pub(super) fn start() -> Self {
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(running) = Running::on(port) {
                return Self { port, running: Some(running) };
            }
        }
        panic!("no redis-server came up");
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(super) fn stop(&mut self) {
        self.running = None;
    }

    /// On the same port and empty.
    pub(super) fn restart(&mut self) {
        self.stop();
        self.running = (0..10).find_map(|_| Running::on(self.port));
        assert!(self.running.is_some(), "redis-server did not come up again");
    }

    pub(super) fn signal(&self, name: &str) {
        let pid = self.running.as_ref().unwrap().process.id().to_string();
        let sent = Command::new("kill").arg(format!("-{name}")).arg(pid).status();
        assert!(sent.unwrap().success());
    }

    pub(super) async fn command(&self, words: &[&str]) {
        let () = self.query(words).await;
    }

    pub(super) async fn query<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(word);
        });
        command.query_async(&mut connection).await.unwrap()
    }

    pub(super) async fn keys(&self) -> Vec<String> {
        self.query(&["KEYS", "*"]).await
    }

    /// Bytes of all its answers.
    pub(super) async fn sent(&self) -> u64 {
        let stats: String = self.query(&["INFO", "stats"]).await;
        let sent = stats.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
        sent.unwrap().parse().unwrap()
    }

    /// What all replicas together told about a key.
    pub(super) async fn total(&self, fingerprint: [u8; 16]) -> u64 {
        let suffix = format!("{:032x}", u128::from_be_bytes(fingerprint));
        let mut total = 0;
        for key in self.keys().await.iter().filter(|key| key.ends_with(&suffix)) {
            let counts: Vec<u64> = self.query(&["HVALS", key]).await;
            total += counts.iter().sum::<u64>();
        }
        total
    }
}

impl Running {
    fn on(port: u16) -> Option<Self> {
        let mut process = Command::new(program())
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is needed on PATH or in AUTH_GATEWAY_TOOLS");
        let mut log = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        while log.read_line(&mut line).unwrap() > 0 {
            if line.contains("Ready to accept connections") {
                return Some(Self { process, _log: log });
            }
            line.clear();
        }
        process.wait().unwrap();
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "where tools lie is not configuration")]
fn program() -> PathBuf {
    let tools = std::env::var_os("AUTH_GATEWAY_TOOLS").map(PathBuf::from);
    let own = tools.map(|folder| folder.join("redis-server")).filter(|path| path.is_file());
    own.unwrap_or_else(|| PathBuf::from("redis-server"))
}
