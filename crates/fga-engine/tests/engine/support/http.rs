//! A client for servers on loopback; it keeps its connections.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

#[derive(Clone)]
pub struct Http(Client<HttpConnector, Body>);

impl Http {
    pub fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// Status and body, or that nobody answered.
    pub async fn send(&self, method: &str, url: &str, body: String) -> Option<(u16, String)> {
        let mut request = Request::builder().method(method).uri(url);
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let response = self.0.request(request.body(Body::from(body)).unwrap()).await.ok()?;
        let status = response.status().as_u16();
        let body = to_bytes(Body::new(response.into_body()), usize::MAX).await.ok()?;
        Some((status, String::from_utf8(body.into()).unwrap()))
    }
}
