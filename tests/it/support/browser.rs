//! A real browser: Chromium without a window, and pages that report what they saw.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::http1::{read_head, read_request_body};
use super::process::{Process, tool};

/// How long a browser may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server with one page, whose script reports to it.
#[derive(Debug)]
pub struct Page {
    origin: String,
    reports: mpsc::UnboundedReceiver<String>,
    server: JoinHandle<()>,
}

impl Page {
    /// Serves a script that may call `report(text)`.
    pub fn serve(listener: TcpListener, script: &str) -> Self {
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let page = Arc::<str>::from(format!(
            "<!doctype html><script>\nconst report = text => fetch('/report', {{method: 'POST', body: text}});\n{script}\n</script>"
        ));
        let (told, reports) = mpsc::unbounded_channel();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&page), told.clone()));
            }
        });
        Self { origin, reports, server }
    }

    /// What the page reports next, while a browser shows it.
    pub async fn report(&mut self) -> String {
        let report = timeout(PATIENCE, self.reports.recv()).await;
        report.expect("the page reports").expect("the server runs")
    }

    /// Opens the page in a browser, which ends with the value.
    pub fn open(&self) -> Browser {
        let profile = TempDir::new().unwrap();
        let mut command = Command::new(tool("chromium"));
        command
            .arg("--headless")
            .args(["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-dev-shm-usage", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(&self.origin);
        Browser { _process: Process::spawn("chromium", &mut command), _profile: profile }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A running browser with a profile of its own.
#[derive(Debug)]
pub struct Browser {
    _process: Process,
    _profile: TempDir,
}

async fn answer(stream: TcpStream, page: Arc<str>, told: mpsc::UnboundedSender<String>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    while let Ok(Some(head)) = read_head(&mut reader).await {
        let mut body = Vec::new();
        if read_request_body(&mut reader, &head, |part| body.extend_from_slice(part)).await.is_err()
        {
            return;
        }
        let is_report = head.start.starts_with("POST /report ");
        if is_report {
            // Nobody listens once the story is over.
            let _ = told.send(String::from_utf8_lossy(&body).into_owned());
        }
        let shown = if head.start.starts_with("GET / ") { &*page } else { "" };
        let response = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{shown}",
            shown.len()
        );
        if writer.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}
