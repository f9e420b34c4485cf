//! The parts of a running gateway, and which of them each service needs.

use std::sync::Arc;

use fga_engine::{Engine, Store};

use super::StartError;
use super::drain::Drain;
use super::gauges::Gauges;
use super::jobs::{Jobs, Shutdown};
use super::memories::Memories;
use crate::admin::{Admin, Parts};
use crate::authn::{Audiences, Authenticator, TokenCache};
use crate::authz::client::OpenFga;
use crate::authz::model::{ModelRefresh, ModelWatch};
use crate::authz::{Authorizer, Decider};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{Embedded, Limits, Settings};
use crate::gate::policy::Policy;
use crate::gate::{CommonLimits, Gate};
use crate::metrics::Metrics;
use crate::proxy::Proxy;
use crate::proxy::client_addr::ClientAddresses;
use crate::proxy::headers::HeaderPolicy;
use crate::proxy::headers::names::{NamePattern, Names};
use crate::rate_limit::{Limiter, RedisSync, SyncStatus, sweep_until_shutdown};
use crate::readiness::Readiness;
use crate::reload::{self, Reload, ReloadError, Vocabulary};
use crate::rules::RuleFile;
use crate::telemetry::{self, Sink};
use crate::upstream::Upstream;

/// What `run` and `check` both need: everything that can be wrong without listening.
pub(super) struct Core {
    pub(super) clock: SharedClock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) limiter: Arc<Limiter>,
    pub(super) limits: CommonLimits,
    pub(super) vocabulary: Vocabulary,
}

impl Core {
    pub(super) fn build(settings: &Settings) -> Result<Self, StartError> {
        let clock: SharedClock = Arc::new(SystemClock);
        let mut limiter = Limiter::new(Vec::new(), settings.max_keys, clock.now())?;
        let Limits { client, principal, failed_authentications, further } = &settings.limits;
        let limits = CommonLimits {
            client: limiter.add(client.clone())?,
            principal: limiter.add(principal.clone())?,
            failed_authentications: limiter.add(failed_authentications.clone())?,
        };
        for limit in further {
            limiter.add(limit.clone())?;
        }
        let upstreams: Vec<_> = settings
            .upstreams
            .iter()
            .map(|(role, upstream)| (upstream.name.clone(), *role))
            .collect();
        let any_audience = settings.issuers.iter().any(|i| i.audiences == Audiences::Any);
        let vocabulary = Vocabulary::new(&settings.rules.default_relation, &upstreams, &limiter)
            .with_any_audience(any_audience);
        Ok(Self {
            metrics: Arc::new(Metrics::new()?),
            authenticator: Arc::new(Authenticator::new(settings.issuers.clone(), &clock)?),
            clock,
            limiter: Arc::new(limiter),
            limits,
            vocabulary,
        })
    }

    /// The content of the rule file, and what it says.
    pub(super) fn load_rules(&self, file: &RuleFile) -> Result<(Vec<u8>, Policy), StartError> {
        let loaded = file.load().map_err(ReloadError::File).and_then(|content| {
            let policy = self.vocabulary.build(&content, &self.metrics)?;
            Ok((content, policy))
        });
        loaded.map_err(|cause| StartError::Rules { file: file.path().to_owned(), cause })
    }
}

/// Everything that lives as long as the process.
pub(super) struct House {
    clock: SharedClock,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    authenticator: Arc<Authenticator>,
    limiter: Arc<Limiter>,
    model: Arc<ModelWatch>,
    is_embedded: bool,
    authorizer: Arc<Authorizer>,
    gate: Arc<Gate>,
    reload: Arc<Reload>,
    upstreams: Vec<Arc<Upstream>>,
    /// Until it is given to the background.
    redis: Option<RedisSync>,
    sync_status: Option<Arc<SyncStatus>>,
}

