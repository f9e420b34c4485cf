//! The operators' listener: probes, metrics, the rules in force, reload.
//!
//! Probes and metrics are open; what reveals or changes needs the token unless the listener is on
//! loopback and none is configured.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::json;

use crate::gate::Gate;
use crate::metrics::{EXPOSITION, Metrics};
use crate::reload::Reload;
use crate::rules::KnownHosts;
use crate::secret::Secret;
use crate::status::Status;

/// Everything that the endpoints tell of.
pub struct Admin {
    /// For the rules in force.
    pub gate: Arc<Gate>,
    /// For the probes.
    pub status: Arc<Status>,
    /// For the scrape.
    pub metrics: Arc<Metrics>,
    /// For a reload on demand.
    pub reload: Arc<Reload>,
    /// What opens the guarded endpoints.
    pub token: Option<Secret>,
    /// Under which it may be called.
    pub hosts: KnownHosts,
}

impl Admin {
    fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Vec<u8>> {
        if let Some(refusal) = self.refuse_page(method, headers) {
            return refusal;
        }
        match (method, path) {
            (&Method::GET | &Method::HEAD, "/livez") => text(StatusCode::OK, "OK"),
            (&Method::GET | &Method::HEAD, "/readyz") => self.ready(),
            (&Method::GET | &Method::HEAD, "/metrics") => self.metrics(),
            (_, "/rules" | "/reload") if !self.is_authorised(headers) => {
                text(StatusCode::UNAUTHORIZED, "a bearer token is required (admin.token)")
            }
            (&Method::GET, "/rules") => self.rules(),
            (&Method::POST, "/reload") => self.reload_now(),
            (_, "/livez" | "/readyz" | "/metrics" | "/rules" | "/reload") => {
                text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
            }
            _ => text(StatusCode::NOT_FOUND, "/livez /readyz /metrics /rules /reload"),
        }
    }

    /// An address is no login: pages in the browser of whoever may ask come from the same one.
    fn refuse_page(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Vec<u8>>> {
        if !self.hosts.are_asked_by(headers) {
            return Some(text(
                StatusCode::MISDIRECTED_REQUEST,
                "this host is unknown (admin.hosts)",
            ));
        }
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let is_ours =
            matches!(site, Some(b"same-origin" | b"none")) || !headers.contains_key(ORIGIN);
        if !matches!(*method, Method::GET | Method::HEAD) && !is_ours {
            return Some(text(StatusCode::FORBIDDEN, "pages of other origins change nothing here"));
        }
        None
    }

    fn is_authorised(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let sent = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let sent = sent.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
        verify_slices_are_equal(sent, token.expose().as_bytes()).is_ok()
    }

    fn ready(&self) -> Response<Vec<u8>> {
        // A broken rule file, an unknown model or an absent Redis does not take a replica out of
        // service: it serves what it can, and the details say so.
        let report = self.status.report();
        let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json_body(status, &report)
    }

    fn metrics(&self) -> Response<Vec<u8>> {
        match self.metrics.render() {
            Ok(body) => build(StatusCode::OK, EXPOSITION, body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    fn rules(&self) -> Response<Vec<u8>> {
        let policy = self.gate.policy();
        let rules: Vec<_> = policy.bound().iter().map(ToString::to_string).collect();
        json_body(StatusCode::OK, &json!({"version": policy.rules().version(), "rules": rules}))
    }

    fn reload_now(&self) -> Response<Vec<u8>> {
        match self.reload.from_file() {
            Ok(version) => json_body(StatusCode::OK, &json!({"version": version})),
            Err(error) => json_body(
                StatusCode::UNPROCESSABLE_ENTITY,
                &json!({"error": error.to_string().lines().collect::<Vec<_>>()}),
            ),
        }
    }
}

fn text(status: StatusCode, body: &str) -> Response<Vec<u8>> {
    build(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())
}

fn json_body(status: StatusCode, value: &impl serde::Serialize) -> Response<Vec<u8>> {
    build(status, "application/json", serde_json::to_vec_pretty(value).unwrap_or_default())
}

fn build(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The admin application behind Pingora's listener.
pub struct AdminApp(pub Arc<Admin>);

#[async_trait]
impl ServeHttp for AdminApp {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let header = session.req_header();
        let answer = self.0.answer(&header.method, header.uri.path(), &header.headers);
        // Nothing here takes a body; reading it away would let a client hold the connection.
        if !session.is_body_empty() {
            session.set_keepalive(None);
        }
        answer
    }
}
