//! `auth-gateway check`: what configuration and rules mean, or everything that is wrong with them.

mod json;
mod online;
mod page;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{EXIT_CONFIG, explain_variables};
use crate::app::{self, Examination};
use crate::config::{self, Origin, Overrides, Settings};
use crate::finding::{Finding, Findings, Grouped, Severity};
use crate::gate::policy::Policy;

/// What `check` takes besides.
#[derive(Debug, Default, Args)]
#[group(skip)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) common: super::Options,
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// How the files are looked at, and told about.
#[derive(Clone, Copy, Debug, Default, Args)]
#[group(skip)]
pub(super) struct Manner {
    /// Print one JSON document, {errors, warnings, summary}, and nothing else
    #[arg(long)]
    json: bool,
    /// Also ask the issuers, OpenFGA, Redis and the upstreams, and whether the ports are free
    #[arg(long)]
    online: bool,
}

/// Everything that one look at the files has brought.
pub(super) struct CheckReport {
    origin: Origin,
    rules_file: Option<PathBuf>,
    findings: Findings,
    /// Whether nobody has configured anything yet.
    is_of_nothing: bool,
    /// What would run, where nothing is wrong.
    understood: Option<(Settings, Policy)>,
    /// What has answered, where anybody was asked.
    reached: Option<Vec<String>>,
}

/// Tells about the files; exit status 78 when the gateway would not start with them.
pub(super) fn run(overrides: &Overrides, manner: Manner) -> ExitCode {
    let mut report = CheckReport::of(overrides);
    if manner.online {
        report.ask();
    }
    let told = match &report.understood {
        _ if manner.json => json::write(&mut io::stdout().lock(), &report),
        Some((settings, policy)) if !report.has_errors() => {
            let out = &mut io::stdout().lock();
            page::write(out, settings, policy)
                .and_then(|()| report.write_reached(out))
                .and_then(|()| report.write_warnings(out))
        }
        None if report.is_of_nothing => return explain_variables(),
        _ => report.refuse(&mut io::stderr().lock()),
    };
    match told {
        Ok(()) => report.status(),
        Err(_) => ExitCode::FAILURE,
    }
}

impl CheckReport {
    /// Looks at the configuration and at the rules, whatever is wrong with either.
    pub(super) fn of(overrides: &Overrides) -> Self {
        let origin = Origin::of(overrides);
        match config::load(overrides) {
            Ok(settings) => {
                let Examination { findings, policy } = app::examine(&settings);
                Self {
                    rules_file: Some(settings.rules.file.clone()),
                    findings: in_file(findings, &origin),
                    is_of_nothing: false,
                    understood: policy.map(|policy| (settings, policy)),
                    reached: None,
                    origin,
                }
            }
            Err(error) => {
                let mut findings = in_file(error.findings(), &origin);
                findings.extend(
                    error.rule_names.as_deref().map(app::examine_rules).unwrap_or_default(),
                );
                let is_of_nothing = error.is_of_nothing();
                let rules_file = error.rule_names.map(|names| names.file);
                Self {
                    rules_file,
                    findings,
                    is_of_nothing,
                    understood: None,
                    reached: None,
                    origin,
                }
            }
        }
    }

    /// Asks what the files name, unless they are wrong already.
    fn ask(&mut self) {
        let Some((settings, policy)) = &self.understood else { return };
        match online::ask(settings, policy) {
            Ok(online) => {
                self.findings.extend(in_file(online.findings, &self.origin));
                self.reached = Some(online.reached);
            }
            Err(error) => self.findings.add(Finding::error("online", error.to_string())),
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        self.findings.has_errors()
    }

    fn status(&self) -> ExitCode {
        if self.has_errors() { ExitCode::from(EXIT_CONFIG) } else { ExitCode::SUCCESS }
    }

    /// Writes what is wrong, and what is odd besides.
    pub(super) fn refuse(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "auth-gateway: {}:", self.heading())?;
        for line in self.findings.to_string().lines() {
            writeln!(out, "  {line}")?;
        }
        self.write_counts(out)
    }

    /// Which of the files are wrong.
    fn heading(&self) -> String {
        let rules_file = self.rules_file.as_ref().map(|file| file.display().to_string());
        let errors = self.findings.iter().filter(|found| found.severity == Severity::Error);
        let is_of_rules = |error: &&Finding| error.file.is_some() && error.file == rules_file;
        let (rules, configuration): (Vec<_>, Vec<_>) = errors.partition(is_of_rules);
        match (!configuration.is_empty(), !rules.is_empty()) {
            (true, _) if self.understood.is_some() => {
                format!("not everything is as the {} has it", self.origin)
            }
            (true, true) => format!("the {} and the rules are not usable", self.origin),
            (true, false) => format!("the {} is not usable", self.origin),
            _ => "the rules are not usable".to_owned(),
        }
    }

    fn write_reached(&self, out: &mut impl Write) -> io::Result<()> {
        for line in self.reached.iter().flatten() {
            writeln!(out, "reached     {line}")?;
        }
        Ok(())
    }

    fn write_warnings(&self, out: &mut impl Write) -> io::Result<()> {
        for line in self.findings.to_string().lines() {
            writeln!(out, "{line}")?;
        }
        self.write_counts(out)
    }

    fn write_counts(&self, out: &mut impl Write) -> io::Result<()> {
        let count = |severity, word: &str| {
            let number = self.findings.count(severity);
            let plural = if number == 1 { "" } else { "s" };
            format!("{} {word}{plural}", Grouped(number))
        };
        let errors = count(Severity::Error, "error");
        writeln!(out, "{errors}, {}", count(Severity::Warning, "warning"))
    }
}

/// What names no file is about the configuration.
fn in_file(findings: Findings, origin: &Origin) -> Findings {
    match origin {
        Origin::File(path) => findings.in_file(path),
        Origin::Defaults => findings,
    }
}
