//! The command line.

mod check;
mod dev;
mod engine;
mod health;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::app::StartError;
use crate::config::{self, Origin, Overrides};
use crate::telemetry::Sink;
use crate::{app, telemetry};

/// `EX_CONFIG` of sysexits.h: the configuration is wrong, trying again will not help.
const EXIT_CONFIG: u8 = 78;

/// Verifies, limits and authorises requests, then proxies them.
#[derive(Debug, Parser)]
#[command(name = "auth-gateway", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
struct Options {
    /// Configuration file, laid over the built-in defaults [default: conf/gateway.yaml if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Rule file; wins over rules.file
    #[arg(long, global = true, value_name = "FILE")]
    rules: Option<String>,
    /// Traffic address; wins over server.listen
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Operators' address; wins over admin.listen
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    admin_listen: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default)
    Run,
    /// Tell what configuration and rules mean, or what is wrong with them (exit status 78)
    Check,
    /// Start everything embedded: an issuer, an OpenFGA engine, a sample application, the gateway
    Dev,
    /// Serve OpenFGA's HTTP API on the embedded engine, in memory (--listen, default 127.0.0.1:8080)
    Engine(engine::Options),
    /// Ask the running gateway on this machine whether it is healthy (for container probes)
    Health,
}

/// Runs the command line `cli`.
pub fn run(cli: Cli) -> ExitCode {
    let options = cli.options;
    let overrides = Overrides {
        config: options.config,
        rules: options.rules,
        listen: options.listen,
        admin_listen: options.admin_listen,
    };
    match &cli.command {
        Some(Command::Dev) => return dev::run(overrides),
        Some(Command::Engine(options)) => return engine::run(options, overrides.listen.as_deref()),
        Some(Command::Run | Command::Check | Command::Health) | None => {}
    }
    let origin = Origin::of(&overrides);
    let settings = match config::load(&overrides) {
        Ok(settings) => settings,
        Err(error) => return refuse(&format!("the {origin} is not usable"), &error),
    };
    match cli.command {
        Some(Command::Check) => match app::check_rules(&settings) {
            Ok(policy) => check::print(&settings, &policy),
            Err(error @ StartError::Rules { .. }) => refuse("the rules are not usable", &error),
            Err(error) => refuse(&format!("the {origin} is not usable"), &error),
        },
        Some(Command::Health) => health::ask(settings.server.listen),
        _ => serve(&settings),
    }
}

fn serve(settings: &config::Settings) -> ExitCode {
    let (sink, writer) = match Sink::to_stdout() {
        Ok(pair) => pair,
        Err(error) => return refuse("standard output cannot be written", &error),
    };
    if let Err(error) = telemetry::install(&settings.log.level, sink.clone()) {
        return refuse("the log cannot be set up", &error);
    }
    let outcome = app::run(settings, &sink, None);
    drop(writer);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ StartError::Listen { .. }) => {
            eprintln!("auth-gateway: {error}");
            ExitCode::FAILURE
        }
        Err(error) => refuse("the gateway does not start", &error),
    }
}

fn refuse(what: &str, error: &impl std::fmt::Display) -> ExitCode {
    eprintln!("auth-gateway: {what}:");
    for line in error.to_string().lines() {
        eprintln!("  {line}");
    }
    ExitCode::from(EXIT_CONFIG)
}
