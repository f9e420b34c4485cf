//! Answers that the gateway makes itself: problem documents (RFC 9457), preflights, local endpoints.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use pingora_proxy::Session;

use super::context::Context;
use super::headers::X_REQUEST_ID;
use super::keepalive::admit_losses;
use super::parts::response_of;
use super::{Proxy, cors, limit_headers};
use crate::gate::rejection::Advice;
use crate::gate::{Reason, Standings};

/// An unread request body up to this size is read away so that the connection can be kept.
const MAX_DRAINED: u64 = 64 * 1024;

/// An answer of our own.
#[derive(Debug)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers beside those that every answer has.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Reply {
    /// A reply with a body of `content_type`.
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { status, headers, body: body.into() }
    }

    /// A reply without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::with_capacity(12), body: Bytes::new() }
    }

    /// The problem document of a refusal.
    pub fn problem(reason: Reason, advice: &Advice, request_id: &HeaderValue) -> Self {
        let body = document(reason, advice, request_id.to_str().ok());
        let mut reply = Self::new(status(reason), "application/problem+json", body);
        let headers = &mut reply.headers;
        if reason.status() == 401 {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge(reason)));
        }
        if let Some(seconds) = reason.retry_after_secs() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Advice::Allow(methods) = advice
            && let Ok(value) = HeaderValue::from_str(methods)
        {
            headers.insert(ALLOW, value);
        }
        reply
    }
}

impl Proxy {
    /// The problem document of a refusal, with the headers that tell how limits stand.
    pub(super) fn problem(
        &self,
        reason: Reason,
        advice: &Advice,
        standings: &Standings,
        ctx: &Context,
    ) -> Reply {
        let mut reply = Reply::problem(reason, advice, &ctx.request_id);
        limit_headers::write(&self.limiter, standings, &mut reply.headers);
        reply
    }

    /// Writes an answer of our own with the headers that all of them carry.
    pub(super) async fn answer(
        &self,
        session: &mut Session,
        ctx: &Context,
        mut reply: Reply,
    ) -> pingora::Result<()> {
        secure(&mut reply.headers);
        self.cors.apply(ctx.origin.as_ref(), &mut reply.headers);
        cors::add_vary_origin(&mut reply.headers);
        reply.headers.insert(X_REQUEST_ID, ctx.request_id.clone());
        // Whatever goes wrong is the client's end of the line.
        write(session, reply).await.map_err(pingora::Error::into_down)
    }
}

/// The status that goes with a reason.
fn status(reason: Reason) -> StatusCode {
    StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The body of a refusal (RFC 9457).
fn document(reason: Reason, advice: &Advice, request_id: Option<&str>) -> String {
    let mut document = serde_json::json!({
        "type": format!("urn:auth-gateway:{}", reason.word()),
        "title": reason.title(),
        "status": reason.status(),
        "reason": reason.word(),
    });
    if let Some(members) = document.as_object_mut() {
        if let Advice::Detail(detail) = advice {
            members.insert("detail".to_owned(), (*detail).into());
        }
        if let Some(id) = request_id {
            members.insert("request_id".to_owned(), id.into());
        }
    }
    document.to_string()
}

/// RFC 6750 section 3.1: no error code when there was no token at all.
const fn challenge(reason: Reason) -> &'static str {
    match reason {
        Reason::MissingToken => "Bearer realm=\"auth-gateway\"",
        _ => "Bearer realm=\"auth-gateway\", error=\"invalid_token\"",
    }
}

/// Headers of every answer that the gateway makes itself.
pub fn secure(headers: &mut HeaderMap) {
    let fixed = [
        (CACHE_CONTROL, "no-store"),
        (http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (http::header::X_FRAME_OPTIONS, "DENY"),
        (http::header::REFERRER_POLICY, "no-referrer"),
        (http::header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Writes `reply`; the connection stays open unless the request's body is too long to read away, or
/// something has come behind it.
async fn write(session: &mut Session, reply: Reply) -> pingora::Result<()> {
    settle_body(session).await;
    admit_losses(session)?;
    let Reply { status, mut headers, body } = reply;
    if status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let header = response_of(status, headers);
    let has_body = !body.is_empty();
    session.write_response_header(Box::new(header), !has_body).await?;
    if has_body {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

async fn settle_body(session: &mut Session) {
    if session.is_body_empty() || session.is_http2() {
        return;
    }
    let announced = session
        .get_header(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    let expects = session.get_header(http::header::EXPECT).is_some();
    if expects || announced.is_none_or(|length| length > MAX_DRAINED) {
        session.set_keepalive(None);
        return;
    }
    session.set_total_drain_timeout(Some(Duration::from_millis(200)));
    if session.drain_request_body().await.is_err() {
        session.set_keepalive(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_a_problem_document_that_gives_nothing_away() {
        let id = HeaderValue::from_static("id-1");
        for reason in Reason::ALL {
            let reply = Reply::problem(*reason, &Advice::None, &id);
            assert_eq!(reply.status.as_u16(), reason.status());
            let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            let mut keys: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
            keys.sort();
            assert_eq!(keys, ["reason", "request_id", "status", "title", "type"]);
            assert_eq!(body["reason"], reason.word());
            assert_eq!(reply.headers.contains_key(WWW_AUTHENTICATE), reason.status() == 401);
            assert_eq!(reply.headers.contains_key(RETRY_AFTER), reason.status() == 503);
        }
    }

    #[test]
    fn a_refusal_may_say_what_its_reason_does_not() {
        let id = HeaderValue::from_static("id-1");
        let advice = Advice::Detail("the rule does not allow it");
        let reply = Reply::problem(Reason::BadPath, &advice, &id);
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["detail"], "the rule does not allow it");
        assert_eq!(body["reason"], "bad_path");
        assert!(!reply.headers.contains_key(ALLOW) && !reply.headers.contains_key(RETRY_AFTER));
    }
}
