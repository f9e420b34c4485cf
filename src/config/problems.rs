//! Mistakes, collected while a file is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::key::{join, lineage};
use super::yaml::{Aim, locate};
use crate::finding::{Finding, Findings, Severity};
use crate::span::Span;

/// Kinds of mistakes.
pub(super) const BAD_VALUE: &str = "bad_value";
pub(super) const MISSING: &str = "missing_value";
pub(super) const UNKNOWN_KEY: &str = "unknown_key";
pub(super) const REPEATED_KEY: &str = "repeated_key";
pub(super) const UNREADABLE: &str = "unreadable";
pub(super) const UNSET: &str = "unset_variable";

/// What has been found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// What the operator wrote, where mistakes are pointed at.
    text: String,
    findings: Findings,
    /// Keys whose values are stand-ins, so that what they lie among can still be checked.
    replaced: BTreeSet<String>,
    /// Whom a key's value comes from, where that is not the file itself.
    sources: BTreeMap<String, Vec<String>>,
    /// Variables that should be there.
    unset: BTreeSet<String>,
}

impl Problems {
    /// Of the file that says `text`.
    pub(super) fn of(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    /// Notes a wrong value, unless it is a stand-in.
    pub(super) fn add(&mut self, key: impl AsRef<str>, message: impl Into<String>) {
        self.note(BAD_VALUE, key.as_ref(), message.into());
    }

    /// Notes that there should be a value, or another one than an empty one.
    pub(super) fn require(&mut self, key: impl AsRef<str>, message: impl Into<String>) {
        self.note(MISSING, key.as_ref(), message.into());
    }

    fn note(&mut self, kind: &'static str, key: &str, message: String) {
        if self.is_replaced(key) {
            return;
        }
        let Self { text, findings, sources, .. } = self;
        findings.add_with(Severity::Error, kind, || {
            let told = match sources.get(key) {
                Some(sources) => format!("{message} (from {})", sources.join(", ")),
                None => message,
            };
            let finding = Finding::error(kind, told).at_key(key);
            match place(text, kind, key) {
                Some((line, column)) => finding.at(line, column),
                None => finding,
            }
        });
    }

    /// Notes a key that its mapping has already.
    pub(super) fn repeat(&mut self, key: &str) {
        self.note(REPEATED_KEY, key, "is there twice; the first one was read".to_owned());
    }

    /// Notes a key that nobody reads in the mapping at `parent`.
    pub(super) fn unknown<'a>(
        &mut self,
        parent: &str,
        name: &str,
        suggestion: impl FnOnce() -> Option<&'a str>,
    ) {
        let Self { text, findings, .. } = self;
        findings.add_with(Severity::Error, UNKNOWN_KEY, || {
            // What stands behind the colon was meant to be the value, and may be a secret.
            let (shown, message) = match name.split_once(':') {
                Some((shown, _)) => (shown, "unknown key; a blank has to follow its colon"),
                None => (name, "unknown key"),
            };
            let finding = Finding::error(UNKNOWN_KEY, message).at_key(join(parent, shown));
            let finding = finding.suggest(suggestion());
            match locate(text, &join(parent, name), Aim::Name) {
                Some((line, column)) => finding.at(line, column),
                None => finding,
            }
        });
    }

    /// Notes a wrong value that a stand-in takes the place of.
    pub(super) fn replace(&mut self, kind: &'static str, key: &str, message: String) {
        self.note(kind, key, message);
        self.replaced.insert(key.to_owned());
    }

    /// Notes that the value of `key` comes from somebody else than the file.
    pub(super) fn comes_from(&mut self, key: &str, sources: Vec<String>) {
        if !sources.is_empty() {
            self.sources.insert(key.to_owned(), sources);
        }
    }

    /// Notes a variable that should be there.
    pub(super) fn miss_variable(&mut self, name: &str) {
        self.unset.insert(name.to_owned());
    }

    /// The value of a result; its error is noted under `key`.
    pub(super) fn take<T, E: fmt::Display>(
        &mut self,
        key: impl AsRef<str>,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(key, error.to_string())).ok()
    }

    /// Zero means off for some servers, and at once for others.
    pub(super) fn refuse_zero(&mut self, section: &str, spans: &[(&str, Span)]) {
        for (name, _) in spans.iter().filter(|(_, span)| span.0.is_zero()) {
            self.add(format!("{section}.{name}"), "must not be zero");
        }
    }

    /// Whether the value of `key`, or something that it lies in, is a stand-in.
    pub(super) fn is_replaced(&self, key: &str) -> bool {
        lineage(key).any(|ancestor| self.replaced.contains(ancestor))
    }

    /// Whether something is told of exactly this key.
    pub(super) fn are_about(&self, key: &str) -> bool {
        self.findings.iter().any(|finding| finding.key == key)
    }

    /// Whether nothing was noted.
    pub(super) fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// Everything that was noted, and the variables that should be there.
    pub(super) fn into_parts(self) -> (Findings, BTreeSet<String>) {
        (self.findings, self.unset)
    }
}

/// What is missing is looked for where it would have to be.
fn place(text: &str, kind: &str, key: &str) -> Option<(usize, usize)> {
    match kind {
        REPEATED_KEY => locate(text, key, Aim::SecondName),
        MISSING => lineage(key).rev().find_map(|ancestor| locate(text, ancestor, Aim::Name)),
        _ => locate(text, key, Aim::Value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_for_a_mistake_makes_no_other() {
        let mut problems = Problems::default();
        problems.replace(MISSING, "issuers[0].url", "is missing".to_owned());
        problems.replace(BAD_VALUE, "redis", "is a string".to_owned());
        for key in ["issuers[0].url", "redis.url", "redis"] {
            problems.add(key, "again");
        }
        let others = ["issuers[0]", "issuers[0].urls", "issuers[1].url", "rediss"];
        for key in others {
            problems.add(key, "another");
        }
        let (findings, _) = problems.into_parts();
        let keys: Vec<_> = findings.iter().map(|finding| finding.key.as_str()).collect();
        assert_eq!(keys, [&["issuers[0].url", "redis"][..], &others].concat());
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        let text = "redis:\n  url: x\n  url: y\n  colour: red\nupstreams:\n  a: {host: b}\n";
        let mut problems = Problems::of(text);
        problems.comes_from("redis.url", vec!["REDIS_URL".to_owned()]);
        problems.add("redis.url", "is wrong");
        problems.note(REPEATED_KEY, "redis.url", "again".to_owned());
        problems.unknown("redis", "colour", || None);
        problems.require("upstreams.a.url", "is missing");
        problems.add("server.listen", "is shipped");
        let (findings, _) = problems.into_parts();
        let places: Vec<_> = findings.iter().map(|found| found.line.zip(found.column)).collect();
        assert_eq!(places, [Some((2, 8)), Some((3, 3)), Some((4, 3)), Some((6, 3)), None]);
        assert!(findings.to_string().starts_with("redis.url: is wrong (from REDIS_URL)\n"));
    }
}
