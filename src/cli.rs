//! The command line.

mod check;
mod dev;
mod engine;
mod health;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::app::StartError;
use crate::config::{self, Origin, Overrides, Settings};
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

/// What commands that read the configuration take, before their word or after it.
#[derive(Debug, Default, Args)]
struct Options {
    /// Configuration file, laid over the built-in defaults [default: conf/gateway.yaml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Rule file; wins over rules.file
    #[arg(long, value_name = "FILE")]
    rules: Option<String>,
    /// Traffic address; wins over server.listen
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Operators' address; wins over admin.listen
    #[arg(long, value_name = "ADDR:PORT")]
    admin_listen: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default)
    Run(Options),
    /// Tell what configuration and rules mean, or what is wrong with them (exit status 78)
    Check(check::Options),
    /// Start everything embedded: an issuer, an OpenFGA engine, a sample application, the gateway
    Dev(dev::Options),
    /// Decode and verify one token as the gateway would (exit status 1 when it does not verify)
    Token(token::Options),
    /// Serve OpenFGA's HTTP API on the embedded engine, in memory
    Engine(engine::Options),
    /// Ask the running gateway on this machine whether it is healthy (for container probes)
    Health(Options),
}

/// Runs the command line `cli`.
pub fn run(cli: Cli) -> ExitCode {
    let before = cli.options;
    match cli.command.unwrap_or_else(|| Command::Run(Options::default())) {
        Command::Run(after) => serve(&before.and(after)),
        Command::Check(check::Options { common, manner }) => {
            check::run(&before.and(common), manner)
        }
        Command::Dev(after) => dev::run(before, after),
        Command::Token(options) => token::run(before, options),
        Command::Engine(options) => engine::run(&options, before.listen.as_deref()),
        Command::Health(after) => {
            with_settings(&before.and(after), |settings| health::ask(settings.server.listen))
        }
    }
}

impl Options {
    /// What stands after a command's word wins.
    fn and(self, after: Self) -> Overrides {
        Overrides {
            config: after.config.or(self.config),
            rules: after.rules.or(self.rules),
            listen: after.listen.or(self.listen),
            admin_listen: after.admin_listen.or(self.admin_listen),
            stand_ins: Vec::new(),
        }
    }
}

fn with_settings(overrides: &Overrides, act: impl FnOnce(&Settings) -> ExitCode) -> ExitCode {
    match config::load(overrides) {
        Ok(settings) => act(&settings),
        Err(error) if error.is_of_nothing() => explain_variables(),
        Err(error) => refuse(&format!("the {} is not usable", Origin::of(overrides)), &error),
    }
}

fn serve(overrides: &Overrides) -> ExitCode {
    let settings = match config::load(overrides) {
        Ok(settings) => settings,
        Err(error) if error.is_of_nothing() => return explain_variables(),
        Err(error) => return refuse_all(overrides, &error),
    };
    let (sink, writer) = match Sink::to_stdout() {
        Ok(pair) => pair,
        Err(error) => return refuse("standard output cannot be written", &error),
    };
    if let Err(error) = telemetry::install(&settings.log.level, sink.clone()) {
        return refuse("the log cannot be set up", &error);
    }
    let outcome = app::run(&settings, &sink, None);
    drop(writer);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ StartError::Listen { .. }) => {
            eprintln!("auth-gateway: {error}");
            ExitCode::FAILURE
        }
        Err(error) => refuse_all(overrides, &error),
    }
}

/// The command line is no command of ours; the status is clap's.
fn usage(hint: &str) -> ExitCode {
    eprintln!("auth-gateway: {hint}");
    ExitCode::from(2)
}

/// Whoever has configured nothing is helped more by two lines than by all that is missing.
fn explain_variables() -> ExitCode {
    eprintln!(
        "auth-gateway: nothing is configured: set {} (the last two may be empty), or name a file with --config",
        config::VARIABLES.join(", ")
    );
    eprintln!("to see it work without any of that: auth-gateway dev");
    ExitCode::from(EXIT_CONFIG)
}

fn refuse(what: &str, error: &impl std::fmt::Display) -> ExitCode {
    eprintln!("auth-gateway: {what}:");
    for line in error.to_string().lines() {
        eprintln!("  {line}");
    }
    ExitCode::from(EXIT_CONFIG)
}

/// Tells everything that is wrong with the files, and not only `error`, which came first.
fn refuse_all(overrides: &Overrides, error: &impl std::fmt::Display) -> ExitCode {
    let report = check::CheckReport::of(overrides);
    if !report.has_errors() {
        return refuse("the gateway does not start", error);
    }
    // Whoever cannot read standard error gets the status.
    let _ = report.refuse(&mut std::io::stderr().lock());
    ExitCode::from(EXIT_CONFIG)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn overrides(words: &[&str]) -> Overrides {
        let cli = Cli::try_parse_from([&["auth-gateway"], words].concat()).unwrap();
        let Some(Command::Check(after)) = cli.command else { panic!("check") };
        cli.options.and(after.common)
    }

    #[test]
    fn options_stand_before_or_after_the_command() {
        let found = overrides(&["--rules", "a", "--listen", "b", "check", "--rules", "c"]);
        assert_eq!((found.rules.as_deref(), found.listen.as_deref()), (Some("c"), Some("b")));
    }

    #[test]
    fn the_engine_takes_only_what_it_uses() {
        let mut cli = Cli::command();
        cli.build();
        let engine = cli.find_subcommand_mut("engine").unwrap();
        let help = engine.render_help().to_string();
        assert!(help.contains("--listen <ADDR:PORT>") && help.contains("127.0.0.1:8080"), "{help}");
        for absent in ["--config", "--rules", "--admin-listen", "server.listen"] {
            assert!(!help.contains(absent), "{help}");
        }
        assert!(Cli::try_parse_from(["auth-gateway", "engine", "--rules", "x"]).is_err());
    }
}
