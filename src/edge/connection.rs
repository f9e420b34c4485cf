//! A client's connection, and how long it may be silent.
//!
//! Pingora makes a timer for every wait, and has none for the time that a whole head may take
//! (pingora #447). A `Connection` has one timer, which is moved only when it goes off too early: on
//! a busy connection once in a while instead of several times per request. It also minds the
//! upstream's silence, since Pingora reads from the client while it waits for an answer; except
//! where it waits for an upstream to take a body, so that Pingora keeps its own timer there.

mod arrivals;
mod chunks;
mod ending;
mod frames;
mod head_lines;
mod lease;
mod refusing;
mod silence;
mod stream;
mod timer;

pub use chunks::FaultyChunk;

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pingora::protocols::Stream;
use pingora_proxy::Session;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::patience::{Awaited, Patience};
use super::refused::{HeadFault, RefuseHeads};
use crate::clock::{millis, timer_now};
use arrivals::Arrivals;
use lease::Lease;
use timer::Timer;

/// As a keep-alive time in seconds: for as long as the connection allows.
pub const PINGORA_WAITS: u64 = 0;

/// So many bytes of empty lines before a request are nothing; more are the beginning of a head.
const EMPTY_LINES: usize = 16;

/// A stream whose reads and writes end when nothing has happened for too long.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    patience: Patience,
    refusals: Arc<dyn RefuseHeads>,
    /// An [`Awaited`]. This and the next three are set from the proxy's hooks, which get at the
    /// stream through a shared reference but run in the task that polls it.
    awaited: AtomicU8,
    /// The upstream's time for the next part of its answer, in milliseconds.
    answer_millis: AtomicU64,
    /// Whether `read_due` is to be reckoned anew.
    has_progressed: AtomicBool,
    /// Of this request, or between the last one and it.
    arrivals: Arrivals,
    is_refused: bool,
    /// How long the tunnel lasts, where that is known.
    lease: OnceLock<Box<Lease>>,
    read_due: Instant,
    write_due: Option<Instant>,
    /// Bytes that the client had acknowledged when the wait for it to take more began.
    taken: Option<u64>,
    timer: Timer,
}

impl Connection {
    pub(super) fn new(stream: Stream, patience: Patience, refusals: Arc<dyn RefuseHeads>) -> Self {
        Self {
            stream,
            patience,
            refusals,
            awaited: AtomicU8::new(Awaited::Request as u8),
            answer_millis: AtomicU64::new(0),
            has_progressed: AtomicBool::new(true),
            arrivals: Arrivals::default(),
            is_refused: false,
            lease: OnceLock::new(),
            read_due: timer_now(),
            write_due: None,
            taken: None,
            timer: Timer::default(),
        }
    }

    /// The connection below a session.
    pub fn below(session: &Session) -> Option<&Self> {
        Self::of(session.as_downstream().stream()?)
    }

    /// The connection that `stream` is.
    pub fn of(stream: &Stream) -> Option<&Self> {
        (**stream).as_any().downcast_ref()
    }

    /// From now on, this is waited for.
    pub fn awaits(&self, awaited: Awaited) {
        self.awaited.store(awaited as u8, Ordering::Relaxed);
        match awaited {
            Awaited::Request => self.arrivals.begin(),
            Awaited::Tunnel => self.arrivals.end_of_request(false),
            Awaited::Head | Awaited::Body | Awaited::Answer => {}
        }
        self.progresses();
    }

    /// The request's head has come to its end.
    pub fn has_whole_head(&self, is_chunked: bool) {
        if is_chunked {
            self.arrivals.are_chunked();
        }
        self.awaits(Awaited::Body);
    }

    /// The request has come to its end, and is answered before anything else is looked at.
    pub fn has_whole_request(&self) {
        self.arrivals.end_of_request(true);
        self.awaits(Awaited::Answer);
    }

    /// Whether more has been read than a request of `bytes`, or than a whole one in chunks.
    pub fn has_read_beyond(&self, bytes: usize) -> bool {
        self.arrivals.are_beyond(bytes)
    }

