//! Who calls: turns a bearer token into a [`Principal`], or says why not.
//!
//! A JWT is refused for everything that can be seen without a key before a key is looked up, and
//! nothing of it is believed before its signature is verified.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use self::algorithm::AlgorithmSet;
use self::claims::Claims;
use self::introspection::{Introspection, Terms};
use self::jwt::Jws;
use self::keys::discovery::Discovery;
use self::keys::{IssuerKeys, KeyEvents, KeyLife};
use self::principal::Realm;
use self::roles::Ours;
use self::user_template::UserTemplate;
use crate::clock::{Now, SharedClock};

pub use self::algorithm::{Algorithm, UnknownAlgorithm};
pub use self::bearer::{Bearer, Shape};
pub use self::belief::Belief;
pub use self::cache::TokenCache;
pub use self::client_key::{ClientKey, ClientKeyError};
pub use self::credentials::Credentials;
pub use self::inspection::{Inspection, Member, TokenPart};
pub use self::keys::fetch::{FetchError, KeySource};
pub use self::keys::jwks::{JwksError, KeySet};
pub use self::principal::Principal;
pub use self::probe::IssuerProbe;
pub use self::roles::BARE_ROLES;
pub use self::settings::{
    Audiences, ClientCredential, IntrospectionSettings, IssuerFault, IssuerSettings, SettingsError,
    faults,
};
pub use self::token_error::TokenError;
pub use self::user_template::TemplateError;

mod algorithm;
pub mod bearer;
mod belief;
mod block;
pub mod cache;
mod claims;
mod client_key;
pub mod credentials;
mod explain;
mod inspection;
mod introspection;
mod json;
mod jwt;
mod keys;
mod kid;
mod principal;
mod probe;
mod roles;
mod settings;
mod shards;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text_list;
mod token_error;
mod user_template;

/// A verified token.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Who calls.
    pub principal: Principal,
    /// Until when that is so.
    pub belief: Belief,
}

/// Verifies the tokens of the configured issuers.
#[derive(Debug)]
pub struct Authenticator {
    issuers: Vec<Issuer>,
    events: Arc<KeyEvents>,
}

#[derive(Debug)]
struct Issuer {
    realm: Arc<Realm>,
    audiences: Audiences,
    algorithms: AlgorithmSet,
    skew: Duration,
    keys: Arc<IssuerKeys>,
    introspection: Option<Arc<Introspection>>,
}

impl Authenticator {
    /// An authenticator that discovers keys and endpoints over HTTP. It has none until its
    /// [`Authenticator::refresh_loop`] runs.
    pub fn new(issuers: Vec<IssuerSettings>, clock: &SharedClock) -> Result<Self, SettingsError> {
        Self::with_key_sources(issuers, clock, |_| None)
    }

    /// As [`Authenticator::new`], with the keys of those issuers that `source_of` has a source for
    /// taken from there.
    pub fn with_key_sources(
        issuers: Vec<IssuerSettings>,
        clock: &SharedClock,
        source_of: impl Fn(&IssuerSettings) -> Option<Arc<dyn KeySource>>,
    ) -> Result<Self, SettingsError> {
        let templates = settings::validate(&issuers)?;
        let client = keys::fetch::client()?;
        let events = Arc::new(KeyEvents::new(issuers.len()));
        let issuers = issuers.into_iter().enumerate().map(|(index, settings)| {
            let discovery = Arc::new(Discovery::new(&settings, client.clone())?);
            let source = source_of(&settings).unwrap_or_else(|| discovery.clone());
            let parts = Parts { templates: &templates, discovery, source, clock, events: &events };
            Ok(Issuer::new(index, settings, parts))
        });
        Ok(Self { issuers: issuers.collect::<Result<_, SettingsError>>()?, events })
    }

    /// Verifies a token.
    pub async fn verify(&self, bearer: Bearer<'_>, now: Now) -> Result<Verified, TokenError> {
        // Read before any key is, so that a withdrawal in between outdates the result.
        let generation = self.generation();
        let Proven { principal, expires_unix_millis, until_mono_millis } = match bearer.shape()? {
            Shape::Jwt => self.verify_jwt(bearer.token(), now).await?,
            Shape::Opaque => {
                let introspection = self.introspection().ok_or(TokenError::NotIntrospected)?;
                introspection.verify(bearer.token(), now).await?
            }
        };
        let belief = Belief { expires_unix_millis, until_mono_millis, generation };
        Ok(Verified { principal, belief })
    }

