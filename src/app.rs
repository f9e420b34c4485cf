//! The composition root: settings in, wired and running services out.

mod background;
mod drain;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use http::HeaderName;
use pingora::listeners::ListenerConfig;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use pingora::services::listening::Service;

use crate::admin::{Admin, AdminApp, Parts};
use crate::authn::{Audiences, Authenticator, TokenCache};
use crate::authz::Authorizer;
use crate::authz::client::{ClientError, OpenFga};
use crate::authz::model::{ModelRefresh, ModelWatch};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Settings;
use crate::gate::{CommonLimits, Gate};
use crate::metrics::{Metrics, MetricsError};
use crate::proxy::Proxy;
use crate::proxy::client_addr::ClientAddresses;
use crate::proxy::headers::HeaderPolicy;
use crate::proxy::upstream::Upstream;
use crate::rate_limit::{Limiter, LimiterError, RedisSync, SyncStatus, sweep_until_shutdown};
use crate::readiness::Readiness;
use crate::reload::{self, Reload, ReloadError, Vocabulary};
use crate::rules::RuleFile;
use crate::telemetry::Sink;
use background::{Background, Gauges};
use drain::Drain;

/// Small reads suffice for requests, and Pingora's 64 KiB make an idle connection cost 100 KB.
const READ_BUFFER: usize = 8 * 1024;
/// One segment; Pingora's own default.
const WRITE_BUFFER: usize = 1460;

