//! The hot path: whether a request may pass, top to bottom, without a web framework in it.
//!
//! [`Gate::admit`] is the only way to an [`Admission`], and nothing is proxied without one. In the
//! warm state (token seen before, decision remembered) it makes no network call, takes no lock that
//! somebody else may hold for long, and does not allocate.

pub mod admission;
mod claims;
pub mod policy;
pub mod rejection;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, Method};

use crate::authn::credentials::Sender;
use crate::authn::{Authenticator, Bearer, Credentials, Principal, TokenCache, TokenError};
use crate::authz::{Authorizer, CheckFault, Consistency, Question, Source};
use crate::clock::Now;
use crate::rate_limit::{Exceeded, InFlight, KeyRef, LimitId, Limiter, Standing, Window};
use crate::rules::{Access, CheckTemplate, OnUnavailable, Params, Target};

pub use admission::Admission;
use policy::{Bound, BoundLimit, Policy};
use rejection::{Advice, Refused};
pub use rejection::{Reason, Rejection};

/// What the gate looks at.
#[derive(Debug)]
pub struct Request<'a> {
    /// Method, host and canonical path.
    pub target: Target<'a>,
    /// All headers as received.
    pub headers: &'a HeaderMap,
    /// Who is at the other end.
    pub client: Client,
    /// Where its token is looked for.
    pub credentials: &'a Credentials,
    /// What else is known of who sent it.
    pub sender: Sender,
    /// By which the log calls the request.
    pub request_id: &'a HeaderValue,
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The client's address; behind trusted proxies the one they report.
    pub addr: IpAddr,
    /// A loopback or private address that speaks to us directly, with no proxy between.
    pub is_private_peer: bool,
}

/// A verified principal with what the gate keeps beside it between requests.
#[derive(Debug)]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// When its token expires, in milliseconds since the epoch; `u64::MAX` where that is unknown.
    pub expires_unix_millis: u64,
    /// Its counter for the limit that applies when a rule names none; absent while the limiter's
    /// table is full.
    window: Option<Arc<Window>>,
}

/// How the limits stand that a request was counted against.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standings {
    /// The limit that the client should mind: the principal's, or the one of the rule.
    pub told: Option<(LimitId, Standing)>,
    /// The limit that refused, when one did.
    pub exceeded: Option<(LimitId, Exceeded)>,
}

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

/// Tokens of one address that are verified at the same time; a page of a browser needs one.
const MAX_VERIFYING: usize = 64;