    async fn verify_jwt(&self, token: &str, now: Now) -> Result<Proven, TokenError> {
        let jws = Jws::parse(token)?;
        let (issuer, Claimed { principal, expiry }) = self.read(&jws, now)?;
        let until_mono_millis = issuer.keys.verify(&jws, now).await?;
        Ok(Proven { principal, expires_unix_millis: expiry, until_mono_millis })
    }

    /// Whose a token says that it is, and what it says to them; nothing of it is believed yet.
    fn read(&self, jws: &Jws<'_>, now: Now) -> Result<(&Issuer, Claimed), TokenError> {
        let claims = Claims::parse(jws.payload())?;
        let url = claims.text("iss")?.ok_or(TokenError::MalformedToken)?;
        let issuer = self.issuer(url).ok_or(TokenError::WrongIssuer)?;
        Ok((issuer, issuer.read(jws, &claims, now)?))
    }

    /// Changes when a key is withdrawn, which ends the life of all tokens verified before.
    pub fn generation(&self) -> u64 {
        self.events.generation()
    }

    /// Whether every issuer has keys that are young enough to verify with.
    pub fn can_verify(&self, now: Now) -> bool {
        self.issuers.iter().all(|issuer| issuer.keys.are_believed(now))
    }

    /// Becomes `true` when every issuer's keys have been loaded for the first time, and stays so.
    pub fn keys_were_loaded(&self) -> watch::Receiver<bool> {
        self.events.subscribe()
    }

    /// Forgets the refusals that are not believed any more.
    pub async fn sweep(&self, now: Now) {
        if let Some(introspection) = self.introspection() {
            introspection.sweep(now).await;
        }
    }

    /// Of the one issuer that has it.
    fn introspection(&self) -> Option<&Arc<Introspection>> {
        self.issuers.iter().find_map(|issuer| issuer.introspection.as_ref())
    }

    /// Loads all keys and keeps them fresh until `shutdown` turns true or is dropped.
    pub async fn refresh_loop(self: Arc<Self>, shutdown: watch::Receiver<bool>) {
        let loops = self
            .issuers
            .iter()
            .map(|issuer| Arc::clone(&issuer.keys).refresh_loop(shutdown.clone()));
        futures::future::join_all(loops).await;
    }
}

/// Whom a verified token stands for, and the ends of that on both clocks.
#[derive(Clone, Debug)]
struct Proven {
    principal: Principal,
    expires_unix_millis: u64,
    until_mono_millis: u64,
}

/// What a token says before its signature is verified.
struct Claimed {
    principal: Principal,
    expiry: u64,
}

struct Parts<'a> {
    templates: &'a Arc<[UserTemplate]>,
    discovery: Arc<Discovery>,
    source: Arc<dyn KeySource>,
    clock: &'a SharedClock,
    events: &'a Arc<KeyEvents>,
}

impl Issuer {
    fn new(index: usize, settings: IssuerSettings, parts: Parts<'_>) -> Self {
        let introspecting = settings.introspection.as_ref().map(|client| &*client.client_id);
        let ours = Ours::new(&settings.audiences, settings.clients, introspecting);
        let realm = Arc::new(Realm {
            index,
            issuer: settings.url.into(),
            templates: Arc::clone(parts.templates),
            claim_headers: settings.claim_headers,
            audiences: settings.audiences.clone(),
            ours,
        });
        let keys = IssuerKeys::new(
            Arc::clone(&realm.issuer),
            parts.source,
            KeyLife { soft: settings.soft_ttl, hard: settings.hard_ttl },
            Arc::clone(parts.clock),
            Arc::clone(parts.events),
        );
        let introspection = settings.introspection.map(|client| {
            let terms = Terms {
                realm: Arc::clone(&realm),
                audiences: settings.audiences.clone(),
                skew: settings.skew,
            };
            Arc::new(Introspection::new(client, parts.discovery, terms, Arc::clone(parts.clock)))
        });
        Self {
            realm,
            audiences: settings.audiences,
            algorithms: settings.algorithms.into_iter().collect(),
            skew: settings.skew,
            keys: Arc::new(keys),
            introspection,
        }
    }

    /// Everything that a token must be besides signed.
    fn read(&self, jws: &Jws<'_>, claims: &Claims<'_>, now: Now) -> Result<Claimed, TokenError> {
        if !self.algorithms.contains(jws.header.algorithm) {
            return Err(TokenError::AlgorithmNotAllowed);
        }
        claims.check_access_token(jws.header.is_declared_access_token)?;
        let expiry = claims.expiry(now)?.ok_or(TokenError::MalformedToken)?;
        claims.check_started(now, self.skew)?;
        claims.check_audience(&self.audiences)?;
        Ok(Claimed { principal: Principal::new(&self.realm, claims)?, expiry })
    }
}
