//! Rules bound to what they name: limits, upstreams and counters. Built whole, swapped whole.

use std::fmt;
use std::sync::Arc;

use http::Method;

use super::request::Request;
use crate::authn::Principal;
use crate::metrics::{Metrics, RuleMetrics};
use crate::rate_limit::{KeyKind, KeyRef, LimitId};
use crate::rules::{
    Access, Consistency, Found, Linked, Links, OnUnavailable, Rule, RuleSet, Target,
};

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

/// What the name of a limit stands for.
pub type NamedLimit = (LimitId, KeyKind);

/// The rules in force.
#[derive(Debug)]
pub struct Policy {
    rules: RuleSet,
    bound: Vec<Arc<BoundRule>>,
}

impl Policy {
    /// Binds every rule to what its names stand for; its counters live in `metrics`.
    pub fn bind(linked: Linked<NamedLimit>, metrics: &Metrics) -> Self {
        let Linked { rules, links } = linked;
        let bound = rules.rules().iter().zip(links);
        let bound = bound.map(|(rule, links)| Arc::new(bind(rule, links, metrics))).collect();
        Self { rules, bound }
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
    pub fn find<'a>(&'a self, target: &'a Target<'_>) -> Found<'a, Arc<BoundRule>> {
        self.find_for_method(target, target.method())
    }

    /// The rule for another method than the request's own, as a preflight asks for it.
    pub fn find_for_method<'a>(
        &'a self,
        target: &'a Target<'_>,
        method: &Method,
    ) -> Found<'a, Arc<BoundRule>> {
        let found = self.rules.find_for_method(target.host(), target.path(), method);
        found.map(|rule| self.bound.get(rule.index()))
    }
}

fn bind(rule: &Arc<Rule>, links: Links<NamedLimit>, metrics: &Metrics) -> BoundRule {
    BoundRule {
        metrics: metrics.rule(rule.id()),
        rule: Arc::clone(rule),
        limit: links.limit.map(|(id, kind)| BoundLimit { id, kind }),
        upstream: links.upstream,
    }
}
