//! An HTTP server on loopback that answers what it is told to.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub(in crate::authn) struct Site {
    pub(in crate::authn) url: String,
    state: Arc<SiteState>,
    server: tokio::task::JoinHandle<()>,
}

struct SiteState {
    answers: Mutex<HashMap<String, Answer>>,
    requests: Mutex<Vec<Seen>>,
    /// Every answer takes one permit.
    gate: Semaphore,
}

/// Status, headers and body.
pub(in crate::authn) type Answer = (u16, Vec<(&'static str, &'static str)>, String);

#[derive(Clone)]
pub(in crate::authn) struct Seen {
    pub(in crate::authn) path: String,
    pub(in crate::authn) headers: HeaderMap,
    pub(in crate::authn) body: String,
}

impl Site {
    pub(in crate::authn) async fn start() -> Self {
        let state = Arc::new(SiteState {
            answers: Mutex::default(),
            requests: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&state));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serve");
        });
        Self { url, state, server }
    }

    /// A site that is an issuer with this key set.
    pub(in crate::authn) async fn issuer(jwks: &str) -> Self {
        let site = Self::start().await;
        site.discovery(&json!({}));
        site.on("/keys", 200, jwks);
        site
    }

    /// Sets the discovery document, some of its members replaced.
    pub(in crate::authn) fn discovery(&self, changes: &Value) {
        let mut document = json!({
            "issuer": self.url,
            "jwks_uri": format!("{}/keys", self.url),
            "introspection_endpoint": format!("{}/introspect", self.url),
        });
        for (name, value) in changes.as_object().expect("object") {
            document[name] = value.clone();
        }
        self.on("/.well-known/openid-configuration", 200, &document.to_string());
    }

    /// Answers with JSON, or with what is to pass for it.
    pub(in crate::authn) fn on(&self, path: &str, status: u16, body: &str) {
        self.says(path, status, &[("content-type", "application/json")], body);
    }

    /// Answers with these headers alone. A `content-length` that is too long cuts the body off.
    pub(in crate::authn) fn says(
        &self,
        path: &str,
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &str,
    ) {
        let answer = (status, headers.to_vec(), body.to_owned());
        self.state.answers.lock().insert(path.to_owned(), answer);
    }

    /// Holds all answers back until [`Site::open`].
    pub(in crate::authn) fn close(&self) {
        self.state.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(in crate::authn) fn open(&self) {
        self.state.gate.add_permits(Semaphore::MAX_PERMITS);
    }

    pub(in crate::authn) fn requests(&self, path: &str) -> Vec<Seen> {
        let requests = self.state.requests.lock();
        requests.iter().filter(|seen| seen.path == path).cloned().collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(site): State<Arc<SiteState>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("body");
    let path = parts.uri.path().to_owned();
    site.requests.lock().push(Seen {
        path: path.clone(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let permit = site.gate.acquire().await.expect("gate");
    drop(permit);
    let found = site.answers.lock().get(&path).cloned();
    let (status, headers, body) = found.unwrap_or((404, Vec::new(), String::new()));
    // A stream, so that the length is what the headers say.
    let body = futures::stream::iter([Ok::<_, std::io::Error>(body)]);
    let mut response = Response::new(Body::from_stream(body));
    *response.status_mut() = http::StatusCode::from_u16(status).expect("status");
    for (name, value) in headers {
        response.headers_mut().append(name, http::HeaderValue::from_static(value));
    }
    if (300..400).contains(&status) {
        let target = http::HeaderValue::from_static("/elsewhere");
        response.headers_mut().insert(http::header::LOCATION, target);
    }
    response
}
