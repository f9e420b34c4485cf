//! A WebSocket that lasts as long as its caller's token.
//!
//! When the time is over, both ends are told so with a close frame (RFC 6455 section 5.5.1), each as
//! soon as the frame is over that is on its way to it; from then on nothing more is passed on. The
//! client has a few seconds to answer, whatever it does; a frame that is not over by then is cut.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::frames::Frames;
use crate::clock::timer_now;
use crate::edge::patience::Overdue;

/// Status 1008, a policy is violated.
const TO_CLIENT: &[u8] = b"\x88\x0f\x03\xf0token expired";

/// The same as clients have to send it. A mask keeps pages from choosing bytes on the wire (section
/// 10.3); these are nobody's choice, so that it may be zero.
const TO_UPSTREAM: &[u8] = b"\x88\x8f\0\0\0\0\x03\xf0token expired";

/// How long the end of a WebSocket may take.
const ENDING: Duration = Duration::from_secs(5);

/// How long a WebSocket may last, and how far its end has come.
#[derive(Debug)]
pub(super) struct Lease {
    ends: Instant,
    /// Known once the end has begun.
    gives_up: Option<Instant>,
    to_client: Way,
    to_upstream: Way,
}

/// One direction.
#[derive(Debug)]
struct Way {
    frames: Frames,
    /// Whether the frames are known; without them there is no place for one of ours.
    is_followed: bool,
    farewell: &'static [u8],
    /// Whether it is the farewell's turn. What is left of it shrinks as it is sent.
    is_over: bool,
}

impl Way {
    const fn new(frames: Frames, is_followed: bool, farewell: &'static [u8]) -> Self {
        Self { frames, is_followed, farewell, is_over: false }
    }

    /// What is left of the farewell, if it may stand here.
    fn farewell(&mut self) -> Option<&'static [u8]> {
        if !self.is_over && self.is_followed && self.frames.is_between() {
            self.is_over = true;
            if self.frames.has_closed() {
                self.farewell = &[];
            }
        }
        Some(self.farewell).filter(|left| self.is_over && !left.is_empty())
    }

    fn has_said(&mut self, bytes: usize) {
        self.farewell = self.farewell.get(bytes..).unwrap_or_default();
    }

    /// How many of these bytes may still pass.
    fn rest_of_frame(&self, bytes: &[u8]) -> usize {
        if self.is_over || !self.is_followed { 0 } else { self.frames.rest_of_frame(bytes) }
    }
}

impl Lease {
    /// For so long from now on. Without `is_in_step`, bytes of the client have gone by unseen.
    pub(super) fn lasting(time: Duration, is_in_step: bool) -> Option<Self> {
        Some(Self {
            ends: timer_now().checked_add(time)?,
            gives_up: None,
            to_client: Way::new(Frames::behind_a_head(), true, TO_CLIENT),
            to_upstream: Way::new(Frames::at_once(), is_in_step, TO_UPSTREAM),
        })
    }

    /// Whether the end has come.
    pub(super) fn is_over(&mut self) -> bool {
        if self.gives_up.is_none() {
            let now = timer_now();
            self.gives_up = (now >= self.ends).then(|| now + ENDING);
        }
        self.gives_up.is_some()
    }

    /// When a wait that may last until `due` has to be looked at again.
    pub(super) fn bound(&mut self, due: Instant) -> Instant {
        if self.is_over() {
            self.gives_up.map_or(due, |end| end.min(due))
        } else {
            due.min(self.ends)
        }
    }

    /// Whether nobody is waited for any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.gives_up.is_some_and(|end| timer_now() >= end)
    }

    /// Whether the end has been seen to have come.
    pub(super) fn has_ended(&self) -> bool {
        self.gives_up.is_some()
    }

    /// When the end may take no longer, if it has come.
    pub(super) fn latest_end(&mut self) -> Instant {
        self.bound(timer_now() + ENDING)
    }

    /// These bytes are on their way to the upstream.
    pub(super) fn follow_client(&mut self, bytes: &[u8]) {
        self.to_upstream.frames.pass(bytes);
    }

    /// Whether the client has been told, and has answered or does not any more.
    fn is_settled(&self) -> bool {
        let has_answered = self.to_upstream.is_followed && self.to_upstream.frames.has_closed();
        (self.to_client.farewell.is_empty() && has_answered) || self.is_given_up()
    }

    /// Tells the client, as soon as it can be.
    pub(super) fn poll_tell_client(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(left) = self.to_client.farewell() {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.to_client.has_said(written);
        }
        Pin::new(stream).poll_flush(cx)
    }

    /// Reads what the client says at the end: what is left of a frame goes on, all else is dropped.
    pub(super) fn poll_read(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(left) = self.to_upstream.farewell() {
                let said = left.get(..buf.remaining()).unwrap_or(left);
                buf.put_slice(said);
                self.to_upstream.has_said(said.len());
                return Poll::Ready(Ok(()));
            }
            if self.is_settled() {
                break;
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut *stream).poll_read(cx, buf))?;
            let read = buf.filled().get(before..).unwrap_or_default();
            if read.is_empty() {
                break;
            }
            let way = &mut self.to_upstream;
            let passes = way.rest_of_frame(read);
            let (rest, next) = read.split_at_checked(passes).unwrap_or_default();
            way.frames.pass(rest);
            // Now, since the client's next frame would hide that one is over.
            way.farewell();
            way.frames.pass(next);
            buf.set_filled(before + passes);
            if passes > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Ready(Err(Overdue::Token.into()))
    }

    /// Writes to the client what may still pass, and what it is told.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut passes = bytes.len();
        if self.is_over() {
            let told = self.poll_tell_client(stream, cx);
            passes = self.to_client.rest_of_frame(bytes);
            if self.to_client.is_over {
                return told.map_ok(|()| bytes.len());
            }
        }
        let bytes = bytes.get(..passes).unwrap_or(bytes);
        let written = Pin::new(stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = &written {
            self.to_client.frames.pass(bytes.get(..*written).unwrap_or_default());
        }
        written
    }

    /// Reads away what the client still says, once it has been told.
    pub(super) fn poll_settle(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<()> {
        if self.gives_up.is_none() || !self.to_client.farewell.is_empty() {
            return Poll::Ready(());
        }
        let mut scratch = [0; 512];
        // There is nobody left to whom this could go.
        self.to_upstream.is_over = true;
        self.to_upstream.farewell = &[];
        let mut buf = ReadBuf::new(&mut scratch);
        self.poll_read(stream, cx, &mut buf).map(drop)
    }
}

#[cfg(test)]
mod tests;
