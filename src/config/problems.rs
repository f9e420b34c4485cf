//! Mistakes, collected while a file is read.

use std::collections::BTreeSet;
use std::fmt;

use crate::span::Span;

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path of the key, empty for the file as a whole.
    pub key: String,
    /// What is wrong and what is accepted; never a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.key, self.message)
        }
    }
}

/// What has been found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<Problem>,
    /// Keys whose values are stand-ins, so that what they lie among can still be checked.
    replaced: BTreeSet<String>,
}

impl Problems {
    /// Notes a mistake, unless it is one of a stand-in.
    pub(super) fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        let key = key.into();
        if !self.is_replaced(&key) {
            self.list.push(Problem { key, message: message.into() });
        }
    }

    /// Notes a mistake whose value a stand-in takes the place of.
    pub(super) fn replace(&mut self, key: impl Into<String>, message: impl Into<String>) {
        let key = key.into();
        self.add(key.clone(), message);
        self.replaced.insert(key);
    }

    /// The value of a result; its error is noted under `key`.
    pub(super) fn take<T, E: fmt::Display>(
        &mut self,
        key: impl Into<String>,
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
        let ends = key.match_indices(['.', '[']).map(|(at, _)| at);
        let mut lineage = ends.chain([key.len()]).filter_map(|end| key.get(..end));
        lineage.any(|ancestor| self.replaced.contains(ancestor))
    }

    /// Everything that was noted.
    pub(super) fn into_list(self) -> Vec<Problem> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_for_a_mistake_makes_no_other() {
        let mut problems = Problems::default();
        problems.replace("issuers[0].url", "is missing");
        problems.replace("redis", "is a string");
        for key in ["issuers[0].url", "redis.url", "redis"] {
            problems.add(key, "again");
        }
        for key in ["issuers[0]", "issuers[0].urls", "issuers[1].url", "rediss"] {
            problems.add(key, "another");
        }
        let keys: Vec<_> = problems.into_list().into_iter().map(|problem| problem.key).collect();
        let others = ["issuers[0]", "issuers[0].urls", "issuers[1].url", "rediss"];
        assert_eq!(keys, [&["issuers[0].url", "redis"][..], &others].concat());
    }
}
