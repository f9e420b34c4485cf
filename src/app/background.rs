//! What runs beside the requests.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::sync::watch;

use crate::authn::Authenticator;
use crate::authz::Authorizer;
use crate::clock::SharedClock;
use crate::metrics::Metrics;
use crate::rate_limit::SyncStatus;

/// Jobs that live as long as the process, on a runtime of their own.
pub(super) struct Background {
    jobs: Mutex<Vec<BoxFuture<'static, ()>>>,
    stop: watch::Sender<bool>,
}

impl Background {
    pub(super) fn new() -> Self {
        Self { jobs: Mutex::default(), stop: watch::channel(false).0 }
    }

    /// Turns true when the process shuts down.
    pub(super) fn shutdown(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// A job that is polled first when the server runs.
    pub(super) fn add(&self, job: impl Future<Output = ()> + Send + 'static) {
        self.jobs.lock().push(job.boxed());
    }
}

#[async_trait]
impl BackgroundService for Background {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let jobs = std::mem::take(&mut *self.jobs.lock());
        let mut tasks: tokio::task::JoinSet<()> = jobs.into_iter().collect();
        // A dropped sender means the same as a shutdown.
        let _ = shutdown.changed().await;
        self.stop.send_replace(true);
        while tasks.join_next().await.is_some() {}
    }
}

/// Gauges of what is elsewhere known anyway.
pub(super) struct Gauges {
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: SharedClock,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) sync: Option<Arc<SyncStatus>>,
}

impl Gauges {
    pub(super) async fn keep_current(self, mut shutdown: watch::Receiver<bool>) {
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
        // Counted here alone.
        let checks = &self.metrics.checks;
        checks.inc_by(self.authorizer.asked().saturating_sub(checks.get()));
        if let Some(sync) = &self.sync {
            let state = sync.state();
            self.metrics.redis_connected.set(i64::from(state.connected));
            self.metrics.replicas.set(i64::from(state.replicas));
            self.metrics.overage.set(sync.worst_case_overage());
        }
    }
}
