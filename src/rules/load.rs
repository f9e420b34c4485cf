//! From the text of a rule file to its rules.

use std::sync::Arc;

use crate::finding::{Finding, Findings};

use super::build::build;
use super::entry::read;
use super::fault::Faults;
use super::file::RawEntry;
use super::index::Index;
use super::names::{Links, Names};
use super::place::{Claims, Place};
use super::rule::Rule;
use super::spot::Spots;
use super::tell::Teller;
use super::warning::RuleWarning;

/// Bytes in a rule file.
pub(super) const MAX_FILE: usize = 4 * 1024 * 1024;
/// What some editors put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

pub(super) struct Loaded<L> {
    pub(super) rules: Vec<Arc<Rule>>,
    /// What the names in each rule stand for, in the same order.
    pub(super) links: Vec<Links<L>>,
    pub(super) index: Index,
    /// What is odd.
    pub(super) findings: Findings,
}

pub(super) fn load<L: Clone>(bytes: &[u8], names: &Names<L>) -> Result<Loaded<L>, Findings> {
    if bytes.len() > MAX_FILE {
        let message = format!("the file has {} bytes (allowed {MAX_FILE})", bytes.len());
        return Err(Finding::error("file_too_large", message).into());
    }
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let entries: Vec<RawEntry> = serde_json::from_slice(text).map_err(|error| no_list(&error))?;
    let spots = Spots::of(text);
    let mut teller = Teller::new(names, &spots);
    if entries.is_empty() {
        teller.nothing();
    }
    let mut rules = Vec::with_capacity(entries.len());
    let mut links = Vec::with_capacity(entries.len());
    let mut index = Index::default();
    let mut claims = Claims::default();
    for (position, entry) in entries.into_iter().enumerate() {
        let mut faults = Faults::of(position);
        if let Some(entry) = read(entry, &mut faults) {
            let place = Place::read(&entry, &mut faults);
            claims.claim(position, entry.id.as_deref(), place.as_ref(), &mut faults);
            let spot = spots.entry(position);
            if let Some((rule, linked)) = build((position, spot), place, entry, names, &mut faults)
            {
                let rule = Arc::new(rule);
                index.insert(&rule);
                rules.push(rule);
                links.push(linked);
            }
        }
        teller.tell_all(faults);
    }
    if teller.has_errors() {
        return Err(teller.into_findings());
    }
    for warning in RuleWarning::all(&rules, &index, names) {
        if let Some(rule) = rules.get(warning.rule()) {
            teller.warning(rule, &warning);
        }
    }
    Ok(Loaded { rules, links, index, findings: teller.into_findings() })
}

fn no_list(error: &serde_json::Error) -> Findings {
    let text = error.to_string();
    // The place is told before the message, as for every other mistake.
    let cause = text.rsplit_once(" at line ").map_or(&*text, |(cause, _)| cause);
    let finding = if error.is_data() {
        Finding::error("not_a_list", format!("the file must be a list of rules: {cause}"))
    } else {
        Finding::error("bad_json", format!("the file is not valid JSON: {cause}"))
    };
    finding.at(error.line().max(1), error.column().max(1)).into()
}
