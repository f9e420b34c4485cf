//! SIGTERM: out of service first, then wait for the requests in flight, then stop.
//!
//! Pingora itself closes the listeners at once and then sleeps its whole grace period, needed or
//! not; so the waiting happens before Pingora hears of the signal.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::readiness::Readiness;
use crate::underway::Underway;

/// Listens for the signals that end the process.
pub(super) struct Drain {
    pub(super) readiness: Arc<Readiness>,
    pub(super) in_flight: Arc<Underway>,
    pub(super) delay: Duration,
    pub(super) timeout: Duration,
}

#[async_trait]
impl ShutdownSignalWatch for Drain {
    async fn recv(&self) -> ShutdownSignal {
        let Ok(mut signals) = Signals::listen() else {
            tracing::error!("signals cannot be received; only SIGKILL will end this process");
            return std::future::pending().await;
        };
        if signals.next().await == Wish::Now {
            return ShutdownSignal::FastShutdown;
        }
        tokio::select! {
            () = self.drain() => ShutdownSignal::GracefulTerminate,
            // A second one, whichever it is: whoever sends it has waited long enough.
            _ = signals.next() => ShutdownSignal::FastShutdown,
        }
    }
}

impl Drain {
    async fn drain(&self) {
        tracing::info!(in_flight = self.in_flight.count(), "draining");
        self.readiness.start_draining();
        // Balancers need a moment to learn of it; whoever they send meanwhile is served.
        tokio::time::sleep(self.delay).await;
        if tokio::time::timeout(self.timeout, self.in_flight.until_none()).await.is_err() {
            tracing::warn!(in_flight = self.in_flight.count(), "the drain timeout is over");
        }
    }
}

/// How a signal wants the process to end.
#[derive(PartialEq, Eq)]
enum Wish {
    /// Once nobody needs it.
    WhenIdle,
    Now,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::WhenIdle,
            _ = self.interrupt.recv() => Wish::Now,
        }
    }
}
