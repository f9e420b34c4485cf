//! What is wrong with a rule file, told with the places and the names that a human looks for.

use crate::finding::{Finding, Findings, Severity, nearest};

use super::entry::{self, FIELDS};
use super::fault::{Fault, Faults, RuleFault};
use super::file::{RawEntry, RuleEntry};
use super::names::Names;
use super::place::{HTTP_METHODS, Place};
use super::rule::Rule;
use super::spot::{FieldPart, Spot, Spots};
use super::warning::RuleWarning;

/// Known names that are listed where none is near.
const MAX_LISTED: usize = 20;
/// Characters of a path in the name of a rule.
const MAX_PATH: usize = 80;

/// Tells of the faults of one file.
pub(super) struct Teller<'a, L> {
    names: &'a Names<L>,
    spots: &'a Spots<'a>,
    findings: Findings,
}

impl<'a, L> Teller<'a, L> {
    pub(super) fn new(names: &'a Names<L>, spots: &'a Spots<'a>) -> Self {
        Self { names, spots, findings: Findings::default() }
    }

    pub(super) fn into_findings(self) -> Findings {
        self.findings
    }

    pub(super) fn has_errors(&self) -> bool {
        self.findings.has_errors()
    }

    /// A list without rules.
    pub(super) fn nothing(&mut self) {
        let message = "there are no rules: every request is answered with 403 no_rule";
        self.findings.add(Finding::warning("no_rules", message).at(1, 1));
    }

    /// What is wrong with one rule, and what is odd.
    pub(super) fn tell_all(&mut self, faults: Faults) {
        let (errors, oddities) = faults.into_parts();
        for fault in &errors {
            self.tell(Severity::Error, fault);
        }
        for oddity in &oddities {
            self.tell(Severity::Warning, oddity);
        }
    }

    pub(super) fn warning(&mut self, rule: &Rule, warning: &RuleWarning) {
        let (spots, danger) = (self.spots, warning.danger());
        self.findings.add_with(Severity::Warning, danger.kind(), || {
            let field = danger.field();
            let spot = spots.field(rule.index(), field, FieldPart::Value);
            let finding = Finding::warning(danger.kind(), warning.to_string());
            place(finding.about(subject_of(rule)), rule.index(), Some(field), None, spot)
                .of_rule(rule.id())
        });
    }

    fn tell(&mut self, severity: Severity, told: &RuleFault) {
        let (names, spots) = (self.names, self.spots);
        let RuleFault { rule, field, item, fault } = told;
        self.findings.add_with(severity, fault.kind(), || {
            let field = field.as_deref();
            let (message, suggestion) = say(fault, field, names);
            let finding = match severity {
                Severity::Error => Finding::error(fault.kind(), message),
                Severity::Warning => Finding::warning(fault.kind(), message),
            };
            let spot = match (field, item) {
                (None, _) => spots.entry(*rule),
                (Some(field), Some(item)) => spots.field(*rule, field, FieldPart::Item(*item)),
                (Some(field), None) => spots.field(*rule, field, part(fault)),
            };
            let head = Head::read(spots.text(*rule));
            let finding = finding.about(head.subject(*rule)).suggest(suggestion.as_deref());
            let finding = place(finding, *rule, field, *item, spot);
            Finding { id: head.id, ..finding }
        });
    }
}

/// What the authorization model lacks, for a rule whose text is no longer at hand.
pub(super) fn about_model(rule: &Rule, field: &str, fault: &Fault) -> Finding {
    let finding = Finding::error(fault.kind(), format!("{field} {fault}"));
    place(finding.about(subject_of(rule)), rule.index(), Some(field), None, rule.spot)
        .of_rule(rule.id())
}

fn place(
    finding: Finding,
    rule: usize,
    field: Option<&str>,
    item: Option<usize>,
    spot: Spot,
) -> Finding {
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let key = match (field, item) {
        (Some(field), Some(item)) => format!("rules[{rule}].{field}[{item}]"),
        (Some(field), None) => format!("rules[{rule}].{field}"),
        (None, _) => format!("rules[{rule}]"),
    };
    finding.at_key(key).at(number(spot.line), number(spot.column))
}

const fn part(fault: &Fault) -> FieldPart {
    match fault {
        Fault::UnknownField | Fault::RepeatedField => FieldPart::Name,
        _ => FieldPart::Value,
    }
}

