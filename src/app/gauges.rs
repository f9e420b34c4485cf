//! Gauges that are set once a second.

use std::sync::Arc;
use std::time::Duration;

use super::jobs::Shutdown;
use crate::authz::Authorizer;
use crate::metrics::Metrics;
use crate::rate_limit::Limiter;
use crate::status::Status;

/// Where the gauges are read from.
pub(super) struct Gauges {
    pub(super) metrics: Arc<Metrics>,
    pub(super) status: Arc<Status>,
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) limiter: Arc<Limiter>,
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
        let report = self.status.report();
        self.metrics.keys_loaded.set(i64::from(report.keys_loaded));
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let memory = &self.metrics.memory;
        memory.tokens.set(count(self.status.gate.remembered()));
        memory.decisions.set(count(self.authorizer.cached()));
        memory.limiter_keys.set(count(self.limiter.keys()));
        memory.limits_in_overflow.set(count(self.limiter.limits_in_overflow()));
        if let Some(sync) = &self.status.sync {
            let exchange = &self.metrics.exchange;
            exchange.connected.set(i64::from(report.redis_connected == Some(true)));
            exchange.replicas.set(i64::from(sync.state().replicas));
            exchange.overage.set(sync.worst_case_overage());
        }
    }
}
