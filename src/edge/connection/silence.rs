//! Waits that have been too long.

use std::io;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Connection;
use crate::clock::timer_now;
use crate::edge::patience::{Awaited, Overdue};
use crate::edge::refused::HeadFault;

/// How much longer a client is waited for whose kernel-side progress cannot be told.
const UNTOLD: u32 = 8;

impl Connection {
    pub(super) fn read_patience(&self) -> Duration {
        match self.awaited() {
            Awaited::Request => self.patience.keepalive,
            Awaited::Head => self.patience.head,
            Awaited::Body => self.patience.read,
            Awaited::Answer => Duration::from_millis(self.answer_millis.load(Ordering::Relaxed)),
            Awaited::Tunnel => self.patience.websocket,
        }
    }

    /// Nothing to read: ready when the wait has been too long.
    pub(super) fn poll_read_overdue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(self.has_progressed.get_mut()) {
            self.read_due = timer_now() + self.read_patience();
        }
        let due = self.lease.get_mut().map_or(self.read_due, |lease| lease.bound(self.read_due));
        ready!(self.timer.poll(due, cx));
        let overdue = match self.awaited() {
            Awaited::Tunnel if self.is_over() => {
                // The next poll begins to end it.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // As if the client had closed it.
            Awaited::Request => return Poll::Ready(Ok(())),
            Awaited::Head => {
                self.refuse_head(HeadFault::Slow, cx);
                Overdue::Head
            }
            Awaited::Body => Overdue::Body,
            Awaited::Answer => Overdue::Answer,
            Awaited::Tunnel => Overdue::Tunnel,
        };
        Poll::Ready(Err(overdue.into()))
    }

    /// A socket is writable only once a third of its buffer has become free, which takes a slow
    /// client longer than one may wait: this tells that it does take something. `None` on kernels
    /// that tell it in another form than Pingora reads (before Linux 6.2).
    fn acknowledged(&self) -> Option<u64> {
        let Some(socket) = self.stream.get_socket_digest() else { return Some(0) };
        socket.tcp_info().map(|info| info.tcpi_bytes_acked)
    }

    /// What becomes of `written`: an error when the client has not taken anything for too long.
    pub(super) fn mind_write<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_due = None;
            return written;
        }
        let patience = match self.awaited() {
            Awaited::Tunnel => self.patience.websocket,
            _ => self.patience.write,
        };
        loop {
            let Some(due) = self.write_due else {
                self.taken = self.acknowledged();
                let factor = if self.taken.is_none() { UNTOLD } else { 1 };
                self.write_due = Some(timer_now() + patience.saturating_mul(factor));
                continue;
            };
            let bound = self.lease.get_mut().map_or(due, |lease| lease.bound(due));
            ready!(self.timer.poll(bound, cx));
            if self.lease.get().is_some_and(|lease| lease.is_given_up()) {
                return Poll::Ready(Err(Overdue::Token.into()));
            }
            if bound >= due && self.acknowledged() == self.taken {
                return Poll::Ready(Err(Overdue::Reading.into()));
            }
            self.write_due = None;
        }
    }
}
