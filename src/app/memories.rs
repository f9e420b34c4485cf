//! Forgetting tokens and decisions whose time is over.

use std::sync::Arc;
use std::time::Duration;

use super::jobs::Shutdown;
use crate::authn::Authenticator;
use crate::authz::Authorizer;
use crate::clock::SharedClock;
use crate::gate::Gate;

/// A third of the time that an introspected token is believed by default.
const PERIOD: Duration = Duration::from_secs(10);

/// What is remembered between requests.
pub(super) struct Memories {
    pub(super) gate: Arc<Gate>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) clock: SharedClock,
}

impl Memories {
    /// Sweeps all of them now and then until `shutdown` turns true.
    pub(super) async fn sweep_until(self: Arc<Self>, mut shutdown: Shutdown) {
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = period.tick() => self.sweep().await,
                _ = shutdown.changed() => return,
            }
        }
    }

    async fn sweep(&self) {
        self.gate.sweep(self.clock.now()).await;
        self.authenticator.sweep(self.clock.now()).await;
        self.authorizer.sweep(self.clock.now()).await;
    }
}
