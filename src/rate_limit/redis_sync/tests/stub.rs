//! A stand-in for Redis that answers what no real one would.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(super) struct Stub {
    port: u16,
    script: Arc<Script>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Script {
    /// By command, in place of what Redis answers; `None` hangs up.
    answers: Mutex<HashMap<&'static str, Option<Vec<u8>>>>,
    millis: AtomicU64,
}

impl Stub {
    /// Alone with whoever calls, and nothing stored.
    pub(super) async fn at(millis: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Script { millis: AtomicU64::new(millis), ..Script::default() });
        let shared = Arc::clone(&script);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { port, script, server }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(super) fn set_time(&self, millis: u64) {
        self.script.millis.store(millis, Ordering::SeqCst);
    }

    pub(super) fn answer(&self, command: &'static str, bytes: Option<&[u8]>) {
        self.script.answers.lock().insert(command, bytes.map(<[u8]>::to_vec));
    }

    pub(super) fn answer_well(&self) {
        self.script.answers.lock().clear();
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(stream: TcpStream, script: Arc<Script>) {
    let mut stream = BufReader::new(stream);
    while let Some(command) = next_command(&mut stream).await {
        let Some(answer) = script.answer_to(&command) else { return };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// The first word of an array of bulk strings.
async fn next_command(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let words = length(stream).await?;
    let mut first = None;
    for _ in 0..words {
        let mut word = vec![0; length(stream).await? + 2];
        stream.read_exact(&mut word).await.ok()?;
        let word = String::from_utf8_lossy(&word).trim_end().to_owned();
        first.get_or_insert(word);
    }
    first
}

async fn length(stream: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.get(1..)?.trim_end().parse().ok()
}

impl Script {
    fn answer_to(&self, command: &str) -> Option<Vec<u8>> {
        if let Some(answer) = self.answers.lock().get(command) {
            return answer.clone();
        }
        let millis = self.millis.load(Ordering::SeqCst);
        let bulk = |text: String| format!("${}\r\n{text}\r\n", text.len());
        let answer = match command {
            "TIME" => {
                let seconds = bulk((millis / 1_000).to_string());
                format!("*2\r\n{seconds}{}", bulk((millis % 1_000 * 1_000).to_string()))
            }
            "CONFIG" => "*2\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n".to_owned(),
            "CLIENT" => "+OK\r\n".to_owned(),
            "HSCAN" => "*2\r\n$1\r\n0\r\n*0\r\n".to_owned(),
            _ => ":1\r\n".to_owned(),
        };
        Some(answer.into_bytes())
    }
}
