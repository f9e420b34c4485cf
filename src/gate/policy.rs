//! Rules bound to what they name: limits, upstreams and counters. Built whole, swapped whole.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::Method;

use super::request::Request;
use crate::authn::Principal;
use crate::metrics::{Metrics, RuleMetrics};
use crate::rate_limit::{KeyKind, KeyRef, LimitId};
use crate::rules::{Access, Consistency, Found, OnUnavailable, Params, Rule, RuleSet, Target};

/// A rule with what its names stand for.
#[derive(Debug)]
pub struct BoundRule {
    /// What the file says.
    pub rule: Arc<Rule>,
    /// The limit that it names.
    pub(super) limit: Option<BoundLimit>,
    /// Position of its upstream in the configuration's order.
    pub upstream: usize,
    /// Its counters.
    pub metrics: Arc<RuleMetrics>,
}

impl fmt::Display for BoundRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.rule.methods())?;
        if let Some(host) = self.rule.host() {
            write!(f, "{host}")?;
        }
        write!(f, "{}: ", self.rule.pattern().as_str())?;
        match self.rule.access() {
            Access::Public => f.write_str("public")?,
            Access::Authenticated => f.write_str("any verified principal")?,
            Access::Check(check) => {
                write!(f, "{} of {}", check.relation(), check.object().as_str())?;
            }
        }
        write!(f, " -> {}", self.rule.target())?;
        options(&self.rule).iter().try_for_each(|(field, value)| write!(f, "; {field} {value}"))
    }
}

/// What a rule says beyond its place, its access and its target: fields and what they say.
fn options(rule: &Rule) -> Vec<(&'static str, String)> {
    let wanted = rule.requirements();
    let list = |items: &[Box<str>], word: &str| (!items.is_empty()).then(|| items.join(word));
    let higher = rule.consistency() == Consistency::Higher;
    let allow = rule.on_unavailable() == OnUnavailable::Allow;
    let fields = [
        ("roles", list(wanted.roles(), " or ")),
        ("scopes", list(wanted.scopes(), " and ")),
        ("audience", list(wanted.audience(), " or ")),
        ("rate_limit", rule.limit().map(ToOwned::to_owned)),
        ("timeout", rule.timeout().map(|timeout| format!("{timeout:?}"))),
        ("consistency", higher.then(|| "higher".to_owned())),
        ("on_unavailable", allow.then(|| "allow".to_owned())),
        ("expose_openfga", rule.exposes_openfga().then(|| "true".to_owned())),
        ("encoded_slashes", rule.allows_encoded_slashes().then(|| "allow".to_owned())),
        ("id", rule.given_id().map(ToOwned::to_owned)),
    ];
    fields.into_iter().filter_map(|(field, value)| Some((field, value?))).collect()
}

impl BoundRule {
    /// By which the log and the metrics call it.
    pub fn id(&self) -> &str {
        self.rule.id()
    }
}

/// A limit that a rule names.
#[derive(Debug)]
pub(super) struct BoundLimit {
    pub(super) id: LimitId,
    kind: KeyKind,
}

impl BoundLimit {
    pub(super) fn counts_principals(&self) -> bool {
        matches!(self.kind, KeyKind::Principal)
    }

    pub(super) fn counts_addresses(&self) -> bool {
        matches!(self.kind, KeyKind::ClientIp)
    }

    /// What this request is counted under. A header that is absent counts as empty, so that
    /// leaving it out is no way around the limit.
    pub(super) fn key<'r>(
        &self,
        bound: &'r BoundRule,
        request: &'r Request<'_>,
        principal: Option<&'r Principal>,
    ) -> KeyRef<'r> {
        match &self.kind {
            KeyKind::ClientIp => KeyRef::Client(request.client.addr),
            KeyKind::Rule => KeyRef::Text(bound.id()),
            KeyKind::Principal => KeyRef::Text(principal.map_or("", Principal::user)),
            KeyKind::Header(name) => {
                let value = request.headers.get(name);
                KeyRef::Text(value.and_then(|value| value.to_str().ok()).unwrap_or_default())
            }
        }
    }
}

