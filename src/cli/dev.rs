//! `auth-gateway dev`: an issuer, an OpenFGA-compatible engine, a sample application and the gateway
//! in front of them, in one process, without files or network.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use fga_engine::{Engine, EngineError, Store, TupleKey};

use super::refuse;
use crate::app::{self, StartError};
use crate::clock::SystemClock;
use crate::config::{self, ConfigError, Origin, Overrides};
use crate::dev::Sandbox;
use crate::telemetry::{self, Sink, TelemetryError};

/// Preferred ports; another one is taken when somebody has these.
const TRAFFIC_PORT: u16 = 3000;
const ADMIN_PORT: u16 = 3001;

/// The deployment guide's authorization model.
const MODEL: &str =
    "model\n  schema 1.1\ntype user\ntype feature\n  relations\n    define viewer: [user]\n";

/// Who may see `feature:report_viewer` at the start.
const VIEWERS: [&str; 2] = ["ann", "carol"];

const RULES: &str = include_str!("../../access_rules.json");

#[derive(Debug, thiserror::Error)]
enum DevError {
    #[error("cannot start the sandbox: {0}")]
    Sandbox(#[from] crate::dev::SandboxError),
    #[error("cannot fill the engine: {0}")]
    Engine(#[from] EngineError),
    #[error("cannot read the model: {0}")]
    Model(#[from] fga_engine::dsl::DslError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Log(#[from] TelemetryError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Runs until a signal ends it.
pub(super) fn run(overrides: Overrides) -> ExitCode {
    let origin = Origin::of(&overrides);
    match serve(overrides) {
        Ok(()) => ExitCode::SUCCESS,
        Err(DevError::Config(error)) => refuse(&format!("the {origin} is not usable"), &error),
        Err(error) => refuse("the sandbox does not start", &error),
    }
}

fn serve(mut overrides: Overrides) -> Result<(), DevError> {
    let engine = Arc::new(Engine::default());
    let store = demo_store(&engine)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let sandbox = runtime.block_on(Sandbox::start(Arc::clone(&engine), Arc::new(SystemClock)))?;

    let listen = overrides.listen.get_or_insert_with(|| free_address(TRAFFIC_PORT)).clone();
    overrides.admin_listen.get_or_insert_with(|| free_address(ADMIN_PORT));
    let own_rules = RulesFile::unless_given(&mut overrides)?;
    let variables = variables(&sandbox, &store);
    let settings = config::load_with(&overrides, &|name| variables.get(name).cloned())?;

    let (sink, writer) = Sink::to_stdout()?;
    telemetry::install("warn", sink.clone())?;
    let welcome = welcome(&listen, &sandbox, &store, &overrides);
    let address = settings.server.listen;
    // The lines are there to be copied, so they come when they work.
    std::thread::spawn(move || {
        if super::health::wait(address) {
            println!("{welcome}");
        }
    });
    let outcome = app::run(&settings, &sink, Some(store));
    drop(writer);
    drop(own_rules);
    Ok(outcome?)
}

fn demo_store(engine: &Engine) -> Result<Arc<Store>, DevError> {
    let store = engine.create_store("auth-gateway");
    store.write_model(fga_engine::dsl::parse(MODEL)?)?;
    let tuple = |user: &&str| TupleKey {
        user: format!("user:{user}"),
        relation: "viewer".to_owned(),
        object: "feature:report_viewer".to_owned(),
        ..TupleKey::default()
    };
    store.load_tuples(VIEWERS.iter().map(tuple).collect())?;
    Ok(store)
}

/// What the deployment guide's variables are in the sandbox.
fn variables(sandbox: &Sandbox, store: &Store) -> HashMap<&'static str, String> {
    HashMap::from([
        ("OPENFGA_URL", sandbox.engine_url()),
        ("OPENFGA_STORE_ID", store.id().to_owned()),
        ("ZITADEL_ISSUER_URL", sandbox.issuer_url().to_owned()),
        ("ZITADEL_API_URL", sandbox.issuer_url().to_owned()),
        ("REDIS_URL", String::new()),
        ("UPSTREAM_URL", sandbox.app_url()),
        ("ALLOWED_ORIGINS", "http://localhost:5173".to_owned()),
        ("ZITADEL_AUDIENCE", sandbox.audience().to_owned()),
        ("ZITADEL_CLIENT_ID", sandbox.client_id().to_owned()),
        ("ZITADEL_CLIENT_SECRET", sandbox.client_secret().to_owned()),
    ])
}

/// `port` on loopback, or any free one.
fn free_address(port: u16) -> String {
    let preferred = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let bound = TcpListener::bind(preferred).or_else(|_| TcpListener::bind(any));
    bound.and_then(|listener| listener.local_addr()).unwrap_or(preferred).to_string()
}

/// A rule file to play with; it goes when the sandbox does.
struct RulesFile(PathBuf);

impl RulesFile {
    fn unless_given(overrides: &mut Overrides) -> std::io::Result<Option<Self>> {
        if overrides.rules.is_some() {
            return Ok(None);
        }
        let folder = std::env::temp_dir().join(format!("auth-gateway-dev-{}", std::process::id()));
        std::fs::create_dir(&folder)?;
        let file = folder.join("access_rules.json");
        std::fs::write(&file, RULES)?;
        overrides.rules = Some(file.display().to_string());
        Ok(Some(Self(folder)))
    }
}

impl Drop for RulesFile {
    fn drop(&mut self) {
        // What is left in the temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn welcome(listen: &str, sandbox: &Sandbox, store: &Store, overrides: &Overrides) -> String {
    let (mint, store) = (sandbox.mint_url(), store.id());
    let rules = overrides.rules.as_deref().unwrap_or_default();
    let bearer =
        |user: &str| format!("-H \"Authorization: Bearer $(curl -s {mint}/token/{user})\"");
    let (ann, bob, carol) = (bearer("ann"), bearer("bob"), bearer("carol"));
    let write = |change: &str| {
        format!(
            "curl -s -X POST http://{listen}/stores/{store}/write -H 'Content-Type: application/json' \
             -d '{{\"{change}\":{{\"tuple_keys\":[{{\"user\":\"user:bob\",\"relation\":\"viewer\",\
             \"object\":\"feature:report_viewer\"}}]}}}}'"
        )
    };
    format!(
        "gateway      http://{listen}
admin        http://{admin}/readyz
issuer       {issuer}   (tokens of ann, bob, carol or anybody: {mint})
openfga      {engine}   (embedded engine, store {store})
application  {app}
rules        {rules}   (edit it: changes are effective at once)

# allowed: ann is a viewer of feature:report_viewer
curl -si {ann} http://{listen}/api/reports
# denied: bob is not (403)
curl -si {bob} http://{listen}/api/reports
# unauthenticated (401)
curl -si http://{listen}/api/reports
# grant it to bob, effective at once
{grant}
curl -si {bob} http://{listen}/api/reports
# take it back
{revoke}
curl -si {bob} http://{listen}/api/reports
# rate limited: 100 requests a minute for each principal, then 429
for i in $(seq 1 105); do curl -s -o /dev/null -w '%{{http_code}} ' {carol} http://{listen}/api/reports; done; echo

Ctrl-C stops everything. One log line per request follows.
",
        admin = overrides.admin_listen.as_deref().unwrap_or_default(),
        issuer = sandbox.issuer_url(),
        engine = sandbox.engine_url(),
        app = sandbox.app_url(),
        grant = write("writes"),
        revoke = write("deletes"),
    )
}
