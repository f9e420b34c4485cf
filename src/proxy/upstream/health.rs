//! What is known of an upstream's addresses: counted each time, told when it changes.

use std::fmt::Display;

use prometheus::IntCounter;
use tokio::sync::Notify;

use super::addresses::Address;

/// Where attempts to connect to one upstream are reported.
#[derive(Debug)]
pub(super) struct Health {
    upstream: String,
    failures: IntCounter,
    change: Notify,
}

impl Health {
    pub(super) fn new(upstream: String, failures: IntCounter) -> Self {
        Self { upstream, failures, change: Notify::new() }
    }

    /// No connection could be made to `address`.
    pub(super) fn failed(&self, address: &Address, cause: &dyn Display) {
        self.failures.inc();
        if address.avoid() {
            tracing::warn!(
                upstream = %self.upstream,
                address = %address.at,
                %cause,
                "cannot connect to an address of the upstream; it is avoided while others work"
            );
            self.change.notify_one();
        }
    }

    /// A connection to `address` was made.
    pub(super) fn works(&self, address: &Address) {
        if address.trust() {
            tracing::info!(
                upstream = %self.upstream,
                address = %address.at,
                "an address of the upstream works again"
            );
        }
    }

    /// Waits until an address begins to be avoided; at once when one has since the last call.
    pub(super) async fn worsens(&self) {
        self.change.notified().await;
    }
}