/// The names that rules may use.
pub struct Bindings<'a> {
    /// Limits by name.
    pub limits: &'a HashMap<String, (LimitId, KeyKind)>,
    /// Upstreams by name, as positions.
    pub upstreams: &'a HashMap<String, usize>,
    /// Where the rules' counters live.
    pub metrics: &'a Metrics,
}

/// A rule that cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Its upstream does not exist.
    #[error("rule {index}: field \"target\": {name:?} is not a configured upstream")]
    UnknownTarget {
        /// Position in the file.
        index: usize,
        /// As written.
        name: String,
    },
    /// Its limit does not exist.
    #[error("rule {index}: field \"rate_limit\": {name:?} is not a configured limit")]
    UnknownLimit {
        /// Position in the file.
        index: usize,
        /// As written.
        name: String,
    },
    /// A public rule has no principal to count by.
    #[error(
        "rule {index}: field \"rate_limit\": {name:?} counts by principal, which a public rule does not have"
    )]
    NobodyToCount {
        /// Position in the file.
        index: usize,
        /// As written.
        name: String,
    },
}

/// What the rules say about a request.
#[derive(Debug)]
pub enum Ruling<'a> {
    /// This rule decides.
    Rule {
        /// The rule.
        rule: &'a Arc<BoundRule>,
        /// What the path gives to its parameters.
        params: Params<'a>,
    },
    /// The most specific pattern has no rule for the method.
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: &'a str,
    },
    /// The path has an encoded slash, and whatever its pattern is does not allow that.
    EncodedSlash {
        /// The rule that refuses it, when the path and the method have one.
        rule: Option<&'a Arc<BoundRule>>,
    },
    /// No pattern matches.
    NoRule,
}

/// The rules in force.
#[derive(Debug)]
pub struct Policy {
    rules: RuleSet,
    bound: Vec<Arc<BoundRule>>,
}

impl Policy {
    /// Binds every rule, or tells of all that cannot be.
    pub fn bind(rules: RuleSet, bindings: &Bindings<'_>) -> Result<Self, Vec<BindError>> {
        let mut bound = Vec::with_capacity(rules.rules().len());
        let mut errors = Vec::new();
        for rule in rules.rules() {
            match bind(rule, bindings) {
                Ok(one) => bound.push(Arc::new(one)),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Self { rules, bound }) } else { Err(errors) }
    }

    /// All rules, in the file's order.
    pub fn bound(&self) -> &[Arc<BoundRule>] {
        &self.bound
    }

    /// The rule set itself.
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// The rule for a request.
    pub fn find<'a>(&'a self, target: &'a Target<'_>) -> Ruling<'a> {
        self.find_for_method(target, target.method())
    }

    /// The rule for another method than the request's own, as a preflight asks for it.
    pub fn find_for_method<'a>(&'a self, target: &'a Target<'_>, method: &Method) -> Ruling<'a> {
        match self.rules.find_for_method(target.host(), target.path(), method) {
            Found::Rule { rule, params } => match self.bound.get(rule.index()) {
                Some(rule) => Ruling::Rule { rule, params },
                None => Ruling::NoRule,
            },
            Found::MethodNotAllowed { allow } => Ruling::MethodNotAllowed { allow },
            Found::EncodedSlash { rule } => {
                Ruling::EncodedSlash { rule: rule.and_then(|rule| self.bound.get(rule.index())) }
            }
            Found::NoRule => Ruling::NoRule,
        }
    }
}

fn bind(rule: &Arc<Rule>, bindings: &Bindings<'_>) -> Result<BoundRule, BindError> {
    let index = rule.index();
    let upstream = *bindings
        .upstreams
        .get(rule.target())
        .ok_or_else(|| BindError::UnknownTarget { index, name: rule.target().to_owned() })?;
    let is_public = rule.is_public();
    let limit = match rule.limit() {
        None => None,
        Some(name) => {
            let name = name.to_owned();
            let Some((id, kind)) = bindings.limits.get(&name) else {
                return Err(BindError::UnknownLimit { index, name });
            };
            if is_public && matches!(kind, KeyKind::Principal) {
                return Err(BindError::NobodyToCount { index, name });
            }
            Some(BoundLimit { id: *id, kind: kind.clone() })
        }
    };
    Ok(BoundRule {
        metrics: bindings.metrics.rule(rule.id()),
        rule: Arc::clone(rule),
        limit,
        upstream,
    })
}
