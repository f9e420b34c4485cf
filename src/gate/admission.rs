//! The permit without which nothing is proxied.

use std::sync::Arc;

use super::caller::Caller;
use super::policy::BoundRule;
use super::standings::Standings;
use crate::authz::DecisionSource;

/// Proof that a request passed every step of the gate; only [`Gate::admit`](super::Gate::admit)
/// makes one.
#[derive(Debug)]
pub struct Admission {
    rule: Arc<BoundRule>,
    caller: Option<Arc<Caller>>,
    standings: Standings,
    decided: Option<DecisionSource>,
}

impl Admission {
    pub(super) fn new(
        rule: Arc<BoundRule>,
        caller: Option<Arc<Caller>>,
        standings: Standings,
        decided: Option<DecisionSource>,
    ) -> Self {
        Self { rule, caller, standings, decided }
    }

    /// The rule that let it in.
    pub fn rule(&self) -> &Arc<BoundRule> {
        &self.rule
    }

    /// Who calls; nobody on public rules.
    pub fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }

    /// How the limits stand after this request.
    pub fn standings(&self) -> &Standings {
        &self.standings
    }

    /// Where the decision came from; `None` when OpenFGA had no part in it.
    pub fn decided(&self) -> Option<DecisionSource> {
        self.decided
    }
}
