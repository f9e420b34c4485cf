//! The hot path: whether a request may pass, top to bottom, without a web framework in it.
//!
//! [`Gate::admit`] is the only way to an [`Admission`], and nothing is proxied without one. In the
//! warm state (token seen before, decision remembered) it makes no network call, takes no lock that
//! somebody else may hold for long, and does not allocate.

pub mod admission;
mod caller;
mod claims;
pub mod policy;
mod refused_token;
pub mod rejection;
mod request;
mod standings;

pub use admission::Admission;
pub use caller::Caller;
pub use rejection::{Reason, Rejection};
pub use request::{Client, Request};
pub use standings::Standings;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Method;

use crate::authn::{Authenticator, Bearer, TokenCache, TokenError};
use crate::authz::{Authorizer, CheckFault, ConsistencyPreference, DecisionSource, Question};
use crate::clock::Now;
use crate::rate_limit::{InFlight, KeyRef, LimitId, Limiter};
use crate::rules::{Access, Consistency, Found, OnUnavailable, Params, Target};
use policy::{BoundLimit, BoundRule, Policy};
use rejection::Advice;

/// Tokens of one address that are verified at the same time; a page of a browser needs one.
const MAX_VERIFYING: usize = 64;

/// Names the field, so that whoever meets the refusal knows what to ask the operator for.
const ENCODED_SLASH: &str =
    "an encoded slash (%2F) is let through only by a rule that says encoded_slashes: allow";

/// The limits that apply to every request.
#[derive(Debug, Clone, Copy)]
pub struct CommonLimits {
    /// By address, before any cryptography.
    pub client: LimitId,
    /// By principal, after authentication.
    pub principal: LimitId,
    /// Refused tokens, by address.
    pub failed_authentications: LimitId,
}

/// The gate and everything it asks.
pub struct Gate {
    policy: ArcSwap<Policy>,
    authenticator: Arc<Authenticator>,
    callers: TokenCache<Caller>,
    authorizer: Arc<Authorizer>,
    limiter: Arc<Limiter>,
    limits: CommonLimits,
    verifying: InFlight,
}

/// One request before the gate: what was sent, what applies to it, and what has come to light.
struct Trial<'a> {
    gate: &'a Gate,
    request: &'a Request<'a>,
    bound: &'a Arc<BoundRule>,
    params: Params<'a>,
    now: Now,
    evidence: Evidence,
}

/// What is told with the verdict, whichever it is.
#[derive(Default)]
struct Evidence {
    caller: Option<Arc<Caller>>,
    standings: Standings,
    decided: Option<DecisionSource>,
    advice: Advice,
}

impl Gate {
    /// Wires the gate.
    pub fn new(
        policy: Policy,
        authenticator: Arc<Authenticator>,
        callers: TokenCache<Caller>,
        authorizer: Arc<Authorizer>,
        limiter: Arc<Limiter>,
        limits: CommonLimits,
    ) -> Self {
        let policy = ArcSwap::from_pointee(policy);
        let verifying = InFlight::new();
        Self { policy, authenticator, callers, authorizer, limiter, limits, verifying }
    }

    /// The rules in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Whether a rule covers `method` on the target, for preflights.
    pub fn covers(&self, target: &Target<'_>, method: &Method) -> Result<(), Rejection> {
        decide(&self.policy.load().find_for_method(target, method)).map(drop)
    }

    /// Puts other rules into force; requests under way finish under theirs.
    pub fn set_policy(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    /// Callers that are remembered, those included whose tokens have to be verified again.
    pub fn remembered(&self) -> usize {
        self.callers.len()
    }

    /// Forgets the callers whose tokens have to be verified again.
    pub async fn sweep(&self, now: Now) {
        self.callers.sweep(now, self.authenticator.generation()).await;
    }

    /// Lets `request` pass, or tells why not.
    pub async fn admit(&self, request: &Request<'_>, now: Now) -> Result<Admission, Rejection> {
        let policy = self.policy.load();
        let (bound, params) = decide(&policy.find(&request.target))?;
        let evidence = Evidence::default();
        let mut trial = Trial { gate: self, request, bound, params, now, evidence };
        let verdict = trial.judge().await;
        let Evidence { caller, standings, decided, advice } = trial.evidence;
        let rule = Arc::clone(bound);
        match verdict {
            Ok(()) => Ok(Admission::new(rule, caller, standings, decided)),
            Err(reason) => Err(Rejection { reason, advice, rule: Some(rule), caller, standings }),
        }
    }
}

impl Trial<'_> {
    async fn judge(&mut self) -> Result<(), Reason> {
        let rule = &self.bound.rule;
        if rule.is_private_only() && !self.request.client.is_private_peer {
            return Err(Reason::PrivateOnly);
        }
        self.limit_client()?;
        if rule.is_public() {
            return self.limit_rule(None);
        }
        let caller = self.authenticate().await?;
        let verdict = self.judge_caller(&caller).await;
        self.evidence.caller = Some(caller);
        verdict
    }

    async fn judge_caller(&mut self, caller: &Caller) -> Result<(), Reason> {
        self.limit_principal(caller)?;
        self.limit_rule(Some(caller))?;
        claims::check(self.bound, &caller.principal, self.request)?;
        self.authorise(caller).await
    }

    fn limit_client(&mut self) -> Result<(), Reason> {
        let (limit, key) = (self.gate.limits.client, KeyRef::Client(self.request.client.addr));
        match self.gate.limiter.charge(limit, key, self.now) {
            Ok(_) => Ok(()),
            Err(exceeded) => {
                self.evidence.standings.exceeded = Some((limit, exceeded));
                Err(Reason::ClientLimited)
            }
        }
    }