/// A failed attempt is repeated on another connection twice at most, and only where that is safe.
const ATTEMPTS: usize = 3;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("{key}: cannot listen on {addr}: {cause}")]
    Listen {
        /// Configuration key.
        key: &'static str,
        /// The address.
        addr: SocketAddr,
        /// The operating system's answer.
        cause: std::io::Error,
    },
    /// The rules cannot come into force.
    #[error("{0}")]
    Rules(#[from] ReloadError),
    /// The issuers do not go together.
    #[error("issuers: {0}")]
    Issuers(#[from] crate::authn::SettingsError),
    /// OpenFGA cannot be asked as configured.
    #[error("openfga: {0}")]
    OpenFga(#[from] ClientError),
    /// The limits do not go together.
    #[error("limits: {0}")]
    Limits(#[from] LimiterError),
    /// One of the limits that every request is counted against is missing.
    #[error("limits: the limits client, principal and failed_authentications must exist")]
    MissingLimit,
    /// The name cannot stand in a header.
    #[error("server.name: {0}")]
    Name(#[from] http::Error),
    /// The metrics clash.
    #[error("metrics: {0}")]
    Metrics(#[from] MetricsError),
}

/// What `run` and `check` both need: everything that can be wrong without listening.
struct Core {
    clock: SharedClock,
    metrics: Arc<Metrics>,
    authenticator: Arc<Authenticator>,
    limiter: Arc<Limiter>,
    limits: CommonLimits,
    vocabulary: Vocabulary,
}

impl Core {
    fn build(settings: &Settings) -> Result<Self, StartError> {
        let clock: SharedClock = Arc::new(SystemClock);
        let names: Vec<_> = settings.limits.iter().map(|limit| limit.name().to_owned()).collect();
        let limiter =
            Arc::new(Limiter::new(settings.limits.clone(), settings.max_keys, clock.now())?);
        let find = |name| limiter.find(name).ok_or(StartError::MissingLimit);
        let limits = CommonLimits {
            client: find("client")?,
            principal: find("principal")?,
            failed_authentications: find("failed_authentications")?,
        };
        let openfga = settings.openfga.client.url.origin();
        let upstreams: Vec<_> = settings
            .upstreams
            .iter()
            .map(|u| (u.name.clone(), u.name == "openfga" || u.url.origin() == openfga))
            .collect();
        let vocabulary =
            Vocabulary::new(&settings.rules.default_relation, &upstreams, &limiter, &names);
        Ok(Self {
            metrics: Arc::new(Metrics::new()?),
            authenticator: Arc::new(Authenticator::new(settings.issuers.clone(), &clock)?),
            clock,
            limiter,
            limits,
            vocabulary,
        })
    }
}

/// The rules of a configuration, loaded as the gateway would load them.
pub fn check_rules(settings: &Settings) -> Result<crate::gate::policy::Policy, StartError> {
    let core = Core::build(settings)?;
    let content = reload::read(&settings.rules.file).map_err(ReloadError::File)?;
    Ok(core.vocabulary.build(&content, &core.metrics)?)
}

/// Runs the gateway until a signal ends it.
pub fn run(settings: Settings, sink: &Sink) -> Result<(), StartError> {
    try_listen("server.listen", settings.server.listen)?;
    try_listen("admin.listen", settings.admin.listen)?;
    // reqwest, redis and Pingora all take the provider that is there first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    warn_of_leniency(&settings);

    let Core { clock, metrics, authenticator, limiter, limits, vocabulary } =
        Core::build(&settings)?;
    sink.count_dropped(metrics.log_lines_dropped.clone());
    let file = RuleFile::new(settings.rules.file.clone());
    let content = reload::read(file.path()).map_err(ReloadError::File)?;
    let policy = vocabulary.build(&content, &metrics)?;
    reload::warn_of_dangers(policy.rules());

    let model = Arc::new(ModelWatch::default());
    let authorizer = Arc::new(Authorizer::new(
        &settings.openfga.authz,
        Arc::new(OpenFga::new(settings.openfga.client.clone())?),
        Arc::clone(&model),
        Arc::clone(&clock),
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
        file,
        vocabulary,
        Arc::clone(&gate),
        Arc::clone(&model),
        Arc::clone(&metrics),
        Arc::clone(&readiness),
    ));
    let redis = settings
        .redis
        .clone()
        .map(|redis| RedisSync::new(redis, Arc::clone(&limiter), Arc::clone(&clock)));
    let sync_status: Option<Arc<SyncStatus>> = redis.as_ref().map(RedisSync::status);
    let upstreams: Vec<_> =
        settings.upstreams.iter().map(|u| Arc::new(Upstream::new(u.clone()))).collect();

    let background = Background::new();
    background.add(Arc::clone(&authenticator).refresh_loop(background.shutdown()));
    background.add(announce_keys(Arc::clone(&authenticator), Arc::clone(&readiness)));
    background.add({
        let refresh = ModelRefresh {
            // A client of its own: connections live on the runtime that made them.
            client: OpenFga::new(settings.openfga.client.clone())?,
            model_id: settings.openfga.model_id.clone(),
            watch: Arc::clone(&model),
            interval: settings.openfga.model_refresh,
        };
        let shutdown = background.shutdown();
        async move { refresh.run(shutdown).await }
    });
    background.add({
        let (reload, shutdown) = (Arc::clone(&reload), background.shutdown());
        async move { reload.follow(shutdown).await }
    });
    background.add(sweep_until_shutdown(
        Arc::clone(&limiter),
        Arc::clone(&clock),
        background.shutdown(),
    ));
    if let Some(redis) = redis {
        background.add(redis.run(background.shutdown()));
    }
    for upstream in &upstreams {
        background.add(Arc::clone(upstream).keep_resolved(background.shutdown()));
    }
    background.add(
        Gauges {
            metrics: Arc::clone(&metrics),
            readiness: Arc::clone(&readiness),
            authorizer,
            sync: sync_status.clone(),
        }
        .keep_current(background.shutdown()),
    );

    let admin = Admin {
        gate: Arc::clone(&gate),
        readiness: Arc::clone(&readiness),
        metrics: Arc::clone(&metrics),
        reload,
        parts: Parts {
            model_known: Box::new(move || model.current().is_some()),
            redis_connected: Box::new(move || {
                sync_status.as_ref().map(|status| status.state().connected)
            }),
        },
        token: settings.admin.token.clone(),
    };
    let claim_headers: Vec<HeaderName> = settings
        .issuers
        .iter()
        .flat_map(|issuer| issuer.claim_headers.iter().map(|(name, _)| name.clone()))
        .collect();
    let drain = Drain {
        readiness: Arc::clone(&readiness),
        in_flight: Arc::clone(&metrics.in_flight),
        timeout: settings.server.drain_timeout,
    };
    let proxy = Proxy {
        gate,
        upstreams,
        limiter,
        cors: settings.cors.clone(),
        headers: HeaderPolicy::new(&settings.server.name, &claim_headers)?,
        clients: ClientAddresses::new(settings.server.trusted_proxies.clone()),
        limits: settings.server.limits,
        paths: settings.server.paths,
        patience: settings.server.patience,
        readiness,
        metrics,
        access_log: settings.log.access.then(|| sink.clone()),
        clock,
    };
    serve(&settings, proxy, admin, background, drain);
    Ok(())
}

fn serve(settings: &Settings, proxy: Proxy, admin: Admin, background: Background, drain: Drain) {
    let conf = ServerConf {
        threads: settings.server.threads,
        max_retries: ATTEMPTS,
        // The drain has waited for requests by then; these only bound what is left.
        grace_period_seconds: Some(1),
        graceful_shutdown_timeout_seconds: Some(1),
        upstream_keepalive_pool_size: 1024,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();

    let mut gateway =
        pingora_proxy::http_proxy_service_with_name(&server.configuration, proxy, "gateway");
    let buffers = L4BufferSettings::new(READ_BUFFER, WRITE_BUFFER);
    gateway
        .add_listener(ListenerConfig::tcp(settings.server.listen.to_string()).l4_buffer(buffers));
    let app = pingora::apps::http_app::HttpServer::new_app(AdminApp(Arc::new(admin)));
    let mut operators = Service::new("admin".to_owned(), app);
    operators.threads = Some(1);
    operators.add_tcp(&settings.admin.listen.to_string());

    server.add_service(background_service("background", background));
    server.add_service(operators);
    server.add_service(gateway);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %settings.server.listen,
        admin = %settings.admin.listen,
        threads = settings.server.threads,
        "auth-gateway starts"
    );
    server.run(RunArgs { shutdown_signal: Box::new(drain) });
    tracing::info!("auth-gateway has stopped");
}

/// Pingora tries an occupied address for half a minute and then panics; a clear word at once is
/// better.
fn try_listen(key: &'static str, addr: SocketAddr) -> Result<(), StartError> {
    TcpListener::bind(addr).map(drop).map_err(|cause| StartError::Listen { key, addr, cause })
}

fn warn_of_leniency(settings: &Settings) {
    for issuer in &settings.issuers {
        if issuer.audiences == Audiences::Any {
            tracing::warn!(
                issuer = %issuer.url,
                "tokens for any audience are accepted; name the project's id in issuers[].audience \
                 (ZITADEL_AUDIENCE)"
            );
        }
    }
}

async fn announce_keys(authenticator: Arc<Authenticator>, readiness: Arc<Readiness>) {
    // The sender lives as long as the authenticator.
    if authenticator.subscribe_ready().wait_for(|ready| *ready).await.is_ok() {
        readiness.set_keys_loaded();
        tracing::info!("keys of every issuer are loaded");
    }
}
