//! Heads that never become requests, and are answered, counted and told like requests all the same.
//!
//! Nothing of what the client sent is quoted: what cannot be parsed may hold credentials anywhere.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{HeaderValue, Method};
use pingora::http::ResponseHeader;
use pingora::protocols::http::date::get_cached_date;

use super::access_log::Line;
use super::headers::X_REQUEST_ID;
use super::respond::{self, Reply};
use super::{Proxy, cors, framing, request_id};
use crate::clock::SharedClock;
use crate::gate::Reason;
use crate::gate::rejection::Advice;
use crate::metrics::{Metrics, NO_RULE};
use crate::telemetry::Sink;

/// Headers that Pingora has room for; with more of them it cannot tell what a head is.
const MAX_HEADERS: usize = 256;

/// Where refused heads are counted and told.
#[derive(Debug)]
pub(super) struct HeadRefusals {
    metrics: Arc<Metrics>,
    access_log: Option<Sink>,
    clock: SharedClock,
}

/// A head that is not read any further.
#[derive(Debug)]
pub(super) struct RefusedHead {
    pub(super) reason: Reason,
    /// The address at the other end of the connection.
    pub(super) client: IpAddr,
    /// Bytes that have come of it.
    pub(super) received: usize,
    /// How long it has been coming.
    pub(super) took: Duration,
}

impl HeadRefusals {
    /// Lines go nowhere when the access log is off.
    pub(super) fn new(metrics: Arc<Metrics>, access_log: Option<Sink>, clock: SharedClock) -> Self {
        Self { metrics, access_log, clock }
    }

    /// Counts and tells a refusal; gives the whole answer, for want of a request.
    pub(super) fn refuse(&self, head: &RefusedHead) -> Bytes {
        let now = self.clock.now();
        let id = request_id::make(now);
        let reply = reply(head.reason, &id);
        let status = reply.status.as_u16();
        self.metrics.count_rejection(NO_RULE, head.reason.word());
        self.metrics.count_unruled(status);
        if let Some(sink) = &self.access_log {
            let line = Line {
                started: now,
                duration_micros: u64::try_from(head.took.as_micros()).unwrap_or(u64::MAX),
                request_id: &id,
                client: head.client,
                method: &unknown_method(),
                host: b"",
                path: "-",
                status,
                bytes_sent: reply.body.len(),
                bytes_received: head.received,
                rule: NO_RULE,
                outcome: head.reason.word(),
                user: None,
                decision: None,
                upstream: None,
                error: None,
            };
            line.record(sink);
        }
        written(reply)
    }
}

impl Proxy {
    /// Where the heads are counted and told that it never gets to see.
    pub(super) fn head_refusals(&self) -> HeadRefusals {
        HeadRefusals::new(
            Arc::clone(&self.metrics),
            self.access_log.clone(),
            Arc::clone(&self.clock),
        )
    }
}

/// Why Pingora gives this answer to a head of so many lines, its request line among them.
pub(super) fn reason_behind(answer: &[u8], lines: usize) -> Reason {
    let status = answer.strip_prefix(b"HTTP/1.1 ").unwrap_or_default();
    if status.starts_with(b"405") {
        // To CONNECT, of which no hook is told.
        return Reason::MethodNotAllowed;
    }
    if lines > 1 + MAX_HEADERS { Reason::HeadersTooLarge } else { Reason::BadRequest }
}

fn reply(reason: Reason, request_id: &HeaderValue) -> Reply {
    let advice = match reason {
        Reason::MethodNotAllowed => Advice::Allow(framing::ORDINARY_METHODS.into()),
        _ => Advice::None,
    };
    let mut reply = Reply::problem(reason, &advice, request_id);
    respond::secure(&mut reply.headers);
    cors::add_vary_origin(&mut reply.headers);
    reply.headers.insert(X_REQUEST_ID, request_id.clone());
    reply.headers.insert(DATE, get_cached_date());
    reply.headers.insert(CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
    reply.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

fn written(reply: Reply) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1024);
    bytes.put_slice(format!("HTTP/1.1 {}\r\n", reply.status).as_bytes());
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.headers = reply.headers;
    ResponseHeader::from(parts).header_to_h1_wire(&mut bytes);
    bytes.put_slice(b"\r\n");
    bytes.put_slice(&reply.body);
    bytes.freeze()
}

/// As nginx writes it.
fn unknown_method() -> Method {
    Method::from_bytes(b"-").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pingora_s_answers_are_taken_for_what_they_mean() {
        for (answer, lines, reason) in [
            ("HTTP/1.1 400 Bad Request\r\n", 3, Reason::BadRequest),
            ("HTTP/1.1 400 Bad Request\r\n", 257, Reason::BadRequest),
            ("HTTP/1.1 400 Bad Request\r\n", 258, Reason::HeadersTooLarge),
            ("HTTP/1.1 405 Method Not Allowed\r\n", 300, Reason::MethodNotAllowed),
            ("", 0, Reason::BadRequest),
        ] {
            assert_eq!(reason_behind(answer.as_bytes(), lines), reason, "{answer} {lines}");
        }
    }
}