impl House {
    pub(super) fn build(
        settings: &Settings,
        sink: &Sink,
        store: Option<Arc<Store>>,
    ) -> Result<Self, StartError> {
        let core = Core::build(settings)?;
        let file = RuleFile::new(settings.rules.file.clone());
        let (content, policy) = core.load_rules(&file)?;
        let Core { clock, metrics, authenticator, limiter, limits, vocabulary } = core;
        sink.count_dropped(metrics.log_lines_dropped.clone());
        let model = Arc::new(ModelWatch::default());
        let store = match (store, &settings.embedded) {
            (None, Some(embedded)) => Some(load_store(&Engine::default(), embedded)?),
            (store, _) => store,
        };
        let decider = match &store {
            Some(store) => Decider::Embedded(Arc::clone(store)),
            None => Decider::Remote(Arc::new(OpenFga::new(settings.openfga.client.clone())?)),
        };
        if let Some(store) = &store {
            pin_latest(&model, store);
        }
        let authorizer = Arc::new(Authorizer::new(
            &settings.openfga.authz,
            decider,
            Arc::clone(&model),
            Arc::clone(&clock),
            metrics.checks.clone(),
        ));
        let gate = Arc::new(Gate::new(
            policy,
            Arc::clone(&authenticator),
            TokenCache::default(),
            Arc::clone(&authorizer),
            Arc::clone(&limiter),
            limits,
        ));
        let readiness = Arc::new(Readiness::new(Arc::clone(&clock)));
        let reload = Arc::new(Reload::new(
            (file, content),
            vocabulary,
            Arc::clone(&gate),
            Arc::clone(&model),
            Arc::clone(&metrics),
            Arc::clone(&readiness),
        ));
        let redis = settings.redis.clone();
        let redis = redis.map(|redis| {
            let (limiter, clock) = (Arc::clone(&limiter), Arc::clone(&clock));
            RedisSync::new(redis, limiter, clock, metrics.exchange.clone())
        });
        let sync_status = redis.as_ref().map(RedisSync::status);
        let upstreams = settings.upstreams.iter().map(|(_, upstream)| {
            let failures = metrics.connect_failures(&upstream.name);
            Arc::new(Upstream::new(upstream.clone(), failures))
        });
        let upstreams = upstreams.collect();
        Ok(Self {
            clock,
            metrics,
            readiness,
            authenticator,
            limiter,
            model,
            is_embedded: store.is_some(),
            authorizer,
            gate,
            reload,
            upstreams,
            redis,
            sync_status,
        })
    }

    /// Tells of rules that are in force and deserve a second look.
    pub(super) fn warn_of_dangers(&self) {
        reload::warn_of_dangers(self.gate.policy().rules());
    }

    /// Panics of this process are counted in its metrics.
    pub(super) fn count_panics(&self) {
        telemetry::count_panics(self.metrics.panics.clone());
    }

    /// What runs beside the requests.
    pub(super) fn jobs(&mut self, settings: &Settings) -> Result<Jobs, StartError> {
        let jobs = Jobs::new(Arc::clone(&self.metrics));
        let authenticator = Arc::clone(&self.authenticator);
        jobs.add("key_refresh", move |stop| Arc::clone(&authenticator).refresh_loop(stop));
        let (authenticator, readiness) = (self.authenticator.clone(), self.readiness.clone());
        jobs.add("key_watch", move |stop| {
            announce_keys(Arc::clone(&authenticator), Arc::clone(&readiness), stop)
        });
        if !self.is_embedded {
            let refresh = Arc::new(ModelRefresh {
                // A client of its own: connections live on the runtime that made them.
                client: OpenFga::new(settings.openfga.client.clone())?,
                model_id: settings.openfga.model_id.clone(),
                watch: Arc::clone(&self.model),
                interval: settings.openfga.model_refresh,
                clock: Arc::clone(&self.clock),
            });
            jobs.add("model_refresh", move |stop| Arc::clone(&refresh).run(stop));
        }
        let reload = Arc::clone(&self.reload);
        jobs.add("rule_watch", move |stop| Arc::clone(&reload).follow(stop));
        let (limiter, clock) = (Arc::clone(&self.limiter), Arc::clone(&self.clock));
        jobs.add("limiter_sweep", move |stop| {
            sweep_until_shutdown(Arc::clone(&limiter), Arc::clone(&clock), stop)
        });
        if let Some(redis) = self.redis.take() {
            let redis = Arc::new(tokio::sync::Mutex::new(redis));
            jobs.add("redis_exchange", move |stop| exchange(Arc::clone(&redis), stop));
        }
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
        let memories = Arc::new(Memories {
            gate: Arc::clone(&self.gate),
            authenticator: Arc::clone(&self.authenticator),
            authorizer: Arc::clone(&self.authorizer),
            clock: Arc::clone(&self.clock),
        });
        jobs.add("memory_sweep", move |stop| Arc::clone(&memories).sweep_until(stop));
        let gauges = Arc::new(Gauges {
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
            authenticator: Arc::clone(&self.authenticator),
            authorizer: Arc::clone(&self.authorizer),
            gate: Arc::clone(&self.gate),
            limiter: Arc::clone(&self.limiter),
            sync: self.sync_status.clone(),
        });
        jobs.add("gauges", move |stop| Arc::clone(&gauges).keep_current(stop));
        Ok(jobs)
    }

