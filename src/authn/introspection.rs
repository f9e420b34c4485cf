//! RFC 7662: asks the issuer about tokens that only the issuer can read.
//!
//! Concurrent questions about one token are one call, made by a task of its own so that a client
//! that goes away fails nobody else. Inactive answers are believed briefly, active ones as long as
//! the caller's cache keeps them. Failures are forgotten at once, but for those that may come with
//! the token: these neither count against the endpoint nor are asked for again soon.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Method};
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Weighter};
use reqwest::RequestBuilder;
use tokio::sync::Semaphore;
use url::Url;

use self::answer::Fault;
use self::assertion::{Assertion, Assertions};
use super::claims::Claims;
use super::explain::explain_answer;
use super::json::Value;
use super::keys::discovery::Discovery;
use super::keys::fetch::FetchError;
use super::principal::{Principal, Realm};
use super::settings::{Audiences, ClientCredential, IntrospectionSettings};
use super::{Proven, TokenError, shards};
use crate::breaker::Breaker;
use crate::clock::{Now, SharedClock};
use crate::flight::Flights;
use crate::outage::{LastTold, Outage};
use crate::secret::Secret;
use crate::sweep::sweep;

mod answer;
mod assertion;
#[cfg(test)]
mod tests;

/// Spares the issuer a search among refresh tokens.
const HINT: (&str, &str) = ("token_type_hint", "access_token");
const MAX_CALLS_IN_FLIGHT: usize = 256;
const MAX_REFUSED_TOKENS: usize = 10_000;
const MAX_REFUSED_BYTES: u64 = 8 * 1024 * 1024;
/// The longest token with all that is told of it.
const MAX_REFUSED_TOKEN_BYTES: u64 = 24 * 1024;
const REFUSED: shards::Size = shards::Size {
    expected: MAX_REFUSED_TOKENS,
    capacity: MAX_REFUSED_BYTES,
    largest: MAX_REFUSED_TOKEN_BYTES,
};

pub(super) type Answer = Result<Proven, TokenError>;

pub(super) struct Introspection {
    discovery: Arc<Discovery>,
    settings: IntrospectionSettings,
    proof: Proof,
    realm: Arc<Realm>,
    audiences: Audiences,
    skew: Duration,
    clock: SharedClock,
    breaker: Breaker,
    outage: Outage,
    /// Faults of single tokens, which come beside outages.
    odd_tokens: LastTold,
    permits: Semaphore,
    calls: Arc<Flights<Arc<str>, Answer>>,
    refused: Cache<Arc<str>, Refused, TokenBytes>,
}

/// What shows the endpoint who we are.
enum Proof {
    Secret(HeaderValue),
    Key(Assertions),
}

/// What a token was refused for.
#[derive(Clone)]
struct Refused {
    refusal: TokenError,
    /// For the log: what the answer says, and what would do; or why there was none.
    detail: Option<Arc<str>>,
    /// The end of the belief on the monotonic clock, in milliseconds.
    until: u64,
}

#[derive(Clone)]
struct TokenBytes;

impl Weighter<Arc<str>, Refused> for TokenBytes {
    fn weight(&self, token: &Arc<str>, refused: &Refused) -> u64 {
        // Short tokens weigh so much that no more than the wanted number fit; the difference is
        // also the table's own share.
        let at_least = MAX_REFUSED_BYTES / MAX_REFUSED_TOKENS as u64;
        let detail = refused.detail.as_ref().map_or(0, |detail| detail.len());
        (token.len() + detail) as u64 + at_least
    }
}

/// What of an issuer's settings concerns introspection.
pub(super) struct Terms {
    pub(super) realm: Arc<Realm>,
    pub(super) audiences: Audiences,
    pub(super) skew: Duration,
}

impl Introspection {
    pub(super) fn new(
        settings: IntrospectionSettings,
        discovery: Arc<Discovery>,
        terms: Terms,
        clock: SharedClock,
    ) -> Self {
        Self {
            proof: Proof::of(&settings, &terms.realm.issuer),
            discovery,
            settings,
            realm: terms.realm,
            audiences: terms.audiences,
            skew: terms.skew,
            clock,
            breaker: Breaker::new(),
            outage: Outage::default(),
            odd_tokens: LastTold::default(),
            permits: Semaphore::new(MAX_CALLS_IN_FLIGHT),
            calls: Arc::new(Flights::new()),
            refused: shards::cache(&REFUSED, TokenBytes, DefaultHashBuilder::default()),
        }
    }

