//! Heads that never become requests, and are answered, counted and told like requests all the same.
//!
//! Nothing of what the client sent is quoted: what cannot be parsed may hold credentials anywhere.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{HeaderValue, Method};
use pingora::protocols::http::date::get_cached_date;

use super::access_log::Line;
use super::headers::X_REQUEST_ID;
use super::parts::response_of;
use super::respond::{self, Reply};
use super::{Proxy, cors, framing, request_id};
use crate::clock::SharedClock;
use crate::edge::{HeadFault, RefuseHeads, RefusedHead};
use crate::gate::Reason;
use crate::gate::rejection::Advice;
use crate::metrics::{Metrics, NO_RULE};
use crate::telemetry::Sink;

/// Where refused heads are counted and told.
#[derive(Debug)]
pub(super) struct HeadRefusals {
    metrics: Arc<Metrics>,
    access_log: Option<Sink>,
    clock: SharedClock,
}

impl HeadRefusals {
    /// Lines go nowhere when the access log is off.
    pub(super) fn new(metrics: Arc<Metrics>, access_log: Option<Sink>, clock: SharedClock) -> Self {
        Self { metrics, access_log, clock }
    }
}

impl RefuseHeads for HeadRefusals {
    fn refuse(&self, head: &RefusedHead) -> Bytes {
        let reason = reason_for(head.fault);
        let now = self.clock.now();
        let id = request_id::make(now);
        let reply = reply(reason, &id);
        let status = reply.status.as_u16();
        self.metrics.reject(None, reason.word());
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
                outcome: reason.word(),
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

const fn reason_for(fault: HeadFault) -> Reason {
    match fault {
        HeadFault::Slow => Reason::SlowRequest,
        HeadFault::TooLarge => Reason::HeadersTooLarge,
        HeadFault::Unreadable => Reason::BadRequest,
        HeadFault::Connect => Reason::MethodNotAllowed,
    }
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
    response_of(reply.status, reply.headers).header_to_h1_wire(&mut bytes);
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
    use std::time::Duration;

    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn every_refused_head_is_answered_in_full_and_counted() {
        for (fault, reason) in [
            (HeadFault::Slow, Reason::SlowRequest),
            (HeadFault::TooLarge, Reason::HeadersTooLarge),
            (HeadFault::Unreadable, Reason::BadRequest),
            (HeadFault::Connect, Reason::MethodNotAllowed),
        ] {
            let metrics = Arc::new(Metrics::new().unwrap());
            let refusals = HeadRefusals::new(Arc::clone(&metrics), None, Arc::new(SystemClock));
            let client = [192, 0, 2, 1].into();
            let head = RefusedHead { fault, client, received: 3, took: Duration::ZERO };
            let told = String::from_utf8(refusals.refuse(&head).to_vec()).unwrap();

            let (head, body) = told.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {} ", reason.status())), "{head}");
            assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
            let allows = head.to_ascii_lowercase().contains("\r\nallow: get, ");
            assert_eq!(allows, reason == Reason::MethodNotAllowed, "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["reason"], reason.word());
            assert_eq!(body["title"], reason.title());

            let counted = String::from_utf8(metrics.render().unwrap()).unwrap();
            let series = format!(r#"{{reason="{}",rule="none"}} 1"#, reason.word());
            assert!(counted.contains(&series), "{counted}");
            assert!(counted.contains(r#"requests_total{rule="none",status="4xx"} 1"#), "{counted}");
        }
    }
}
