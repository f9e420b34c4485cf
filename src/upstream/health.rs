//! What is known of an upstream's addresses: counted each time, told when it changes.

use std::fmt::Display;

use prometheus::IntCounter;
use tokio::sync::watch;

use super::addresses::Address;

/// Where attempts to connect to one upstream are reported.
#[derive(Debug)]
pub(super) struct Health {
    upstream: String,
    failures: IntCounter,
    news: watch::Sender<()>,
}

impl Health {
    pub(super) fn new(upstream: String, failures: IntCounter) -> Self {
        Self { upstream, failures, news: watch::Sender::new(()) }
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
            self.news.send_replace(());
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

    /// Changes when an address begins to be avoided.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }
}