    pub(super) async fn verify(self: &Arc<Self>, token: &str, now: Now) -> Answer {
        if let Some(refused) = self.refused.get(token)
            && now.mono_millis() < refused.until
        {
            return Err(refused.refusal);
        }
        let (of, token) = (Arc::clone(self), Arc::<str>::from(token));
        let asked = Arc::clone(&token);
        let call = move || async move { of.call(&asked).await };
        let answer = self.calls.join(token, call).await;
        answer.unwrap_or(Err(TokenError::IntrospectionUnavailable))
    }

    /// Forgets the refusals that are not believed any more.
    pub(super) async fn sweep(&self, now: Now) {
        sweep(&self.refused, |refused| refused.until <= now.mono_millis()).await;
    }

    async fn call(&self, token: &Arc<str>) -> Answer {
        let Ok(_permit) = self.permits.try_acquire() else {
            return Err(TokenError::IntrospectionUnavailable);
        };
        if !self.breaker.admits(self.clock.now()) {
            return Err(TokenError::IntrospectionUnavailable);
        }
        let asked = tokio::time::timeout(self.settings.timeout, self.ask(token)).await;
        let asked = asked.unwrap_or(Err(Fault::Deadline));
        self.note(asked.as_ref().err());
        let now = self.clock.now();
        let (refusal, detail) = match asked {
            Ok(claims) => match self.read(&claims) {
                Ok(proven) => return Ok(proven),
                Err(refusal) => (refusal, explain_answer(&claims, refusal, &self.realm, now)),
            },
            Err(fault) if fault.is_about_the_token() => {
                (TokenError::IntrospectionUnavailable, Some(fault.to_string()))
            }
            Err(_) => return Err(TokenError::IntrospectionUnavailable),
        };
        let until = now.mono_millis_after(self.settings.negative_ttl);
        let refused = Refused { refusal, detail: detail.map(Arc::from), until };
        self.refused.insert(Arc::clone(token), refused);
        Err(refusal)
    }

    /// What a call says about the endpoint: to the breaker, and to the log where that is news.
    fn note(&self, fault: Option<&Fault>) {
        let now = self.clock.now();
        match fault {
            None => self.breaker.record(true, now),
            Some(fault) if fault.is_about_the_token() => {}
            Some(Fault::Busy { status: 429, pause }) => self.breaker.hold(*pause, now),
            Some(Fault::Busy { pause, .. }) => self.breaker.fail(Some(*pause), now),
            Some(_) => self.breaker.record(false, now),
        }
        let issuer = &*self.realm.issuer;
        match fault {
            None if self.outage.ends() => tracing::info!(issuer, "introspection works again"),
            Some(fault) if self.is_news(fault, now) => {
                let hint = fault.hint();
                tracing::warn!(issuer, cause = %fault, hint, "introspection failed");
            }
            _ => {}
        }
    }

    fn is_news(&self, fault: &Fault, now: Now) -> bool {
        if fault.is_about_the_token() {
            self.odd_tokens.is_news(fault, now)
        } else {
            self.outage.is_news(fault, now)
        }
    }

    /// What is remembered of a token that was refused just now, for the log.
    pub(super) fn explanation(&self, token: &str, refusal: TokenError) -> Option<String> {
        let refused = self.refused.get(token).filter(|refused| refused.refusal == refusal)?;
        refused.detail.as_deref().map(str::to_owned)
    }

