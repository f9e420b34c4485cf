//! `auth-gateway dev`: an issuer, an OpenFGA-compatible engine, a sample application and the gateway
//! in front of them, in one process, without network and without files but those that are named.

mod ports;
mod welcome;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use fga_engine::{Engine, EngineError, Store, TupleKey};

use super::{health, refuse};
use crate::app::{self, StartError};
use crate::clock::SystemClock;
use crate::config::{self, ConfigError, Origin, Overrides, Settings};
use crate::dev::Sandbox;
use crate::telemetry::{self, Sink, TelemetryError};
use ports::{Asked, NoPorts};
use welcome::Places;

/// The deployment guide's authorization model.
const MODEL: &str =
    "model\n  schema 1.1\ntype user\ntype feature\n  relations\n    define viewer: [user]\n";

/// Who may see `feature:report_viewer` at the start.
const VIEWERS: [&str; 2] = ["ann", "carol"];

const RULES: &str = include_str!("../../access_rules.json");

/// Where a configuration names the rules.
const RULES_FILE: &str = "/rules/file";

/// As `run` has them, but that no file is read that is not named.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Configuration file, laid over what the sandbox needs [default: none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Rule file [default: an example, in the temporary folder]
    #[arg(long, value_name = "FILE")]
    rules: Option<String>,
    /// First of four ports: gateway, admin, issuer, application; 0 for any [default: 3000, or the next four]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Traffic address, instead of the first port
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Operators' address, instead of the second port
    #[arg(long, value_name = "ADDR:PORT")]
    admin_listen: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum DevError {
    #[error("{key}: {text:?} is not an address and port like 127.0.0.1:3000")]
    Address { key: &'static str, text: String },
    #[error(transparent)]
    Ports(#[from] NoPorts),
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
    #[error("cannot write example rules to {}: {cause}", path.display())]
    Example { path: PathBuf, cause: std::io::Error },
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl DevError {
    /// Whether nothing will change until somebody changes what is configured.
    const fn is_configuration(&self) -> bool {
        match self {
            Self::Start(error) => !matches!(error, StartError::Listen { .. }),
            Self::Ports(_) | Self::Sandbox(_) | Self::Example { .. } | Self::Io(_) => false,
            _ => true,
        }
    }
}

/// Runs until a signal ends it; what stands after the command's word wins.
pub(super) fn run(before: super::Options, after: Options) -> ExitCode {
    let port = after.port;
    let overrides = before.and(super::Options {
        config: after.config,
        rules: after.rules,
        listen: after.listen,
        admin_listen: after.admin_listen,
    });
    let origin = overrides.config.as_ref().map_or(Origin::Defaults, |_| Origin::of(&overrides));
    match serve(&origin, overrides, port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(DevError::Config(error)) => refuse(&format!("the {origin} is not usable"), &error),
        Err(error) if error.is_configuration() => refuse("the sandbox does not start", &error),
        Err(error) => {
            eprintln!("auth-gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(origin: &Origin, mut overrides: Overrides, port: Option<u16>) -> Result<(), DevError> {
    let claim = ports::claim(asked(origin, &overrides, port)?)?;
    let moves = claim.moves()?;
    overrides.listen = Some(claim.gateway.to_string());
    overrides.admin_listen = Some(claim.admin.to_string());
    let example = match config::written(origin, RULES_FILE, &config::environment)? {
        None if overrides.rules.is_none() => Some(ExampleRules::write()?),
        _ => None,
    };
    overrides.rules = example.as_ref().map(ExampleRules::path).or(overrides.rules);

    let engine = Arc::new(Engine::default());
    let mut store = demo_store(&engine)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let clock = Arc::new(SystemClock);
    let sandbox = Sandbox::start(claim.issuer, claim.app, Arc::clone(&engine), clock);
    let sandbox = runtime.block_on(sandbox)?;
    let settings = settings(&mut overrides, &sandbox, &store)?;
    if let Some(embedded) = &settings.embedded {
        engine.delete_store(store.id());
        store = app::load_store(&engine, embedded)?;
    }

    let (sink, writer) = Sink::to_stdout()?;
    sink.hold();
    telemetry::install(&settings.log.level, sink.clone())?;
    let welcome = welcome::text(&Places {
        gateway: health::reachable(settings.server.listen),
        admin: health::reachable(settings.admin.listen),
        sandbox: &sandbox,
        store: store.id(),
        rules: &settings.rules.file.display().to_string(),
        moves: moves.as_deref(),
        is_example: example.is_some() && settings.embedded.is_none(),
    });
    greet(settings.server.listen, sink.clone(), welcome);
    let has_shipped_rules = example.is_some();
    drop(claim.held);
    let outcome = app::run(&settings, &sink, Some(app::Sandbox { store, has_shipped_rules }));
    drop(writer);
    drop(example);
    Ok(outcome?)
}

/// The addresses that the command line or the configuration names.
fn asked(origin: &Origin, overrides: &Overrides, port: Option<u16>) -> Result<Asked, DevError> {
    let address = |key, given: &Option<String>, pointer| {
        let text = match given {
            Some(text) => Some(text.clone()),
            None => config::written(origin, pointer, &config::environment)?,
        };
        let parse = |text: String| text.parse().map_err(|_| DevError::Address { key, text });
        text.map(parse).transpose()
    };
    Ok(Asked {
        gateway: address(app::SERVER_LISTEN, &overrides.listen, "/server/listen")?,
        admin: address(app::ADMIN_LISTEN, &overrides.admin_listen, "/admin/listen")?,
        port,
    })
}

/// What is configured, with the sandbox in place of the deployment guide's variables.
fn settings(
    overrides: &mut Overrides,
    sandbox: &Sandbox,
    store: &Store,
) -> Result<Settings, ConfigError> {
    overrides.stand_ins = vec![
        ("/log/level", "warn".to_owned()),
        // Served here whatever decides, so it is there to be named.
        ("/upstreams/openfga/url", sandbox.engine_url()),
    ];
    let variables = variables(sandbox, store);
    let ours = |name: &str| variables.get(name).cloned();
    match overrides.config {
        // Without a file that asks for them, variables that are set for something else mean nothing.
        None => config::parse("", overrides, &ours),
        Some(_) => {
            config::load_with(overrides, &|name| ours(name).or_else(|| config::environment(name)))
        }
    }
}

/// The lines are there to be copied, so they come when they work, and before all others.
fn greet(address: SocketAddr, sink: Sink, welcome: String) {
    std::thread::spawn(move || {
        if !health::wait(address) {
            sink.release("not healthy after ten seconds; this is what the log says:\n");
            while !health::wait(address) {}
        }
        sink.release(&welcome);
    });
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
        // In place of the secret where it is set.
        ("ZITADEL_KEY_FILE", String::new()),
    ])
}

/// A rule file to play with; it goes when the sandbox does.
struct ExampleRules(PathBuf);

impl ExampleRules {
    fn write() -> Result<Self, DevError> {
        let folder = std::env::temp_dir().join(format!("auth-gateway-dev-{}", std::process::id()));
        let written = std::fs::create_dir(&folder)
            .and_then(|()| std::fs::write(folder.join("access_rules.json"), RULES));
        match written {
            Ok(()) => Ok(Self(folder)),
            Err(cause) => Err(DevError::Example { path: folder, cause }),
        }
    }

    fn path(&self) -> String {
        self.0.join("access_rules.json").display().to_string()
    }
}

impl Drop for ExampleRules {
    fn drop(&mut self) {
        // What is left in the temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
