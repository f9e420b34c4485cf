//! A pass-through in front of OpenFGA: it counts calls, and fails on demand.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::process::free_port;

/// What happens to calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Open,
    /// Answered with this status instead.
    Status(u16),
    /// Answered with this status, content type and body instead.
    Answer(u16, &'static str, &'static str),
    /// Kept waiting until the passage changes.
    Hang,
}

/// One call that arrived.
#[derive(Clone, Debug)]
pub struct Call {
    pub path: String,
    pub authorization: Option<String>,
    /// `Null` when there was none.
    pub body: Value,
}

#[derive(Debug)]
struct Shared {
    target: String,
    client: reqwest::Client,
    calls: Mutex<Vec<Call>>,
    passage: watch::Sender<Passage>,
}

#[derive(Debug)]
pub struct Recorder {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Recorder {
    pub async fn start(target: &str) -> Self {
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            calls: Mutex::default(),
            passage: watch::Sender::new(Passage::Open),
        });
        let port = free_port();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url: format!("http://127.0.0.1:{port}"), shared, server }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn set(&self, passage: Passage) {
        self.shared.passage.send_replace(passage);
    }

    /// Calls whose path ends like this, so far.
    pub fn count(&self, suffix: &str) -> usize {
        self.calls().iter().filter(|call| call.path.ends_with(suffix)).count()
    }

    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let header = |name: &str| parts.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    shared.calls.lock().unwrap().push(Call {
        path: parts.uri.path().to_owned(),
        authorization: header("authorization"),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    });
    let mut passage = shared.passage.subscribe();
    let passage = *passage.wait_for(|p| *p != Passage::Hang).await.unwrap();
    if let Passage::Status(status) = passage {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    if let Passage::Answer(status, kind, body) = passage {
        return Response::builder()
            .status(status)
            .header("content-type", kind)
            .body(Body::from(body))
            .unwrap();
    }
    let url = format!("{}{}", shared.target, parts.uri);
    let mut request = shared.client.request(parts.method, url).body(body);
    for name in ["authorization", "content-type"] {
        if let Some(value) = parts.headers.get(name) {
            request = request.header(name, value);
        }
    }
    let Ok(answer) = request.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let mut response = Response::builder().status(answer.status());
    if let Some(kind) = answer.headers().get("content-type") {
        response = response.header("content-type", kind);
    }
    response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}
