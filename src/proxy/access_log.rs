//! One JSON line per request, written by hand: 50 ns where a serialiser needs 190.

mod timestamp;

use std::cell::RefCell;
use std::net::IpAddr;

use http::{HeaderValue, Method};

use super::forwarded::address_text;
use crate::authz::DecisionSource;
use crate::clock::Now;
use crate::telemetry::Sink;

thread_local! {
    static LINE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(1024));
}

/// Longer values are cut in the log.
const MAX_VALUE: usize = 1024;

/// What is told about a request. The query is left out: tokens travel in queries.
#[derive(Debug)]
pub struct Line<'a> {
    /// When it arrived.
    pub started: Now,
    /// Microseconds until it was done.
    pub duration_micros: u64,
    /// Its id.
    pub request_id: &'a HeaderValue,
    /// The client's address.
    pub client: IpAddr,
    /// Method.
    pub method: &'a Method,
    /// Host as forwarded, or as sent.
    pub host: &'a [u8],
    /// Path as matched and forwarded; as sent when it was refused before that.
    pub path: &'a str,
    /// Status sent; 0 when the client was gone.
    pub status: u16,
    /// Body bytes sent.
    pub bytes_sent: usize,
    /// Body bytes received.
    pub bytes_received: usize,
    /// The rule's id.
    pub rule: &'a str,
    /// `admitted`, `local` or a reason.
    pub outcome: &'static str,
    /// The caller, when one was verified.
    pub user: Option<&'a str>,
    /// Where the decision came from.
    pub decision: Option<&'static str>,
    /// The upstream.
    pub upstream: Option<&'a str>,
    /// What went wrong.
    pub error: Option<&'a str>,
}

impl Line<'_> {
    /// Writes the line; consumes it, so that a request is told once.
    pub fn record(self, sink: &Sink) {
        LINE.with_borrow_mut(|out| {
            out.clear();
            self.write(out);
            sink.append(out);
        });
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"log\":\"access\",\"timestamp\":\"");
        timestamp::write(out, self.started.unix_millis());
        out.push(b'"');
        text(out, "request_id", self.request_id.as_bytes());
        out.extend_from_slice(b",\"client\":\"");
        out.extend_from_slice(address_text(self.client).as_bytes());
        out.push(b'"');
        text(out, "method", self.method.as_str().as_bytes());
        text(out, "host", self.host);
        text(out, "path", self.path.as_bytes());
        integer(out, "status", u64::from(self.status));
        word(out, "outcome", self.outcome);
        text(out, "rule", self.rule.as_bytes());
        if let Some(user) = self.user {
            text(out, "user", user.as_bytes());
        }
        if let Some(decision) = self.decision {
            word(out, "decision", decision);
        }
        if let Some(upstream) = self.upstream {
            text(out, "upstream", upstream.as_bytes());
        }
        integer(out, "duration_us", self.duration_micros);
        integer(out, "sent", self.bytes_sent as u64);
        integer(out, "received", self.bytes_received as u64);
        if let Some(error) = self.error {
            text(out, "error", error.as_bytes());
        }
        out.extend_from_slice(b"}\n");
    }
}

/// How the log calls the place that a decision came from.
pub const fn decision_word(source: DecisionSource) -> &'static str {
    match source {
        DecisionSource::Cache => "cache",
        DecisionSource::Fresh => "fresh",
        DecisionSource::Stale => "stale",
        DecisionSource::Embedded => "embedded",
        DecisionSource::Nobody => "unavailable",
    }
}

fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn integer(out: &mut Vec<u8>, key: &'static str, value: u64) {
    open(out, key);
    number(out, value);
}

/// A word of ours: nothing in it is to be escaped.
fn word(out: &mut Vec<u8>, key: &'static str, value: &'static str) {
    open(out, key);
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

fn text(out: &mut Vec<u8>, key: &'static str, value: &[u8]) {
    open(out, key);
    out.push(b'"');
    escape(out, value.get(..MAX_VALUE).unwrap_or(value));
    out.push(b'"');
}

fn open(out: &mut Vec<u8>, key: &'static str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

/// JSON string escapes; everything outside printable ASCII becomes `\u00XX` byte by byte, so that
/// no reader of the log can be made to see a line break or a terminal sequence.
fn escape(out: &mut Vec<u8>, value: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    if all_plain(value) {
        out.extend_from_slice(value);
        return;
    }
    for byte in value {
        if is_plain(*byte) {
            out.push(*byte);
        } else {
            let digit = |n: u8| HEX.get(usize::from(n)).copied().unwrap_or(b'0');
            out.extend_from_slice(b"\\u00");
            out.push(digit(byte >> 4));
            out.push(digit(byte & 15));
        }
    }
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && !matches!(byte, b'"' | b'\\')
}

/// Whether nothing is to be escaped, eight bytes at a time.
fn all_plain(value: &[u8]) -> bool {
    let (chunks, rest) = value.as_chunks();
    let mut last = [b' '; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    chunks.iter().chain([&last]).all(|chunk| are_plain(u64::from_le_bytes(*chunk)))
}

/// [`is_plain`] of eight bytes in one word. A subtraction borrows from the next byte only where it
/// has found something, so the answer for all of them together is exact.
const fn are_plain(word: u64) -> bool {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    const TOP: u64 = 0x80 * EACH;
    const fn below(word: u64, limit: u64) -> u64 {
        word.wrapping_sub(limit * EACH) & !word
    }
    let found = word
        | below(word, 0x20)
        | below(word ^ (0x7f * EACH), 1)
        | below(word ^ (b'"' as u64 * EACH), 1)
        | below(word ^ (b'\\' as u64 * EACH), 1);
    found & TOP == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'a>(path: &'a str, id: &'a HeaderValue) -> Line<'a> {
        Line {
            started: Now::at(1_700_000_000_123, 0),
            duration_micros: 42,
            request_id: id,
            client: "192.0.2.255".parse().unwrap(),
            method: &Method::GET,
            host: b"a.example",
            path,
            status: 200,
            bytes_sent: 5,
            bytes_received: 0,
            rule: "get /api/*path",
            outcome: "admitted",
            user: Some("user:ann"),
            decision: Some("cache"),
            upstream: Some("app"),
            error: None,
        }
    }

    #[test]
    fn whatever_a_client_sends_stays_one_valid_line() {
        let id = HeaderValue::from_static("id-1");
        for path in ["/a", "/\u{1b}[31m", "/\"},{\"x\":\"", "/\r\n", "/\u{2028}\\", "/\u{0}"] {
            let mut out = Vec::new();
            line(path, &id).write(&mut out);
            assert_eq!(out.split(|b| *b == b'\n').count(), 2, "{path:?}");
            assert!(out.is_ascii());
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(value["client"], "192.0.2.255");
            assert_eq!(value["status"], 200);
            assert_eq!(value["timestamp"], "2023-11-14T22:13:20.123Z");
            assert_eq!(value["request_id"], "id-1");
        }
    }

    #[test]
    fn a_byte_to_escape_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for position in 0..17 {
                for filling in [b' ', b'!', b'#', b'[', b']', b'a', b'~'] {
                    let mut value = [filling; 17];
                    value[position] = byte;
                    assert_eq!(all_plain(&value), is_plain(byte), "{byte} at {position}");
                }
            }
        }
        assert!(all_plain(b""));
    }
}
