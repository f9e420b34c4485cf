//! The parts of a running gateway, and which of them each service needs.

mod background;

use std::sync::Arc;

use fga_engine::{Engine, Store};

use super::drain::Drain;
use super::start_error::StartError;
use crate::admin::Admin;
use crate::authn::{Audiences, Authenticator, TokenCache};
use crate::authz::client::OpenFga;
use crate::authz::model::ModelWatch;
use crate::authz::{Authorizer, Decider};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{Embedded, Limits, Settings};
use crate::finding::Findings;
use crate::gate::policy::Policy;
use crate::gate::{CommonLimits, Gate};
use crate::metrics::Metrics;
use crate::proxy::Proxy;
use crate::proxy::client_addr::ClientAddresses;
use crate::proxy::headers::HeaderPolicy;
use crate::proxy::headers::names::{NamePattern, Names};
use crate::rate_limit::{Limiter, RedisSync, SyncStatus};
use crate::readiness::Readiness;
use crate::reload::{self, Reload, ReloadError, Vocabulary};
use crate::rules::RuleFile;
use crate::status::Status;
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
            let policy = self.vocabulary.build(&content, &self.metrics);
            let wrong = |findings: Findings| ReloadError::Rules(findings.in_file(file.path()));
            Ok((content, policy.map_err(wrong)?))
        });
        loaded.map_err(StartError::Rules)
    }
}

/// Everything that lives as long as the process.
pub(super) struct Services {
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

impl Services {
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
        let store = match (store, &settings.embedded) {
            (None, Some(embedded)) => Some(load_store(&Engine::default(), embedded)?),
            (store, _) => store,
        };
        let is_embedded = store.is_some();
        let model = Arc::new(ModelWatch::default());
        let authorizer = Arc::new(Authorizer::new(
            &settings.openfga.authz,
            decider(settings, store, &model)?,
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
        let redis = redis_sync(settings, &limiter, &clock, &metrics);
        let sync_status = redis.as_ref().map(RedisSync::status);
        let upstreams = upstreams(settings, &metrics);
        Ok(Self {
            clock,
            metrics,
            readiness,
            authenticator,
            limiter,
            model,
            is_embedded,
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

    fn status(&self) -> Arc<Status> {
        Arc::new(Status {
            readiness: Arc::clone(&self.readiness),
            authenticator: Arc::clone(&self.authenticator),
            model: Arc::clone(&self.model),
            gate: Arc::clone(&self.gate),
            sync: self.sync_status.clone(),
            clock: Arc::clone(&self.clock),
        })
    }

    pub(super) fn admin(&self, settings: &Settings) -> Admin {
        Admin {
            gate: Arc::clone(&self.gate),
            status: self.status(),
            metrics: Arc::clone(&self.metrics),
            reload: Arc::clone(&self.reload),
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

/// Who decides: a store in this process, or OpenFGA.
fn decider(
    settings: &Settings,
    store: Option<Arc<Store>>,
    model: &ModelWatch,
) -> Result<Decider, StartError> {
    Ok(match store {
        Some(store) => {
            pin_latest(model, &store);
            Decider::Embedded(store)
        }
        None => Decider::Remote(Arc::new(OpenFga::new(settings.openfga.client.clone())?)),
    })
}

fn redis_sync(
    settings: &Settings,
    limiter: &Arc<Limiter>,
    clock: &SharedClock,
    metrics: &Metrics,
) -> Option<RedisSync> {
    let redis = settings.redis.clone()?;
    let (limiter, clock) = (Arc::clone(limiter), Arc::clone(clock));
    Some(RedisSync::new(redis, limiter, clock, metrics.exchange.clone()))
}

fn upstreams(settings: &Settings, metrics: &Metrics) -> Vec<Arc<Upstream>> {
    let upstreams = settings.upstreams.iter().map(|(_, upstream)| {
        let failures = metrics.connect_failures(&upstream.name);
        Arc::new(Upstream::new(upstream.clone(), failures))
    });
    upstreams.collect()
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
pub(super) fn pin_latest(model: &ModelWatch, store: &Store) {
    let latest = store.models().pop();
    if let Some(Ok(value)) = latest.map(|latest| serde_json::to_value(latest.definition())) {
        model.pin(&value);
    }
}

#[cfg(test)]
mod tests;
