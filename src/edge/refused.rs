//! Heads that are read no further, and who is asked what to answer.

use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

/// Headers that Pingora has room for; with more of them it cannot tell what a head is.
const MAX_HEADERS: usize = 256;

/// What is wrong with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadFault {
    /// Its end has not come in time.
    Slow,
    /// It has too many bytes or lines.
    TooLarge,
    /// It is no head of HTTP.
    Unreadable,
    /// It asks for a tunnel to somewhere (CONNECT), of which Pingora tells nobody.
    Connect,
}

/// A head that is not read any further.
#[derive(Debug)]
pub struct RefusedHead {
    /// Why not.
    pub fault: HeadFault,
    /// The address at the other end of the connection.
    pub client: IpAddr,
    /// Bytes that have come of it.
    pub received: usize,
    /// How long it has been coming.
    pub took: Duration,
}

/// Who accounts for heads that never become requests, for whoever serves those that do.
pub trait RefuseHeads: Debug + Send + Sync {
    /// Counts and tells a refusal; gives the whole answer, after which the connection is closed.
    fn refuse(&self, head: &RefusedHead) -> Bytes;
}

impl HeadFault {
    /// Why Pingora gives this answer to a head of so many lines, its request line among them.
    pub(super) fn behind(answer: &[u8], lines: usize) -> Self {
        let status = answer.strip_prefix(b"HTTP/1.1 ").unwrap_or_default();
        if status.starts_with(b"405") {
            return Self::Connect;
        }
        if lines > 1 + MAX_HEADERS { Self::TooLarge } else { Self::Unreadable }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pingora_s_answers_are_taken_for_what_they_mean() {
        for (answer, lines, fault) in [
            ("HTTP/1.1 400 Bad Request\r\n", 3, HeadFault::Unreadable),
            ("HTTP/1.1 400 Bad Request\r\n", 257, HeadFault::Unreadable),
            ("HTTP/1.1 400 Bad Request\r\n", 258, HeadFault::TooLarge),
            ("HTTP/1.1 405 Method Not Allowed\r\n", 300, HeadFault::Connect),
            ("", 0, HeadFault::Unreadable),
        ] {
            assert_eq!(HeadFault::behind(answer.as_bytes(), lines), fault, "{answer} {lines}");
        }
    }
}
