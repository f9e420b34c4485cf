//! What has come of a request, and what has come behind it.
//!
//! A client may send its next request before the last one is answered (RFC 9112 section 9.3.2). Pingora
//! drops what it has read behind a request, with the connection; and while it waits for an upstream, it
//! takes a single further byte for a fault of the client's. So it gets to see nothing of the next request
//! before the last one is answered, and what it has seen already is known here.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::ReadBuf;

use super::chunks::Chunks;
use super::head_lines::HeadLines;

/// The bytes of one request, as far as they have been handed on.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    bytes: AtomicUsize,
    head: HeadLines,
    /// What stands behind the head, as if it were in chunks: whether it is, is known later.
    chunks: Chunks,
    is_chunked: AtomicBool,
    is_whole: AtomicBool,
    /// The beginning of the next request.
    early: Vec<u8>,
}

impl Arrivals {
    /// A request begins.
    pub(super) fn begin(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.is_chunked.store(false, Ordering::Relaxed);
        self.end_of_request(false);
    }

    /// The head says that the body is in chunks.
    pub(super) fn are_chunked(&self) {
        self.is_chunked.store(true, Ordering::Relaxed);
    }

    /// Whether what comes from here on belongs to the next one.
    pub(super) fn end_of_request(&self, is_whole: bool) {
        self.is_whole.store(is_whole, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Lines of the head that have begun.
    pub(super) fn head_lines(&self) -> usize {
        self.head.begun()
    }

    /// Nothing but empty lines has come before these.
    pub(super) fn count_first(&mut self, bytes: &[u8]) {
        self.head = HeadLines::default();
        self.chunks = Chunks::default();
        self.count_head(bytes);
    }

    /// Of the head, and perhaps of the body already.
    pub(super) fn count_head(&mut self, bytes: &[u8]) {
        *self.bytes.get_mut() += bytes.len();
        self.chunks.pass(self.head.count(bytes));
    }

    /// Behind the head.
    pub(super) fn count(&mut self, bytes: &[u8]) {
        *self.bytes.get_mut() += bytes.len();
        if *self.is_chunked.get_mut() {
            self.chunks.pass(bytes);
        }
    }

    /// Whether more has come than a request of `bytes`, or not all of one in chunks.
    pub(super) fn are_beyond(&self, bytes: usize) -> bool {
        if self.is_chunked.load(Ordering::Relaxed) {
            !self.chunks.are_over()
        } else {
            self.bytes() != bytes
        }
    }

    /// Whether the body is to be in chunks and is not.
    pub(super) fn are_faulty(&self) -> bool {
        self.is_chunked.load(Ordering::Relaxed) && self.chunks.are_faulty()
    }

    /// Takes back what has been read into `buf` after `before`, if it is too early for it.
    pub(super) fn hold(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> bool {
        let read = buf.filled().get(before..).unwrap_or_default();
        if !*self.is_whole.get_mut() || read.is_empty() {
            return false;
        }
        self.early.extend_from_slice(read);
        buf.set_filled(before);
        true
    }

    pub(super) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// Gives to `buf` what was held, unless it is still too early for it.
    pub(super) fn release(&mut self, buf: &mut ReadBuf<'_>) {
        if *self.is_whole.get_mut() {
            return;
        }
        let fits = buf.remaining().min(self.early.len());
        self.early.drain(..fits).for_each(|byte| buf.put_slice(&[byte]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"POST / HTTP/1.1\r\n\r\n";

    /// What has come of a request when its head and all of `body` have, in one piece or in two.
    fn arrived(body: &[u8], is_one: bool, is_chunked: bool) -> Arrivals {
        let mut arrivals = Arrivals::default();
        let (with_head, later) = if is_one { (body, &b""[..]) } else { (&b""[..], body) };
        arrivals.count_first(&[HEAD, with_head].concat());
        if is_chunked {
            arrivals.are_chunked();
        }
        arrivals.count(later);
        arrivals
    }

    #[test]
    fn the_end_of_chunks_is_known_however_they_come() {
        for is_one in [true, false] {
            let arrivals = arrived(b"3\r\nabc\r\n0\r\nX: a\r\n\r\n", is_one, true);
            assert!(!arrivals.are_beyond(0) && !arrivals.are_faulty());
            for body in [&b"0\r\n\r\nG"[..], b"0\r\n\r\n1\r\na\r\n0\r\n\r\n", b"5\r\n0\r\n\r\n"] {
                let arrivals = arrived(body, is_one, true);
                assert!(arrivals.are_beyond(0) && !arrivals.are_faulty());
            }
            assert!(arrived(b"3 \r\nabc\r\n", is_one, true).are_faulty());
        }
    }

    #[test]
    fn no_other_body_is_taken_for_chunks() {
        for is_one in [true, false] {
            let arrivals = arrived(b"abc", is_one, false);
            assert!(!arrivals.are_faulty() && !arrivals.are_beyond(HEAD.len() + 3));
            assert!(arrivals.are_beyond(HEAD.len()));
        }
        // Nor does one of them say anything of the next.
        let mut arrivals = arrived(b"?", true, true);
        assert!(arrivals.are_faulty());
        arrivals.begin();
        assert!(!arrivals.are_faulty());
        arrivals.count_first(HEAD);
        arrivals.are_chunked();
        arrivals.count(b"0\r\n\r\n");
        assert!(!arrivals.are_beyond(0));
    }

    #[test]
    fn what_is_early_is_held_until_the_next_request() {
        let mut arrivals = Arrivals::default();
        let mut space = [0; 8];
        let mut buf = ReadBuf::new(&mut space);
        buf.put_slice(b"body");
        assert!(!arrivals.hold(&mut buf, 0));
        arrivals.end_of_request(true);
        assert!(!arrivals.hold(&mut buf, 4));
        buf.put_slice(b"GET");
        assert!(arrivals.hold(&mut buf, 4));
        assert_eq!((buf.filled(), arrivals.has_early()), (&b"body"[..], true));
        arrivals.release(&mut buf);
        assert_eq!(buf.filled(), b"body");

        arrivals.begin();
        let mut one = [0; 1];
        let mut told = Vec::new();
        while arrivals.has_early() {
            let mut buf = ReadBuf::new(&mut one);
            arrivals.release(&mut buf);
            told.extend_from_slice(buf.filled());
        }
        assert_eq!(told, b"GET");
    }
}