/// What is known of a request so far; told with the verdict, whichever it is.
#[derive(Default)]
struct Evidence {
    caller: Option<Arc<Caller>>,
    standings: Standings,
    decided: Option<Source>,
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
        self.policy.load().find_for_method(target, method).decide().map(drop)
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
        let (rule, params) = policy.find(&request.target).decide()?;
        let mut known = Evidence::default();
        let verdict = self.judge(request, rule, &params, now, &mut known).await;
        let Evidence { caller, standings, decided } = known;
        match verdict {
            Ok(()) => Ok(Admission::new(Arc::clone(rule), caller, standings, decided)),
            Err(Refused { reason, advice }) => {
                Err(Rejection { reason, advice, rule: Some(Arc::clone(rule)), caller, standings })
            }
        }
    }

    async fn judge(
        &self,
        request: &Request<'_>,
        rule: &Bound,
        params: &Params<'_>,
        now: Now,
        known: &mut Evidence,
    ) -> Result<(), Refused> {
        if rule.is_private_only() && !request.client.is_private_peer {
            return Err(Reason::PrivateOnly.into());
        }
        self.limit_client(request.client.addr, now, known)?;
        if rule.is_public() {
            return self.limit_rule(request, rule, None, now, known);
        }
        let caller = self.authenticate(request, rule, now, known).await?;
        let caller = &*known.caller.insert(caller);
        let caller = Arc::clone(caller);
        self.limit_rule(request, rule, Some(&caller), now, known)?;
        claims::check(rule, &caller.principal, request)?;
        if let Access::Check(template) = rule.access() {
            known.decided = self.authorise(rule, template, params, &caller, now).await?;
        }
        Ok(())
    }

    fn limit_client(&self, addr: IpAddr, now: Now, known: &mut Evidence) -> Result<(), Refused> {
        let limit = self.limits.client;
        match self.limiter.charge(limit, KeyRef::Client(addr), now) {
            Ok(_) => Ok(()),
            Err(exceeded) => Err(refuse(Reason::ClientLimited, limit, exceeded, known)),
        }
    }

    async fn authenticate(
        &self,
        request: &Request<'_>,
        rule: &Bound,
        now: Now,
        known: &mut Evidence,
    ) -> Result<Arc<Caller>, Refused> {
        let (credentials, query) = (request.credentials, request.target.query());
        let offered = credentials.find(request.headers, query, request.sender)?;
        let generation = self.authenticator.generation();
        if let Some(caller) = self.callers.get(offered.bytes(), now, generation) {
            return Ok(caller);
        }
        let bearer = offered.parse()?;
        self.verify(bearer, request, rule, now, known).await
    }

    /// The cold path: a token that has not been seen, or has been refused.
    async fn verify(
        &self,
        bearer: Bearer<'_>,
        request: &Request<'_>,
        rule: &Bound,
        now: Now,
        known: &mut Evidence,
    ) -> Result<Arc<Caller>, Refused> {
        let addr = request.client.addr;
        let failures = self.limits.failed_authentications;
        if let Err(exceeded) = self.limiter.peek(failures, KeyRef::Client(addr), now) {
            return Err(refuse(Reason::TooManyFailures, failures, exceeded, known));
        }
        let Some(_verifying) = self.verifying.try_enter(KeyRef::Client(addr), MAX_VERIFYING) else {
            // They wait for the issuer: its slowness is no fault of the client.
            return Err(Reason::Overloaded.into());
        };
        let verified = match self.authenticator.verify(bearer, now).await {
            Ok(verified) => verified,
            Err(refusal) => {
                let reason = Reason::from(refusal);
                let detail = self.authenticator.explain(bearer, refusal, now);
                tracing::warn!(
                    reason = reason.word(),
                    cause = %refusal,
                    detail,
                    client = %addr,
                    rule = rule.id(),
                    request_id = request.request_id.to_str().ok(),
                    hint = hint(refusal),
                    "JWT validation failed"
                );
                if reason.status() == 401 {
                    // Refused already: the count is what matters, not whether it fits.
                    let _ = self.limiter.charge(failures, KeyRef::Client(addr), now);
                }
                return Err(reason.into());
            }
        };
        let key = KeyRef::Text(verified.principal.user());
        let window = self.limiter.window(self.limits.principal, key, now);
        let held_bytes = verified.principal.held_bytes();
        let expires_unix_millis = verified.belief.expires_unix_millis;
        let caller = Caller { principal: verified.principal, expires_unix_millis, window };
        // Remembered even if its limit is used up: the issuer must not be asked for every 429.
        Ok(self.callers.insert(bearer.token(), verified.belief, caller, held_bytes))
    }

    /// The principal's limit on every rule that knows one, then the rule's own. A rule's limit that
    /// counts by principal takes the place of the common one.
    fn limit_rule(
        &self,
        request: &Request<'_>,
        rule: &Bound,
        caller: Option<&Arc<Caller>>,
        now: Now,
        known: &mut Evidence,
    ) -> Result<(), Refused> {
        let own = rule.limit.as_ref();
        if let Some(caller) = caller
            && !own.is_some_and(BoundLimit::counts_principals)
        {
            let id = self.limits.principal;
            let outcome = if let Some(window) = &caller.window {
                self.limiter.charge_window(window, now)
            } else {
                self.limiter.charge(id, KeyRef::Text(caller.principal.user()), now)
            };
            note(outcome, Reason::PrincipalLimited, id, known)?;
        }
        let Some(limit) = own else { return Ok(()) };
        let key = limit.key(rule, request, caller.map(|caller| &caller.principal));
        let reason = match (limit.counts_addresses(), caller) {
            (false, Some(_)) => Reason::PrincipalLimited,
            (true, _) | (false, None) => Reason::ClientLimited,
        };
        note(self.limiter.charge(limit.id, key, now), reason, limit.id, known)
    }

    async fn authorise(
        &self,
        rule: &Bound,
        template: &CheckTemplate,
        params: &Params<'_>,
        caller: &Caller,
        now: Now,
    ) -> Result<Option<Source>, Refused> {
        let object =
            template.object().render(params).map_err(|_| Refused::from(Reason::BadObject))?;
        let question = Question {
            user: caller.principal.user(),
            relation: template.relation(),
            object: &object,
            rule: rule.id(),
            consistency: match rule.consistency() {
                crate::rules::Consistency::Higher => Consistency::HigherConsistency,
                crate::rules::Consistency::MinimizeLatency => Consistency::MinimizeLatency,
            },
        };
        match self.authorizer.check(&question, now).await {
            Ok(decision) if decision.allowed => Ok(Some(decision.source)),
            Ok(_) => Err(Reason::Denied.into()),
            // A question that OpenFGA refuses (an unknown type, say) is a fault of the rules: no
            // outage, so the rule's leniency towards outages does not apply.
            Err(fault) if fault.is_about_the_question() => {
                Err(Reason::AuthorizationUnavailable.into())
            }
            Err(CheckFault::Overloaded) => Err(Reason::Overloaded.into()),
            Err(_) if rule.on_unavailable() == OnUnavailable::Allow => Ok(Some(Source::Nobody)),
            Err(_) => Err(Reason::AuthorizationUnavailable.into()),
        }
    }
}

/// What an operator should look at first.
const fn hint(refusal: TokenError) -> Option<&'static str> {
    Some(match refusal {
        TokenError::NotIntrospected => {
            "an opaque token (personal access token?) needs ZITADEL_CLIENT_ID and \
             ZITADEL_CLIENT_SECRET"
        }
        TokenError::WrongIssuer => "check that ZITADEL_ISSUER_URL matches the token's iss exactly",
        TokenError::WrongAudience => "check ZITADEL_AUDIENCE",
        TokenError::NotYetValid => "compare this clock with the issuer's",
        TokenError::WrongTokenKind => "send an access token, not an ID token",
        TokenError::Inactive => {
            "expired, revoked, or issued without the scope that puts this project into its audience"
        }
        TokenError::KeysUnavailable => "check that the issuer can be reached",
        TokenError::IntrospectionUnavailable => "the line \"introspection failed\" has the cause",
        _ => return None,
    })
}

/// Notes how a limit stands; of two the client is told the one that is nearer its end.
fn note(
    outcome: Result<Standing, Exceeded>,
    reason: Reason,
    limit: LimitId,
    known: &mut Evidence,
) -> Result<(), Refused> {
    let standing = outcome.map_err(|exceeded| refuse(reason, limit, exceeded, known))?;
    if known.standings.told.is_none_or(|(_, told)| standing.remaining < told.remaining) {
        known.standings.told = Some((limit, standing));
    }
    Ok(())
}

fn refuse(reason: Reason, limit: LimitId, exceeded: Exceeded, known: &mut Evidence) -> Refused {
    known.standings.exceeded = Some((limit, exceeded));
    Refused { reason, advice: Advice::RetryAfter(exceeded.retry_after_secs) }
}