    async fn authenticate(&mut self) -> Result<Arc<Caller>, Reason> {
        let (gate, request) = (self.gate, self.request);
        let query = request.target.query();
        let found = request.credentials.find(request.headers, query, request.sender);
        let offered = found.map_err(|error| self.refuse_token(error))?;
        let generation = gate.authenticator.generation();
        if let Some(caller) = gate.callers.get(offered.bytes(), self.now, generation) {
            return Ok(caller);
        }
        let bearer = offered.parse().map_err(|error| self.refuse_token(error))?;
        self.verify(bearer).await
    }

    /// The cold path: a token that has not been seen, or has been refused.
    async fn verify(&mut self, bearer: Bearer<'_>) -> Result<Arc<Caller>, Reason> {
        let (gate, request, now) = (self.gate, self.request, self.now);
        let (failures, key) =
            (gate.limits.failed_authentications, KeyRef::Client(request.client.addr));
        if let Err(exceeded) = gate.limiter.peek(failures, key, now) {
            self.evidence.standings.exceeded = Some((failures, exceeded));
            return Err(Reason::TooManyFailures);
        }
        // They wait for the issuer: its slowness is no fault of the client.
        let _verifying = gate.verifying.try_enter(key, MAX_VERIFYING).ok_or(Reason::Overloaded)?;
        let verified = match gate.authenticator.verify(bearer, now).await {
            Ok(verified) => verified,
            Err(error) => {
                let detail = gate.authenticator.explain(bearer, error, now);
                refused_token::tell(error, detail.as_deref(), self.bound, request);
                let reason = self.refuse_token(error);
                if reason.status() == 401 {
                    // Refused already: the count is what matters, not whether it fits.
                    let _ = gate.limiter.charge(failures, key, now);
                }
                return Err(reason);
            }
        };
        let key = KeyRef::Text(verified.principal.user());
        let window = gate.limiter.window(gate.limits.principal, key, now);
        let held_bytes = verified.principal.held_bytes();
        let expires_unix_millis = verified.belief.expires_unix_millis;
        let caller = Caller { principal: verified.principal, expires_unix_millis, window };
        // Remembered even if its limit is used up: the issuer must not be asked for every 429.
        Ok(gate.callers.insert(bearer.token(), verified.belief, caller, held_bytes))
    }

    fn refuse_token(&mut self, error: TokenError) -> Reason {
        self.evidence.advice = Advice::about(error);
        error.into()
    }

    /// The common limit, unless the rule has one of its own that counts by principal.
    fn limit_principal(&mut self, caller: &Caller) -> Result<(), Reason> {
        if self.bound.limit.as_ref().is_some_and(BoundLimit::counts_principals) {
            return Ok(());
        }
        let (limiter, limit) = (&self.gate.limiter, self.gate.limits.principal);
        let outcome = if let Some(window) = &caller.window {
            limiter.charge_window(window, self.now).map(Some)
        } else {
            limiter.charge(limit, KeyRef::Text(caller.principal.user()), self.now)
        };
        let standings = &mut self.evidence.standings;
        standings.note(limit, outcome).map_err(|_| Reason::PrincipalLimited)
    }

    fn limit_rule(&mut self, caller: Option<&Caller>) -> Result<(), Reason> {
        let Some(limit) = &self.bound.limit else { return Ok(()) };
        let key = limit.key(self.bound, self.request, caller.map(|caller| &caller.principal));
        let outcome = self.gate.limiter.charge(limit.id, key, self.now);
        let standings = &mut self.evidence.standings;
        standings.note(limit.id, outcome).map_err(|_| match (limit.counts_addresses(), caller) {
            (false, Some(_)) => Reason::PrincipalLimited,
            (true, _) | (false, None) => Reason::ClientLimited,
        })
    }

    async fn authorise(&mut self, caller: &Caller) -> Result<(), Reason> {
        let rule = &self.bound.rule;
        let Access::Check(template) = rule.access() else { return Ok(()) };
        let object = template.object().render(&self.params).map_err(|_| Reason::BadObject)?;
        let question = Question {
            user: caller.principal.user(),
            relation: template.relation(),
            object: &object,
            rule: rule.id(),
            consistency: match rule.consistency() {
                Consistency::Higher => ConsistencyPreference::HigherConsistency,
                Consistency::MinimizeLatency => ConsistencyPreference::MinimizeLatency,
            },
        };
        let source = match self.gate.authorizer.check(&question, self.now).await {
            Ok(decision) if decision.allowed => decision.source,
            Ok(_) => return Err(Reason::Denied),
            // A question that OpenFGA refuses (an unknown type, say) is a fault of the rules: no
            // outage, so the rule's leniency towards outages does not apply.
            Err(fault) if fault.is_about_the_question() => {
                return Err(Reason::AuthorizationUnavailable);
            }
            Err(CheckFault::Overloaded) => return Err(Reason::Overloaded),
            Err(_) if rule.on_unavailable() == OnUnavailable::Allow => DecisionSource::Nobody,
            Err(_) => return Err(Reason::AuthorizationUnavailable),
        };
        self.evidence.decided = Some(source);
        Ok(())
    }
}

/// The rule that decides, or the refusal of a request that has none.
fn decide<'a>(
    found: &Found<'a, Arc<BoundRule>>,
) -> Result<(&'a Arc<BoundRule>, Params<'a>), Rejection> {
    match *found {
        Found::Rule { rule, params } => Ok((rule, params)),
        Found::MethodNotAllowed { allow } => Err(Rejection::method(allow)),
        Found::EncodedSlash { rule } => Err(Rejection {
            rule: rule.cloned(),
            ..Rejection::explained(Reason::BadPath, ENCODED_SLASH)
        }),
        Found::NoRule => Err(Rejection::early(Reason::NoRule)),
    }
}
