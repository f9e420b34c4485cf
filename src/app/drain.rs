//! SIGTERM: out of service first, then wait for the requests in flight, then stop.
//!
//! Pingora itself closes the listeners at once and then sleeps its whole grace period, needed or
//! not; so the waiting happens before Pingora hears of the signal.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use prometheus::IntGauge;
use tokio::signal::unix::{SignalKind, signal};

use crate::readiness::Readiness;

/// How often the requests in flight are counted.
const LOOK: Duration = Duration::from_millis(20);

/// Listens for the signals that end the process.
pub(super) struct Drain {
    pub(super) readiness: Arc<Readiness>,
    pub(super) in_flight: Arc<IntGauge>,
    pub(super) delay: Duration,
    pub(super) timeout: Duration,
}

#[async_trait]
impl ShutdownSignalWatch for Drain {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::error!("signals cannot be received; only SIGKILL will end this process");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => return ShutdownSignal::FastShutdown,
        }
        tracing::info!(in_flight = self.in_flight.get(), "draining");
        self.readiness.start_draining();
        // Balancers need a moment to learn of it; whoever they send meanwhile is served.
        tokio::select! {
            () = tokio::time::sleep(self.delay) => {}
            _ = terminate.recv() => return ShutdownSignal::FastShutdown,
            _ = interrupt.recv() => return ShutdownSignal::FastShutdown,
        }
        tokio::select! {
            () = self.until_idle() => {}
            () = tokio::time::sleep(self.timeout) => {
                tracing::warn!(in_flight = self.in_flight.get(), "the drain timeout is over");
            }
            _ = terminate.recv() => return ShutdownSignal::FastShutdown,
            _ = interrupt.recv() => return ShutdownSignal::FastShutdown,
        }
        ShutdownSignal::GracefulTerminate
    }
}

impl Drain {
    async fn until_idle(&self) {
        while self.in_flight.get() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }
}
