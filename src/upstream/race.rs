//! Connecting to whichever address answers first (RFC 8305 section 5).

#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::addresses::Address;
use super::health::Health;

/// Tries the addresses in this order, each a `head_start` after the one before it, or at once when
/// one has failed. Who has failed, or was overtaken, is reported.
///
/// The first one is not reported when this is dropped before its end: whoever drops it does that.
pub(super) async fn race<T, F>(
    order: &[Arc<Address>],
    health: &Health,
    head_start: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<(SocketAddr, T)>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = order.iter();
    let mut running = Running { first: order.first(), addresses: Vec::new(), health };
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = waiting.next() {
            running.addresses.push(address);
            let attempt = connect(address.at);
            attempts.push(async move { (address, attempt.await) });
        }
        let ended = match waiting.len() {
            0 => attempts.next().await,
            _ => match tokio::time::timeout(head_start, attempts.next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            },
        };
        match ended {
            Some((winner, Ok(connection))) => {
                running.end_with(winner);
                return Ok((winner.at, connection));
            }
            Some((address, Err(cause))) => {
                running.fail(address, &cause);
                failure = cause;
            }
            None => return Err(failure),
        }
    }
}

/// Addresses that have not answered yet, in the order in which they were tried.
struct Running<'a> {
    first: Option<&'a Arc<Address>>,
    addresses: Vec<&'a Arc<Address>>,
    health: &'a Health,
}

impl Running<'_> {
    fn fail(&mut self, address: &Arc<Address>, cause: &io::Error) {
        self.addresses.retain(|one| !Arc::ptr_eq(one, address));
        self.health.failed(address, cause);
    }

    /// Those before the winner had a longer time than it; of those after it, nothing is known.
    fn end_with(&mut self, winner: &Arc<Address>) {
        let running = std::mem::take(&mut self.addresses);
        for overtaken in running.into_iter().take_while(|one| !Arc::ptr_eq(one, winner)) {
            self.health.failed(overtaken, &"another address answered first, though tried later");
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let is_first = |one: &Arc<Address>| self.first.is_some_and(|first| Arc::ptr_eq(first, one));
        for silent in self.addresses.iter().filter(|one| !is_first(one)) {
            self.health.failed(silent, &"no answer in time");
        }
    }
}