    pub(super) fn proxy(&self, settings: &Settings, sink: &Sink) -> Result<Proxy, StartError> {
        let server = &settings.server;
        let names = Arc::new(Names::new(reserved_headers(settings)));
        let clients = ClientAddresses::new(
            server.trusted_proxies.clone(),
            server.private_hosts.clone(),
            Arc::clone(&names),
        );
        Ok(Proxy {
            gate: Arc::clone(&self.gate),
            upstreams: self.upstreams.clone(),
            limiter: Arc::clone(&self.limiter),
            cors: settings.cors.clone(),
            credentials: settings.credentials.clone(),
            expiry_grace: settings.expiry_grace,
            headers: HeaderPolicy::new(&server.name, names)?,
            clients,
            limits: server.limits,
            paths: server.paths,
            readiness: Arc::clone(&self.readiness),
            metrics: Arc::clone(&self.metrics),
            access_log: settings.log.access.then(|| sink.clone()),
            clock: Arc::clone(&self.clock),
        })
    }

    pub(super) fn admin(&self, settings: &Settings) -> Admin {
        let (model, sync_status) = (Arc::clone(&self.model), self.sync_status.clone());
        let look_ups = Arc::clone(&self.model);
        let (authenticator, clock) = (Arc::clone(&self.authenticator), Arc::clone(&self.clock));
        Admin {
            gate: Arc::clone(&self.gate),
            readiness: Arc::clone(&self.readiness),
            metrics: Arc::clone(&self.metrics),
            reload: Arc::clone(&self.reload),
            parts: Parts {
                keys_loaded: Box::new(move || authenticator.can_verify(clock.now())),
                model_known: Box::new(move || model.current().is_some()),
                model_error: Box::new(move || look_ups.fault().map(|fault| fault.to_string())),
                redis_connected: Box::new(move || {
                    sync_status.as_ref().map(|status| status.state().connected)
                }),
            },
            token: settings.admin.token.clone(),
            hosts: settings.admin.hosts.clone(),
        }
    }

    pub(super) fn drain(&self, settings: &Settings) -> Drain {
        Drain {
            readiness: Arc::clone(&self.readiness),
            in_flight: Arc::clone(&self.metrics.in_flight),
            delay: settings.server.shutdown_delay,
            timeout: settings.server.drain_timeout,
        }
    }
}

/// What no upstream gets from anybody: what the operator has listed, and what is written from claims.
fn reserved_headers(settings: &Settings) -> Vec<NamePattern> {
    let claims = settings.issuers.iter().flat_map(|issuer| &issuer.claim_headers);
    let claims = claims.map(|(name, _)| NamePattern::from(name));
    claims.chain(settings.server.strip_headers.iter().cloned()).collect()
}

/// Fills a store of `engine` from the files.
pub fn load_store(engine: &Engine, embedded: &Embedded) -> Result<Arc<Store>, StartError> {
    let store = engine.load_file(&embedded.model_file).map_err(StartError::Model)?;
    if let Some(file) = &embedded.tuples_file {
        let tuples = fga_engine::files::load_tuples(file).map_err(StartError::TuplesFile)?;
        store.load_tuples(tuples)?;
    }
    Ok(store)
}

/// Lets the rules be compared with the model.
fn pin_latest(model: &ModelWatch, store: &Store) {
    let latest = store.models().pop();
    if let Some(Ok(value)) = latest.map(|latest| serde_json::to_value(latest.definition())) {
        model.pin(&value);
    }
}

async fn announce_keys(
    authenticator: Arc<Authenticator>,
    readiness: Arc<Readiness>,
    mut shutdown: Shutdown,
) {
    let mut ready = authenticator.subscribe_ready();
    tokio::select! {
        // The sender lives as long as the authenticator.
        Ok(_) = ready.wait_for(|ready| *ready) => {
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

#[cfg(test)]
mod tests;
