//! Heads that are read no further.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::time::Duration;

use tokio::io::AsyncWrite;

use super::Connection;
use crate::clock::timer_now;
use crate::edge::peer::ip_of;
use crate::edge::refused::{HeadFault, RefusedHead};

impl Connection {
    /// Tells a client why its head is not read to the end. There is no request yet to answer in full,
    /// and whoever does not take the answer has the connection closed all the same.
    pub(super) fn refuse_head(&mut self, fault: HeadFault, cx: &mut Context<'_>) {
        if std::mem::replace(&mut self.is_refused, true) {
            return;
        }
        let socket = self.stream.get_socket_digest();
        let head = RefusedHead {
            fault,
            client: ip_of(socket.as_ref().and_then(|socket| socket.peer_addr())),
            received: self.arrivals.bytes(),
            took: self.head_took(),
        };
        let answer = self.refusals.refuse(&head);
        let stream = Pin::new(&mut self.stream);
        if stream.poll_write(cx, &answer).is_ready() {
            let _ = Pin::new(&mut self.stream).poll_flush(cx);
        }
    }

    /// How long a head has been coming, as far as anybody had to wait for it.
    fn head_took(&self) -> Duration {
        let has_waited = !self.has_progressed.load(Ordering::Relaxed);
        let began = self.read_due.checked_sub(self.read_patience()).filter(|_| has_waited);
        began.map_or(Duration::ZERO, |began| timer_now().saturating_duration_since(began))
    }
}
