//! The composition root: settings in, wired and running services out.

mod drain;
mod examine;
mod gauges;
mod jobs;
mod memories;
mod services;
mod start_error;

pub use examine::{Examination, examine, examine_rules, leniencies};
pub use services::load_store;
pub use start_error::StartError;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use fga_engine::Store;
use pingora::listeners::ListenerConfig;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use pingora::services::listening::Service;

use crate::admin::AdminApp;
use crate::config::Settings;
use crate::proxy::Proxy;
use crate::telemetry::Sink;
use jobs::Jobs;
use services::Services;

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
        tracing::warn!("{}", leniency.what());
    }
    let has_own_rules = sandbox.as_ref().is_none_or(|sandbox| !sandbox.has_shipped_rules);
    let mut services = Services::build(settings, sink, sandbox.map(|sandbox| sandbox.store))?;
    if has_own_rules {
        services.warn_of_dangers();
    }
    services.count_panics();
    let jobs = services.jobs(settings)?;
    serve(settings, &services, services.proxy(settings, sink)?, jobs);
    Ok(())
}

fn serve(settings: &Settings, services: &Services, proxy: Proxy, jobs: Jobs) {
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
        pingora::apps::http_app::HttpServer::new_app(AdminApp(Arc::new(services.admin(settings))));
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
    server.run(RunArgs { shutdown_signal: Box::new(services.drain(settings)) });
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
