//! A tunnel that ends with its caller's token.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;

use super::Connection;
use super::lease::Lease;
use crate::edge::patience::Overdue;

impl Connection {
    /// The tunnel that begins now ends after `time`. The request's head has so many bytes.
    pub fn ends_after(&self, time: Duration, head_bytes: usize) {
        let is_in_step = !self.has_read_beyond(head_bytes);
        if let Some(lease) = Lease::lasting(time, is_in_step) {
            self.lease.get_or_init(|| Box::new(lease));
        }
    }

    /// Whether it has outlasted its caller's token.
    pub fn has_expired(&self) -> bool {
        self.lease.get().is_some_and(|lease| lease.has_ended())
    }

    pub(super) fn is_over(&mut self) -> bool {
        self.lease.get_mut().is_some_and(|lease| lease.is_over())
    }

    /// These bytes are on their way to the upstream.
    pub(super) fn follow_client(&mut self, bytes: &[u8]) {
        if let Some(lease) = self.lease.get_mut() {
            lease.follow_client(bytes);
        }
    }

    /// As `poll_read`, when the time is over.
    pub(super) fn poll_read_ending(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(lease) = self.lease.get_mut() else { return Poll::Pending };
        // Whatever the client does not take now is tried again at its next sign of life.
        if let Poll::Ready(Err(error)) = lease.poll_tell_client(&mut self.stream, cx) {
            return Poll::Ready(Err(error));
        }
        let read = lease.poll_read(&mut self.stream, cx, buf);
        if read.is_ready() {
            return read;
        }
        ready!(self.timer.poll(lease.latest_end(), cx));
        Poll::Ready(Err(Overdue::Token.into()))
    }

    /// As `poll_write`, on a tunnel that ends with a token.
    pub(super) fn poll_write_leased(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(lease) = self.lease.get_mut() else { return Poll::Pending };
        let written = lease.poll_write(&mut self.stream, cx, bytes);
        self.mind_write(written, cx)
    }

    /// Before the connection is closed at the end of a lease: a client whose bytes nobody has read
    /// would be told by a reset, which takes the close frame away from it.
    pub(super) fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(lease) = self.lease.get_mut() else { return Poll::Ready(()) };
        match lease.poll_settle(&mut self.stream, cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => self.timer.poll(lease.latest_end(), cx),
        }
    }
}
