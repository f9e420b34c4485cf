//! Rules bound to what they name: limits, upstreams and counters. Built whole, swapped whole.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use super::Request;
use crate::authn::Principal;
use crate::metrics::{Metrics, RuleMetrics};
use crate::rate_limit::{KeyKind, KeyRef, LimitId};
use crate::rules::{Access, Found, Rule, RuleSet, Target};

/// A rule with what its names stand for.
#[derive(Debug)]
pub struct Bound {
    rule: Arc<Rule>,
    /// The limit that it names.
    pub(super) limit: Option<BoundLimit>,
    /// Only direct peers on the private network may use it.
    pub(super) private_only: bool,
    /// Position of its upstream in the configuration's order.
    pub upstream: usize,
    /// Its counters.
    pub metrics: RuleMetrics,
}

impl Deref for Bound {
    type Target = Rule;

    fn deref(&self) -> &Rule {
        &self.rule
    }
}

/// A limit that a rule names.
#[derive(Debug)]
pub(super) struct BoundLimit {
    pub(super) id: LimitId,
    kind: KeyKind,
}

impl BoundLimit {
    /// What this request is counted under. A header or claim that is absent counts as empty, so that
    /// leaving it out is no way around the limit.
    pub(super) fn key<'r>(
        &self,
        rule: &'r Bound,
        request: &'r Request<'_>,
        principal: Option<&'r Principal>,
    ) -> KeyRef<'r> {
        match &self.kind {
            KeyKind::ClientIp => KeyRef::Addr(request.client.addr),
            KeyKind::Rule => KeyRef::Text(rule.id()),
            KeyKind::Principal => KeyRef::Text(principal.map_or("", Principal::user)),
            KeyKind::Header(name) => {
                KeyRef::Bytes(request.headers.get(name).map_or(b"", |value| value.as_bytes()))
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
    #[error("rule {index}: field \"rate_limit\": {name:?} counts by principal, which a public rule does not have")]
    NobodyToCount {
        /// Position in the file.
        index: usize,
        /// As written.
        name: String,
    },
}

/// The rules in force.
#[derive(Debug)]
pub struct Policy {
    rules: RuleSet,
    bound: Vec<Arc<Bound>>,
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

    /// The rule set itself.
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// The rule for a request.
    pub fn find<'p, 't>(&'p self, target: &'t Target<'_>) -> Found<&'p Arc<Bound>, 'p, 't> {
        self.rules.find(target).map(|rule| self.bound.get(rule.index()))
    }
}

fn bind(rule: &Arc<Rule>, bindings: &Bindings<'_>) -> Result<Bound, BindError> {
    let index = rule.index();
    let upstream = *bindings.upstreams.get(rule.target()).ok_or_else(|| {
        BindError::UnknownTarget { index, name: rule.target().to_owned() }
    })?;
    let is_public = matches!(rule.access(), Access::Public);
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
    Ok(Bound {
        private_only: is_public && rule.target() == "openfga" && !rule.expose_openfga(),
        metrics: bindings.metrics.rule(rule.id()),
        rule: Arc::clone(rule),
        limit,
        upstream,
    })
}
