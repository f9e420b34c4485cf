//! What runs beside the requests.

use std::sync::Arc;

use super::Services;
use crate::app::gauges::Gauges;
use crate::app::jobs::{Jobs, Shutdown};
use crate::app::memories::Memories;
use crate::app::start_error::StartError;
use crate::authn::Authenticator;
use crate::authz::client::OpenFga;
use crate::authz::model::ModelRefresh;
use crate::config::Settings;
use crate::rate_limit::{RedisSync, sweep_until_shutdown};
use crate::readiness::Readiness;

impl Services {
    /// All jobs; once, since some take what they work on along.
    pub(in crate::app) fn jobs(&mut self, settings: &Settings) -> Result<Jobs, StartError> {
        let jobs = Jobs::new(Arc::clone(&self.metrics));
        self.add_keys(&jobs);
        if !self.is_embedded {
            self.add_model(&jobs, settings)?;
        }
        let reload = Arc::clone(&self.reload);
        jobs.add("rule_watch", move |stop| Arc::clone(&reload).follow(stop));
        self.add_limits(&jobs);
        self.add_upstreams(&jobs);
        self.add_memories(&jobs);
        Ok(jobs)
    }

    fn add_keys(&self, jobs: &Jobs) {
        let authenticator = Arc::clone(&self.authenticator);
        jobs.add("key_refresh", move |stop| Arc::clone(&authenticator).refresh_loop(stop));
        let (authenticator, readiness) = (self.authenticator.clone(), self.readiness.clone());
        jobs.add("key_watch", move |stop| {
            announce_keys(Arc::clone(&authenticator), Arc::clone(&readiness), stop)
        });
    }

    fn add_model(&self, jobs: &Jobs, settings: &Settings) -> Result<(), StartError> {
        let refresh = Arc::new(ModelRefresh {
            // A client of its own: connections live on the runtime that made them.
            client: OpenFga::new(settings.openfga.client.clone())?,
            model_id: settings.openfga.model_id.clone(),
            watch: Arc::clone(&self.model),
            interval: settings.openfga.model_refresh,
            clock: Arc::clone(&self.clock),
        });
        jobs.add("model_refresh", move |stop| Arc::clone(&refresh).run(stop));
        Ok(())
    }

    fn add_limits(&mut self, jobs: &Jobs) {
        let (limiter, clock) = (Arc::clone(&self.limiter), Arc::clone(&self.clock));
        jobs.add("limiter_sweep", move |stop| {
            sweep_until_shutdown(Arc::clone(&limiter), Arc::clone(&clock), stop)
        });
        if let Some(redis) = self.redis.take() {
            let redis = Arc::new(tokio::sync::Mutex::new(redis));
            jobs.add("redis_exchange", move |stop| exchange(Arc::clone(&redis), stop));
        }
    }

    fn add_upstreams(&self, jobs: &Jobs) {
        for upstream in self.upstreams.iter().filter(|upstream| upstream.has_name()) {
            let name = format!("resolve_{}", upstream.settings.name);
            let upstream = Arc::clone(upstream);
            jobs.add(name, move |stop| Arc::clone(&upstream).keep_resolved(stop));
        }
        for upstream in &self.upstreams {
            let name = format!("probe_{}", upstream.settings.name);
            let upstream = Arc::clone(upstream);
            jobs.add(name, move |stop| Arc::clone(&upstream).keep_probing(stop));
        }
    }

    fn add_memories(&self, jobs: &Jobs) {
        let memories = Arc::new(Memories {
            gate: Arc::clone(&self.gate),
            authenticator: Arc::clone(&self.authenticator),
            authorizer: Arc::clone(&self.authorizer),
            clock: Arc::clone(&self.clock),
        });
        jobs.add("memory_sweep", move |stop| Arc::clone(&memories).sweep_until(stop));
        let gauges = Arc::new(Gauges {
            metrics: Arc::clone(&self.metrics),
            status: self.status(),
            authorizer: Arc::clone(&self.authorizer),
            limiter: Arc::clone(&self.limiter),
        });
        jobs.add("gauges", move |stop| Arc::clone(&gauges).keep_current(stop));
    }
}

async fn announce_keys(
    authenticator: Arc<Authenticator>,
    readiness: Arc<Readiness>,
    mut shutdown: Shutdown,
) {
    let mut were_loaded = authenticator.keys_were_loaded();
    tokio::select! {
        // The sender lives as long as the authenticator.
        Ok(_) = were_loaded.wait_for(|loaded| *loaded) => {
            readiness.set_keys_loaded();
            tracing::info!("keys of every issuer are loaded");
        }
        _ = shutdown.changed() => return,
    }
    // A dropped sender means the same as a shutdown.
    let _ = shutdown.changed().await;
}

async fn exchange(redis: Arc<tokio::sync::Mutex<RedisSync>>, shutdown: Shutdown) {
    redis.lock().await.run(shutdown).await;
}
