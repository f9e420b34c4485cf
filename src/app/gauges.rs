//! Gauges of what is elsewhere known anyway.

use std::sync::Arc;
use std::time::Duration;

use super::jobs::Shutdown;
use crate::authn::Authenticator;
use crate::authz::Authorizer;
use crate::clock::SharedClock;
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::rate_limit::{Limiter, SyncStatus};

/// Where the gauges are read from.
pub(super) struct Gauges {
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: SharedClock,
    pub(super) gate: Arc<Gate>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) limiter: Arc<Limiter>,
    pub(super) sync: Option<Arc<SyncStatus>>,
}

impl Gauges {
    pub(super) async fn keep_current(self: Arc<Self>, mut shutdown: Shutdown) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = ticks.tick() => self.set(),
                _ = shutdown.changed() => return,
            }
        }
    }

    fn set(&self) {
        let can_verify = self.authenticator.can_verify(self.clock.now());
        self.metrics.keys_loaded.set(i64::from(can_verify));
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let memory = &self.metrics.memory;
        memory.tokens.set(count(self.gate.remembered()));
        memory.decisions.set(count(self.authorizer.cached()));
        memory.limiter_keys.set(count(self.limiter.keys()));
        memory.limits_in_overflow.set(count(self.limiter.limits_in_overflow()));
        if let Some(sync) = &self.sync {
            let state = sync.state();
            self.metrics.redis_connected.set(i64::from(state.connected));
            self.metrics.replicas.set(i64::from(state.replicas));
            self.metrics.overage.set(sync.worst_case_overage());
        }
    }
}