/// The message, and the name that was probably meant.
fn say<L>(fault: &Fault, field: Option<&str>, names: &Names<L>) -> (String, Option<String>) {
    let text = match (fault, field) {
        (Fault::UnknownField, Some(field)) => format!("unknown field {field:?}"),
        (_, Some(field)) => format!("{field} {fault}"),
        (_, None) => fault.to_string(),
    };
    if let Fault::NearlyReserved { reserved, .. } = fault {
        return (text, Some((*reserved).to_owned()));
    }
    let known = known(fault, field, names);
    let suggestion = field
        .and_then(|field| fault.misspelt(field))
        .and_then(|word| nearest(word, known.iter().copied()));
    match suggestion {
        Some(name) => (text, Some(name.to_owned())),
        None => match fault {
            Fault::NotAMethod { .. } | Fault::OddMethod { .. } => (text, None),
            _ if known.is_empty() => (text, None),
            _ => (format!("{text} (expected {})", list(&known)), None),
        },
    }
}

/// The names that may stand there.
fn known<'n, L>(fault: &Fault, field: Option<&str>, names: &'n Names<L>) -> Vec<&'n str> {
    match fault {
        Fault::UnknownField => FIELDS.to_vec(),
        Fault::UnknownWord { known, .. } => known.to_vec(),
        Fault::NotAMethod { .. } | Fault::OddMethod { .. } => HTTP_METHODS.to_vec(),
        Fault::Undefined { .. } if field == Some("rate_limit") => {
            names.limits.keys().map(String::as_str).collect()
        }
        Fault::Undefined { .. } | Fault::NoOpenFga => {
            names.targets.keys().map(String::as_str).collect()
        }
        _ => Vec::new(),
    }
}

fn list(known: &[&str]) -> String {
    let (listed, more) = known.split_at(known.len().min(MAX_LISTED));
    match (listed, more.len()) {
        ([only], 0) => (*only).to_owned(),
        (listed, 0) => format!("one of {}", listed.join(", ")),
        (listed, more) => format!("one of {} and {more} more", listed.join(", ")),
    }
}

/// What names a rule that cannot be used.
#[derive(Default)]
struct Head {
    /// Method and path as they are written.
    place: String,
    id: Option<String>,
    has_id_of_its_own: bool,
}

impl Head {
    fn read(text: &[u8]) -> Self {
        // Whatever is wrong has been noted when the file was read.
        let mut noted = Faults::of(0);
        let entry = serde_json::from_slice::<RawEntry>(text).ok();
        let Some(entry) = entry.and_then(|entry| entry::read(entry, &mut noted)) else {
            return Self::default();
        };
        let derived = Place::read(&entry, &mut noted).map(|place| String::from(place.derive_id()));
        let place = written_place(&entry);
        let has_id_of_its_own = entry.id.is_some();
        Self { place, id: entry.id.or(derived), has_id_of_its_own }
    }

    fn subject(&self, rule: usize) -> String {
        let id = self.id.as_deref().filter(|_| self.has_id_of_its_own);
        subject(rule, id, &self.place)
    }
}

fn written_place(entry: &RuleEntry) -> String {
    let listed = || entry.methods.as_ref().map(|methods| methods.join(","));
    let methods = entry.method.clone().or_else(listed).unwrap_or_default();
    let host = entry.host.as_deref().unwrap_or_default();
    let path = entry.path.as_deref().unwrap_or_default();
    let path: String = path.chars().take(MAX_PATH).collect();
    format!("{methods} {host}{path}").trim().to_owned()
}

fn subject_of(rule: &Rule) -> String {
    let host = rule.host().map(ToString::to_string).unwrap_or_default();
    let place = format!("{} {host}{}", rule.methods(), rule.pattern().as_str());
    subject(rule.index(), rule.given_id(), &place)
}

/// `rule 3 (GET /api/*path)`, or `rule 3 "reports" (GET /api/*path)`.
fn subject(rule: usize, id: Option<&str>, place: &str) -> String {
    match (id, place) {
        (Some(id), "") => format!("rule {rule} {id:?}"),
        (Some(id), place) => format!("rule {rule} {id:?} ({place})"),
        (None, "") => format!("rule {rule}"),
        (None, place) => format!("rule {rule} ({place})"),
    }
}
