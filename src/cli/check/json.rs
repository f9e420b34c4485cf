//! The report as one JSON document, for machines.

use std::io::{self, Write};

use serde::Serialize;

use super::CheckReport;
use crate::config::Origin;
use crate::finding::{Finding, Omitted, Severity};
use crate::rules::RuleSet;

#[derive(Serialize)]
struct Document<'a> {
    errors: Vec<&'a Finding>,
    warnings: Vec<&'a Finding>,
    summary: Summary<'a>,
}

#[derive(Serialize)]
struct Summary<'a> {
    /// All of them, those that are omitted included.
    errors: usize,
    warnings: usize,
    omitted: Vec<Omitted>,
    /// Absent where the built-in configuration was looked at.
    configuration: Option<String>,
    rules_file: Option<String>,
    /// How many rules would be in force, where nothing is wrong.
    rules: Option<usize>,
    version: Option<&'a str>,
    /// What has answered; absent where nobody was asked.
    reached: Option<&'a [String]>,
}

pub(super) fn write(out: &mut impl Write, report: &CheckReport) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &document(report))?;
    writeln!(out)?;
    out.flush()
}

fn document(report: &CheckReport) -> Document<'_> {
    let size = |finding: &Finding| serde_json::to_string(finding).map_or(0, |text| text.len());
    let (told, omitted) = report.findings.fitting(size);
    let (errors, warnings) =
        told.into_iter().partition(|finding| finding.severity == Severity::Error);
    let rules = report.understood.as_ref().map(|(_, policy)| policy.rules());
    let summary = Summary {
        errors: report.findings.count(Severity::Error),
        warnings: report.findings.count(Severity::Warning),
        omitted,
        configuration: match &report.origin {
            Origin::File(path) => Some(path.display().to_string()),
            Origin::Defaults => None,
        },
        rules_file: report.rules_file.as_ref().map(|file| file.display().to_string()),
        rules: rules.map(|rules| rules.rules().len()),
        version: rules.map(RuleSet::version),
        reached: report.reached.as_deref(),
    };
    Document { errors, warnings, summary }
}