    /// What the endpoint says about a token, or why nothing: asked without regard to earlier answers.
    pub(super) async fn ask_once(&self, token: &str) -> Result<Claims<'static>, String> {
        let asked = tokio::time::timeout(self.settings.timeout, self.ask(token)).await;
        asked.unwrap_or(Err(Fault::Deadline)).map_err(|fault| format!("{fault}; {}", fault.hint()))
    }

    /// What an answer says, for a refusal that it got.
    pub(super) fn explain(
        &self,
        claims: &Claims<'_>,
        error: TokenError,
        now: Now,
    ) -> Option<String> {
        explain_answer(claims, error, &self.realm, now)
    }

    async fn ask(&self, token: &str) -> Result<Claims<'static>, Fault> {
        let endpoints = self.discovery.endpoints(self.clock.now()).await;
        let endpoints = endpoints.map_err(Fault::Discovery)?;
        let endpoint = endpoints.introspection.as_ref().ok_or(Fault::NoEndpoint)?;
        match &self.proof {
            Proof::Secret(basic) => {
                let request = self.discovery.request(Method::POST, endpoint);
                let request = request.header(AUTHORIZATION, basic);
                send(request.form(&[("token", token), HINT])).await
            }
            Proof::Key(assertions) => self.ask_with_key(endpoint, token, assertions).await,
        }
    }

    async fn ask_with_key(
        &self,
        endpoint: &Url,
        token: &str,
        assertions: &Assertions,
    ) -> Result<Claims<'static>, Fault> {
        let ask = async |assertion: &Assertion| {
            let proof = ("client_assertion", &*assertion.text);
            let form = [("token", token), HINT, ("client_assertion_type", assertion::TYPE), proof];
            let answer = send(self.discovery.request(Method::POST, endpoint).form(&form)).await;
            answer.map_err(|fault| match fault {
                Fault::ClientRefused(status) => Fault::KeyRefused(status),
                fault => fault,
            })
        };
        let assertion = assertions.current(self.clock.now())?;
        let answer = ask(&assertion).await;
        if !(assertion.was_used && matches!(answer, Err(Fault::KeyRefused(_)))) {
            return answer;
        }
        let again = ask(&assertions.fresh(self.clock.now())?).await;
        // An outage in between tells nothing of what the issuer takes.
        if again.is_ok() {
            assertions.use_each_once();
        }
        again
    }

    /// Whom an answer speaks of. An issuer may leave out `iss` and `exp`, it knows its own tokens;
    /// what it does say is checked as in a JWT.
    pub(super) fn read(&self, claims: &Claims<'_>) -> Answer {
        let now = self.clock.now();
        if claims.get("active") != Some(&Value::Bool(true)) {
            return Err(TokenError::Inactive);
        }
        if claims.text("iss")?.is_some_and(|issuer| *issuer != *self.realm.issuer) {
            return Err(TokenError::WrongIssuer);
        }
        claims.check_unbound()?;
        check_token_type(claims)?;
        let expiry = claims.expiry(now)?.unwrap_or(u64::MAX);
        claims.check_started(now, self.skew)?;
        claims.check_audience(&self.audiences)?;
        Ok(Proven {
            principal: Principal::new(&self.realm, claims)?,
            expires_unix_millis: expiry,
            until_mono_millis: now.mono_millis_after(self.settings.ttl),
        })
    }
}

impl std::fmt::Debug for Introspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Introspection").field("settings", &self.settings).finish_non_exhaustive()
    }
}

async fn send(request: RequestBuilder) -> Result<Claims<'static>, Fault> {
    let request = request.header(ACCEPT, "application/json");
    answer::read(request.send().await.map_err(FetchError::from)?).await
}

/// Refresh tokens and tokens of other schemes are active too.
fn check_token_type(claims: &Claims<'_>) -> Result<(), TokenError> {
    let is_bearer = claims.text("token_type")?.is_none_or(|kind| {
        kind.eq_ignore_ascii_case("Bearer") || kind.eq_ignore_ascii_case("access_token")
    });
    if is_bearer { Ok(()) } else { Err(TokenError::WrongTokenKind) }
}

impl Proof {
    fn of(settings: &IntrospectionSettings, issuer: &Arc<str>) -> Self {
        match &settings.credential {
            ClientCredential::Secret(secret) => Self::Secret(basic(&settings.client_id, secret)),
            ClientCredential::Key(key) => {
                Self::Key(Assertions::new(Arc::clone(key), Arc::clone(issuer)))
            }
        }
    }
}

/// RFC 6749 section 2.3.1: both halves are form-encoded before they are joined.
fn basic(client_id: &str, secret: &Secret) -> HeaderValue {
    use base64::Engine as _;
    let encode =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = format!("{}:{}", encode(client_id), encode(secret.expose()));
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    // Base64 is always a legal header value.
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}"))
        .unwrap_or_else(|_| HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}
