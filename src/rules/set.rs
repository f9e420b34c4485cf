//! All rules of a file, immutable; a change of the file makes a new set.

use std::fmt;
use std::sync::Arc;

use http::Method;

use crate::finding::{Finding, Findings};

use super::fault::Fault;
use super::index::Index;
use super::load::{Loaded, load};
use super::names::{Links, Names};
use super::path::CanonicalPath;
use super::pattern::Params;
use super::rule::{Access, Rule};
use super::target::Target;
use super::tell::about_model;
#[cfg(test)]
use super::warning::RuleWarning;

/// The rules that are in force.
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    index: Index,
    findings: Findings,
    version: Box<str>,
}

/// Rules, and what the names in them stand for.
#[derive(Debug)]
pub struct Linked<L> {
    /// The rules.
    pub rules: RuleSet,
    /// For each rule, in the same order.
    pub links: Vec<Links<L>>,
}

/// What the rules say about a request; `R` is a rule, or what it was bound to.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a, R = Arc<Rule>> {
    /// This rule decides.
    Rule {
        /// The rule.
        rule: &'a R,
        /// What the path gives to its parameters.
        params: Params<'a>,
    },
    /// The most specific pattern has no rule for the method.
    MethodNotAllowed {
        /// The methods it has, as the value of `Allow`.
        allow: &'a str,
    },
    /// The path has an encoded slash, and whatever its pattern is does not allow that.
    EncodedSlash {
        /// The rule that refuses it, when the path and the method have one.
        rule: Option<&'a R>,
    },
    /// No pattern matches.
    NoRule,
}

impl<'a, R> Found<'a, R> {
    /// The same about what rules stand for. A rule that stands for nothing is none, which refuses.
    pub fn map<S>(self, stands_for: impl FnOnce(&'a R) -> Option<&'a S>) -> Found<'a, S> {
        match self {
            Self::Rule { rule, params } => match stands_for(rule) {
                Some(rule) => Found::Rule { rule, params },
                None => Found::NoRule,
            },
            Self::MethodNotAllowed { allow } => Found::MethodNotAllowed { allow },
            Self::EncodedSlash { rule } => Found::EncodedSlash { rule: rule.and_then(stands_for) },
            Self::NoRule => Found::NoRule,
        }
    }
}

impl<L: Clone> Linked<L> {
    /// Reads a file's content; tells everything that is wrong with it at once.
    pub fn parse(bytes: &[u8], names: &Names<L>) -> Result<Self, Findings> {
        let Loaded { rules, links, index, findings } = load(bytes, names)?;
        let rules = RuleSet { rules, index, findings, version: fingerprint(bytes) };
        Ok(Self { rules, links })
    }
}

impl RuleSet {
    /// As [`Linked::parse`], where nobody asks what names stand for.
    pub fn parse<L: Clone>(bytes: &[u8], names: &Names<L>) -> Result<Self, Findings> {
        Linked::parse(bytes, names).map(|linked| linked.rules)
    }

    /// The rule for a request.
    pub fn find<'a>(&'a self, target: &'a Target<'_>) -> Found<'a> {
        self.find_for_method(target.host(), target.path(), target.method())
    }

    /// The rule for another method than the request's own, as a CORS preflight asks for it.
    pub fn find_for_method<'a>(
        &'a self,
        host: Option<&str>,
        path: &'a CanonicalPath<'_>,
        method: &Method,
    ) -> Found<'a> {
        let is_encoded = path.has_encoded_slashes();
        let Some(endpoint) = self.index.find(host, &path.match_key()) else {
            return if is_encoded { Found::EncodedSlash { rule: None } } else { Found::NoRule };
        };
        match endpoint.find(method) {
            Some(rule) if is_encoded && !rule.allows_encoded_slashes() => {
                Found::EncodedSlash { rule: Some(rule) }
            }
            Some(rule) => Found::Rule { rule, params: Params::new(rule.pattern(), path.as_str()) },
            None if is_encoded && !endpoint.allows_encoded_slashes() => {
                Found::EncodedSlash { rule: None }
            }
            None => Found::MethodNotAllowed { allow: endpoint.allow() },
        }
    }

    /// All rules, in the file's order.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// What is allowed, and dangerous or rarely meant.
    pub const fn findings(&self) -> &Findings {
        &self.findings
    }

    /// The dangers among them.
    #[cfg(test)]
    pub(super) fn warnings(&self, names: &Names) -> Vec<RuleWarning> {
        RuleWarning::all(&self.rules, &self.index, names)
    }

    /// Names the content, so that replicas can be compared; 16 hex digits.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Compares the rules with an authorization model: `has(type, relation)` is `None` for an unknown
    /// type.
    pub fn check_relations(&self, has: impl Fn(&str, &str) -> Option<bool>) -> Findings {
        let check = |rule: &Arc<Rule>| -> Option<Finding> {
            let Access::Check(check) = rule.access() else { return None };
            let type_name = check.object().type_name();
            let (field, fault) = match has(type_name, check.relation()) {
                Some(true) => return None,
                Some(false) => {
                    let value = check.relation().to_owned();
                    ("action", Fault::RelationNotInModel { value, type_name: type_name.to_owned() })
                }
                None => {
                    let is_feature = rule.feature() == Some(check.object().as_str());
                    let value = check.object().as_str().to_owned();
                    (if is_feature { "feature" } else { "object" }, Fault::TypeNotInModel { value })
                }
            };
            Some(about_model(rule, field, &fault))
        };
        self.rules.iter().filter_map(check).collect()
    }
}

impl fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleSet")
            .field("version", &self.version)
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}

/// FNV-1a, 64 bits: the same on every machine and in every release.
fn fingerprint(bytes: &[u8]) -> Box<str> {
    const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01B3;
    let hash =
        bytes.iter().fold(OFFSET, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    format!("{hash:016x}").into()
}

#[cfg(test)]
mod tests;
