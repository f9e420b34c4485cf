//! How the gateway is: its parts asked in one place, for `/readyz` and for the gauges alike.

use std::sync::Arc;

use serde::Serialize;

use crate::authn::Authenticator;
use crate::authz::model::ModelWatch;
use crate::clock::SharedClock;
use crate::gate::Gate;
use crate::rate_limit::SyncStatus;
use crate::readiness::Readiness;

/// The parts that are asked.
pub struct Status {
    /// Whether this process is being drained, and how the rule file fares.
    pub readiness: Arc<Readiness>,
    /// Whether tokens can be verified.
    pub authenticator: Arc<Authenticator>,
    /// The pinned model.
    pub model: Arc<ModelWatch>,
    /// The rules in force.
    pub gate: Arc<Gate>,
    /// The exchange with Redis, if there is one.
    pub sync: Option<Arc<SyncStatus>>,
    /// Time.
    pub clock: SharedClock,
}

/// What `/readyz` tells.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "a report of independent facts")]
pub struct Report {
    /// Whether this replica should get traffic: `keys_loaded` and not `draining`. What else is amiss
    /// below it would be on every replica, and does not concern every route.
    pub ready: bool,
    /// Tokens can be verified: every issuer's keys are loaded and not older than `keep_keys`.
    pub keys_loaded: bool,
    /// An authorization model is pinned; without one, rules that ask OpenFGA are answered 503.
    pub model_known: bool,
    /// Why the last look-up of the model failed, if it did.
    pub model_error: Option<String>,
    /// After SIGTERM.
    pub draining: bool,
    /// Version of the rules in force.
    pub rules_version: String,
    /// Why the rule file is not what is in force, if it is not.
    pub rules_error: Option<String>,
    /// Whether counts are exchanged; absent without Redis.
    pub redis_connected: Option<bool>,
}

impl Status {
    /// How everything is at the moment.
    pub fn report(&self) -> Report {
        let keys_loaded = self.authenticator.can_verify(self.clock.now());
        let draining = self.readiness.draining();
        Report {
            ready: keys_loaded && !draining,
            keys_loaded,
            model_known: self.model.current().is_some(),
            model_error: self.model.fault().map(|fault| fault.to_string()),
            draining,
            rules_version: self.gate.policy().rules().version().to_owned(),
            rules_error: self.readiness.rules_error(),
            redis_connected: self.sync.as_ref().map(|sync| sync.state().connected),
        }
    }
}
