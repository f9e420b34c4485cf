//! All rules of a file, immutable; a change of the file makes a new set.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use http::Method;

use super::error::{Fault, RuleError, RuleErrors};
use super::index::Index;
use super::load::{Loaded, load};
use super::path::CanonicalPath;
use super::pattern::Params;
use super::rule::{Access, Rule};
use super::target::Target;
use super::warning::RuleWarning;

/// What rules may refer to.
#[derive(Clone, Debug)]
pub struct Names {
    /// The relation of a rule without `action`.
    pub default_relation: String,
    /// The upstream of a rule without `target`.
    pub default_target: String,
    /// All upstreams.
    pub targets: BTreeSet<String>,
    /// All limits.
    pub limits: BTreeSet<String>,
    /// Upstreams that are OpenFGA's API: whoever reaches it can grant himself anything.
    pub openfga_targets: BTreeSet<String>,
    /// Upstreams that are ZITADEL.
    pub zitadel_targets: BTreeSet<String>,
    /// Whether tokens are accepted whomever they are meant for.
    pub any_audience: bool,
}

/// The rules that are in force.
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    index: Index,
    warnings: Vec<RuleWarning>,
    version: Box<str>,
}

/// What the rules say about a request.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// This rule decides.
    Rule {
        /// The rule.
        rule: &'a Arc<Rule>,
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
        rule: Option<&'a Arc<Rule>>,
    },
    /// No pattern matches.
    NoRule,
}

impl RuleSet {
    /// Reads a file's content; reports everything that is wrong with it at once.
    pub fn parse(bytes: &[u8], names: &Names) -> Result<Self, RuleErrors> {
        let Loaded { rules, index } = load(bytes, names)?;
        let warnings = RuleWarning::all(&rules, &index, names);
        Ok(Self { rules, index, warnings, version: fingerprint(bytes) })
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

    /// What is allowed but dangerous.
    pub fn warnings(&self) -> &[RuleWarning] {
        &self.warnings
    }

    /// Names the content, so that replicas can be compared; 16 hex digits.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Compares the rules with an authorization model: `has(type, relation)` is `None` for an unknown
    /// type.
    pub fn check_relations(&self, has: impl Fn(&str, &str) -> Option<bool>) -> Vec<RuleError> {
        let check = |rule: &Arc<Rule>| {
            let Access::Check(check) = rule.access() else { return None };
            let (field, fault) = match has(check.object().type_name(), check.relation()) {
                Some(true) => return None,
                Some(false) => (
                    "action",
                    Fault::RelationNotInModel {
                        value: check.relation().to_owned(),
                        type_name: check.object().type_name().to_owned(),
                    },
                ),
                None => {
                    let is_feature = rule.feature() == Some(check.object().as_str());
                    let value = check.object().as_str().to_owned();
                    (if is_feature { "feature" } else { "object" }, Fault::TypeNotInModel { value })
                }
            };
            Some(RuleError { rule: rule.index(), field: Some(field.into()), fault })
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
