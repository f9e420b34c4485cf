//! What a request has tried, and what it may still try.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Now;

/// A request that was sent, and of whose answer nothing came, is sent again so often at most.
const REPEATS: u8 = 2;

/// The attempts of one request.
#[derive(Debug, Default)]
pub struct Attempts {
    /// When it began to connect, where a failure leaves something to try.
    began: Option<Now>,
    /// Addresses to which no connection could be made.
    tried: Vec<SocketAddr>,
    /// The address to try next, once one has failed.
    next: Option<SocketAddr>,
    repeats: u8,
    is_answered: bool,
}

impl Attempts {
    /// A connection is to be made, or taken from the pool: the address that was chosen for it, if
    /// one was.
    pub(super) fn begin(&mut self, now: Now) -> Option<SocketAddr> {
        self.began.get_or_insert(now);
        self.next.take()
    }

    pub(super) fn tried(&self) -> &[SocketAddr] {
        &self.tried
    }

    /// No connection to `address` could be made. Whether `next` can be tried now.
    pub(super) fn miss(
        &mut self,
        address: SocketAddr,
        next: Option<SocketAddr>,
        (now, in_all): (Now, Duration),
    ) -> bool {
        self.tried.push(address);
        self.next = next
            .filter(|next| !self.tried.contains(next) && !self.time_left(now, in_all).is_zero());
        self.next.is_some()
    }

    /// How much is left of the time that connecting may take in all.
    pub(super) fn time_left(&self, now: Now, in_all: Duration) -> Duration {
        self.began.map_or(Duration::ZERO, |began| in_all.saturating_sub(now.since(began)))
    }

    /// Whether an attempt to connect has failed and another one follows.
    pub fn goes_on(&self) -> bool {
        self.next.is_some()
    }

    /// The head of an answer has come, an interim one too.
    pub fn hear(&mut self) {
        self.is_answered = true;
    }

    /// Whether the request, which was sent, may be sent once more; counts it as sent again.
    pub fn repeat(&mut self) -> bool {
        let may = !self.is_answered && self.repeats < REPEATS;
        if may {
            *self = Self { repeats: self.repeats + 1, ..Self::default() };
        }
        may
    }
}

/// What of the time that is `left` one attempt may take. TCP races on its own; a TLS handshake that
/// hangs leaves a quarter for the next address.
pub(super) fn allowance(left: Duration, is_tls: bool, has_others: bool) -> Duration {
    if is_tls && has_others { left / 4 * 3 } else { left }
}