    /// Whether the body is to be in chunks, and what has come of it is not.
    pub fn has_faulty_chunk(&self) -> bool {
        self.arrivals.are_faulty()
    }

    /// The upstream may be silent for `patience` while it answers.
    pub fn answer_within(&self, patience: Duration) {
        self.answer_millis.store(millis(patience), Ordering::Relaxed);
    }

    /// How long an upstream may be silent altogether. While it takes nothing of a body or a tunnel,
    /// Pingora does not read from the client, and nothing here would notice.
    pub fn at_the_latest(&self, is_handshake: bool) -> Duration {
        // Whoever has a client or an upstream to blame comes first.
        const LATER: Duration = Duration::from_secs(1);
        let client = if is_handshake { self.patience.websocket } else { self.patience.read };
        client + LATER + Duration::from_millis(self.answer_millis.load(Ordering::Relaxed))
    }

    /// Something has happened: the wait begins anew.
    pub fn progresses(&self) {
        self.has_progressed.store(true, Ordering::Relaxed);
    }

    fn awaited(&self) -> Awaited {
        match self.awaited.load(Ordering::Relaxed) {
            0 => Awaited::Request,
            1 => Awaited::Head,
            2 => Awaited::Body,
            3 => Awaited::Answer,
            _ => Awaited::Tunnel,
        }
    }

    fn has_read(&mut self, bytes: &[u8]) {
        match self.awaited() {
            Awaited::Request => {
                self.arrivals.count_first(bytes);
                // RFC 9112 section 2.2.
                let is_empty = bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
                if !is_empty || self.arrivals.bytes() > EMPTY_LINES {
                    self.awaits(Awaited::Head);
                }
            }
            // It has to be whole in time, however many parts it comes in.
            Awaited::Head => self.arrivals.count_head(bytes),
            Awaited::Body | Awaited::Answer => {
                self.arrivals.count(bytes);
                self.progresses();
            }
            Awaited::Tunnel => {
                self.arrivals.count(bytes);
                self.follow_client(bytes);
                self.progresses();
            }
        }
    }

    /// Whether there is no request yet.
    fn is_before_request(&self) -> bool {
        matches!(self.awaited(), Awaited::Request | Awaited::Head)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_over() {
            return this.poll_read_ending(cx, buf);
        }
        let is_too_large = this.arrivals.bytes() > this.patience.head_bytes;
        if is_too_large && this.awaited() == Awaited::Head {
            this.refuse_head(HeadFault::TooLarge, cx);
            return Poll::Ready(Err(io::Error::other("the head is too large")));
        }
        let before = buf.filled().len();
        let read = if this.arrivals.has_early() {
            this.arrivals.release(buf);
            // Nothing more is read before the first of it is wanted.
            if buf.filled().len() > before { Poll::Ready(Ok(())) } else { Poll::Pending }
        } else {
            Pin::new(&mut this.stream).poll_read(cx, buf)
        };
        if read.is_pending() || this.arrivals.hold(buf, before) {
            return this.poll_read_overdue(cx);
        }
        this.has_read(buf.filled().get(before..).unwrap_or_default());
        if this.has_faulty_chunk() { Poll::Ready(Err(FaultyChunk.into())) } else { read }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_before_request() {
            // Pingora answers by itself, without a hook, what it cannot parse.
            this.refuse_head(HeadFault::behind(buf, this.arrivals.head_lines()), cx);
            return Poll::Ready(Ok(buf.len()));
        }
        if this.lease.get().is_some() {
            return this.poll_write_leased(cx, buf);
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.mind_write(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_before_request() || self.lease.get().is_some() {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return self.poll_write(cx, first.map_or(&[], |buf| buf));
        }
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.mind_write(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.mind_write(flushed, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_settle(cx));
        let closed = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.mind_write(closed, cx)
    }
}

#[cfg(test)]
mod tests;
