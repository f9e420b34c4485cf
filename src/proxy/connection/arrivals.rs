//! What has come of a request, and what has come behind it.
//!
//! A client may send its next request before the last one is answered (RFC 9112 section 9.3.2). Pingora
//! drops what it has read behind a request, with the connection; and while it waits for an upstream, it
//! takes a single further byte for a fault of the client's. So it gets to see nothing of the next request
//! before the last one is answered, and what it has seen already is known here.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::ReadBuf;

/// How a chunked body ends whose last chunk is as short as can be and brings no trailers.
const LAST_CHUNK: &[u8; 7] = b"\r\n0\r\n\r\n";

/// The bytes of one request, as far as they have been handed on.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    bytes: AtomicUsize,
    last: [u8; LAST_CHUNK.len()],
    is_whole: AtomicBool,
    /// The beginning of the next request.
    early: Vec<u8>,
}

impl Arrivals {
    /// A request begins.
    pub(super) fn begin(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.end_of_request(false);
    }

    /// Whether what comes from here on belongs to the next one.
    pub(super) fn end_of_request(&self, is_whole: bool) {
        self.is_whole.store(is_whole, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn count(&mut self, bytes: &[u8]) {
        *self.bytes.get_mut() += bytes.len();
        let kept = self.last.len().saturating_sub(bytes.len());
        self.last.rotate_right(kept);
        let new = bytes.get(bytes.len().saturating_sub(self.last.len())..).unwrap_or_default();
        if let Some(last) = self.last.get_mut(kept..) {
            last.copy_from_slice(new);
        }
    }

    /// Whether it ended with a last chunk; if more has come, it has not, unless that was chunked too.
    pub(super) fn end_with_last_chunk(&self) -> bool {
        self.last == *LAST_CHUNK
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

    #[test]
    fn the_last_bytes_are_known_however_they_come() {
        let text = b"POST / HTTP/1.1\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        for size in 1..=text.len() {
            let mut arrivals = Arrivals::default();
            let mut so_far = Vec::new();
            for part in text.chunks(size) {
                assert!(!arrivals.end_with_last_chunk());
                arrivals.count(part);
                so_far.extend_from_slice(part);
                assert!(so_far.ends_with(arrivals.last.trim_ascii_start()) || so_far.len() < 7);
            }
            assert_eq!(arrivals.bytes(), text.len());
            assert!(arrivals.end_with_last_chunk(), "{size}");
            arrivals.count(b"G");
            assert!(!arrivals.end_with_last_chunk());
        }
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
