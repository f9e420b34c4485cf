//! The composition root: settings in, wired and running services out.

mod drain;
mod gauges;
mod house;
mod jobs;
mod memories;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fga_engine::files::LoadError;
use fga_engine::{Engine, EngineError, Store};
use pingora::listeners::ListenerConfig;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use pingora::services::listening::Service;

use crate::admin::AdminApp;
use crate::authn::Audiences;
use crate::authz::client::ClientError;
use crate::config::Settings;
use crate::metrics::MetricsError;
use crate::proxy::Proxy;
use crate::rate_limit::LimiterError;
use crate::reload::ReloadError;
use crate::rules::RuleFile;
use crate::telemetry::Sink;
pub use house::load_store;
use house::{Core, House};
use jobs::Jobs;

/// Small reads suffice for requests, and Pingora's 64 KiB make an idle connection cost 100 KB.
const READ_BUFFER: usize = 8 * 1024;
/// One segment; Pingora's own default.
const WRITE_BUFFER: usize = 1460;

/// Addresses are tried within `connect_timeout`, and what was sent is repeated twice at most, where that
/// is safe; this bounds both where failures take no time.
const ATTEMPTS: usize = 16;

/// Where the traffic address is chosen.
pub const SERVER_LISTEN: &str = "server.listen (--listen)";
/// Where the operators' address is chosen.
pub const ADMIN_LISTEN: &str = "admin.listen (--admin-listen)";

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("{key}: cannot listen on {addr}: {}", advice(.cause))]
    Listen {
        /// Configuration key.
        key: &'static str,
        /// The address.
        addr: SocketAddr,
        /// The operating system's answer.
        cause: std::io::Error,
    },
    /// The rules cannot come into force.
    #[error("rules.file (--rules): {}", in_file(.file, .cause))]
    Rules {
        /// Their file.
        file: PathBuf,
        /// Why not.
        cause: ReloadError,
    },
    /// The issuers do not go together.
    #[error("issuers: {0}")]
    Issuers(#[from] crate::authn::SettingsError),
    /// OpenFGA cannot be asked as configured.
    #[error("openfga: {0}")]
    OpenFga(#[from] ClientError),
    /// The limits do not go together.
    #[error("limits: {0}")]
    Limits(#[from] LimiterError),
    /// The embedded engine cannot take its files.
    #[error("authz.model_file: {0}")]
    Model(LoadError),
    /// The tuples cannot be read.
    #[error("authz.tuples_file: {0}")]
    TuplesFile(LoadError),
    /// The embedded engine refuses the tuples.
    #[error("authz.tuples_file: {0}")]
    Tuples(#[from] EngineError),
    /// The name cannot stand in a header.
    #[error("server.name: {0}")]
    Name(#[from] http::Error),
    /// The metrics clash.
    #[error("metrics: {0}")]
    Metrics(#[from] MetricsError),
}

/// What an operator can do about an address that cannot be had.
fn advice(cause: &std::io::Error) -> String {
    match cause.kind() {
        ErrorKind::AddrInUse => {
            "the port is taken; end what listens there, or choose another address".to_owned()
        }
        ErrorKind::AddrNotAvailable => {
            "no interface of this machine has this address; choose another".to_owned()
        }
        _ => cause.to_string(),
    }
}

/// A mistake in one line, several below the name of the file.
fn in_file(file: &Path, cause: &ReloadError) -> String {
    let text = cause.to_string();
    match cause {
        ReloadError::File(_) => text,
        _ if text.contains('\n') => format!("{}:\n{text}", file.display()),
        _ => format!("{}: {text}", file.display()),
    }
}

/// The rules of a configuration, loaded as the gateway would load them.
pub fn check_rules(settings: &Settings) -> Result<crate::gate::policy::Policy, StartError> {
    let core = Core::build(settings)?;
    if let Some(embedded) = &settings.embedded {
        load_store(&Engine::default(), embedded)?;
    }
    let (_, policy) = core.load_rules(&RuleFile::new(settings.rules.file.clone()))?;
    Ok(policy)
}

/// What `auth-gateway dev` runs with.
#[derive(Debug)]
pub struct Sandbox {
    /// Decisions are made on it instead of what the settings say.
    pub store: Arc<Store>,
    /// Whether the rules are the shipped example, whose dangers are its point.
    pub has_shipped_rules: bool,
}

/// Runs the gateway until a signal ends it.
pub fn run(settings: &Settings, sink: &Sink, sandbox: Option<Sandbox>) -> Result<(), StartError> {
    try_listen(SERVER_LISTEN, settings.server.listen)?;
    try_listen(ADMIN_LISTEN, settings.admin.listen)?;
    install_crypto();
    for leniency in leniencies(settings) {
        tracing::warn!("{leniency}");
    }
    let has_own_rules = sandbox.as_ref().is_none_or(|sandbox| !sandbox.has_shipped_rules);
    let mut house = House::build(settings, sink, sandbox.map(|sandbox| sandbox.store))?;
    if has_own_rules {
        house.warn_of_dangers();
    }
    house.count_panics();
    let jobs = house.jobs(settings)?;
    serve(settings, &house, house.proxy(settings, sink)?, jobs);
    Ok(())
}

fn serve(settings: &Settings, house: &House, proxy: Proxy, jobs: Jobs) {
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

    let entrance = proxy.entrance(&server.configuration, settings.server.patience);
    let mut gateway = Service::new("gateway".to_owned(), entrance);
    let buffers = L4BufferSettings::new(READ_BUFFER, WRITE_BUFFER);
    gateway
        .add_listener(ListenerConfig::tcp(settings.server.listen.to_string()).l4_buffer(buffers));
    let app =
        pingora::apps::http_app::HttpServer::new_app(AdminApp(Arc::new(house.admin(settings))));
    let mut operators = Service::new("admin".to_owned(), app);
    operators.threads = Some(1);
    operators.add_tcp(&settings.admin.listen.to_string());

    server.add_service(background_service("background", jobs));
    server.add_service(operators);
    server.add_service(gateway);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %settings.server.listen,
        admin = %settings.admin.listen,
        threads = settings.server.threads,
        "auth-gateway starts"
    );
    server.run(RunArgs { shutdown_signal: Box::new(house.drain(settings)) });
    tracing::info!("auth-gateway has stopped");
}

/// Pingora tries an occupied address for half a minute and then panics; a clear word at once is
/// better.
fn try_listen(key: &'static str, addr: SocketAddr) -> Result<(), StartError> {
    listen(key, addr).map(drop)
}

/// Takes an address; `key` is what an operator changes to choose another.
pub fn listen(key: &'static str, addr: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(addr).map_err(|cause| StartError::Listen { key, addr, cause })
}

/// reqwest, redis and Pingora all take the provider that is there first.
pub fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// What the settings accept that one rarely wants.
pub fn leniencies(settings: &Settings) -> impl Iterator<Item = String> {
    let lenient = settings.issuers.iter().filter(|issuer| issuer.audiences == Audiences::Any);
    lenient.map(|issuer| {
        format!(
            "tokens of {} are accepted for any audience; name the project's id in \
             issuers[].audience (ZITADEL_AUDIENCE)",
            issuer.url
        )
    })
}
