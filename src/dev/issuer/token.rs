//! Tokens of every kind that ZITADEL issues, and bent ones for negative tests.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::grants::{Claims, OpaqueKind};
use super::keys::{Algorithm, KeyError, base64url};
use super::{State, numeric_id, roles};

const DAY_SECS: u64 = 86_400;
/// ZITADEL's default life of access and ID tokens.
const LIFE_SECS: u64 = 12 * 3_600;
const LOGOUT_LIFE_SECS: u64 = 15 * 60;

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The builder asks for a key that is not in the key set.
    #[error("find a published key for {0}")]
    NoKey(String),
    /// The library refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The system has no randomness.
    #[error("draw random bytes for a token")]
    NoRandomness,
}

/// A token before it is signed. Without further calls it is what ZITADEL would issue.
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenBuilder {
    state: Arc<State>,
    header: Map<String, Value>,
    claims: Claims,
    algorithm: Option<Algorithm>,
    /// The project of the client, which a service account does not have.
    project: Option<String>,
    now: u64,
}

impl TokenBuilder {
    fn new(state: &Arc<State>, subject: &str) -> Self {
        let now = state.clock.now().unix_secs();
        let mut claims = Map::new();
        claims.insert("iss".into(), json!(state.url()));
        claims.insert("sub".into(), json!(subject));
        claims.insert("aud".into(), json!(state.audience()));
        claims.insert("exp".into(), json!(now + LIFE_SECS));
        claims.insert("iat".into(), json!(now));
        let header = Map::from_iter([("typ".to_owned(), json!("JWT"))]);
        let project = Some(state.settings.project.clone());
        Self { state: Arc::clone(state), header, claims, algorithm: None, project, now }
    }

    pub(super) fn access(state: &Arc<State>, subject: &str) -> Self {
        let token = Self::new(state, subject);
        let (now, client) = (token.now, state.settings.client_id.clone());
        token.claim("nbf", now).claim("client_id", client).claim("jti", numeric_id())
    }

    pub(super) fn id(state: &Arc<State>, subject: &str) -> Self {
        let token = Self::new(state, subject);
        let (now, client) = (token.now, state.settings.client_id.clone());
        token
            .claim("azp", client.clone())
            .claim("client_id", client)
            .claim("at_hash", base64url(&now.to_be_bytes()))
            .claim("nonce", numeric_id())
            .claim("amr", json!(["pwd"]))
            .claim("auth_time", now)
            .claim("sid", format!("V1_{}", numeric_id()))
    }

    pub(super) fn logout(state: &Arc<State>, subject: &str) -> Self {
        let token = Self::new(state, subject);
        let exp = token.now + LOGOUT_LIFE_SECS;
        token
            .claim("exp", exp)
            .claim("aud", json!([state.settings.client_id]))
            .claim("jti", numeric_id())
            .claim("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}}))
            .claim("sid", format!("V1_{}", numeric_id()))
    }

    /// Expired an hour ago, after a life of one hour.
    pub fn expired(self) -> Self {
        let exp = self.now.saturating_sub(3_600);
        let iat = exp.saturating_sub(3_600);
        self.claim("exp", exp).claim("iat", iat).claim("nbf", iat)
    }

    /// Valid from tomorrow on.
    pub fn not_yet_valid(self) -> Self {
        let nbf = self.now + DAY_SECS;
        self.claim("nbf", nbf).claim("exp", nbf + LIFE_SECS)
    }

    /// Replaces the whole `aud` array.
    pub fn audience<'a>(self, audience: impl IntoIterator<Item = &'a str>) -> Self {
        let audience = audience.into_iter().collect::<Vec<_>>();
        self.claim("aud", json!(audience))
    }

    /// Sets or replaces one claim.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Removes one claim.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Issued to a client of another project, which asks for our audience: anybody's may.
    pub fn for_client_of(mut self, project: &str, client: &str) -> Self {
        self.project = Some(project.to_owned());
        let audience = json!([client, project, self.state.settings.project]);
        self.claim("client_id", client).claim("aud", audience)
    }

    /// Issued to a service account of this name, by client credentials.
    pub fn for_service_account(mut self, name: &str) -> Self {
        self.project = None;
        let audience = json!([self.state.settings.project]);
        self.claim("client_id", name).claim("aud", audience)
    }

    /// Roles in the client's project.
    pub fn roles<'a>(self, roles: impl IntoIterator<Item = &'a str>) -> Self {
        match self.project.clone() {
            Some(project) => self.roles_in(&project, roles),
            None => self,
        }
    }

    /// Roles in this project.
    pub fn roles_in<'a>(mut self, project: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        roles::give(&mut self.claims, project, self.project.as_deref(), names);
        self
    }

    /// Signs with the newest published key of this algorithm instead of the active key.
    pub fn alg(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// Overrides the `kid` in the header; the signing key stays.
    pub fn kid(self, kid: &str) -> Self {
        self.header("kid", kid)
    }

    /// Sets or replaces one header parameter.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// A JWT. A header parameter set by hand wins over the key's own.
    pub fn sign(&self) -> Result<String, SigningError> {
        let keys = self.state.keys.read();
        let key = match self.algorithm {
            Some(algorithm) => keys
                .newest(algorithm)
                .ok_or_else(|| SigningError::NoKey(algorithm.name().into()))?,
            None => keys.active().ok_or_else(|| SigningError::NoKey("the active key".into()))?,
        };
        let mut header = Map::new();
        header.insert("alg".into(), json!(key.algorithm().name()));
        header.insert("kid".into(), json!(key.kid()));
        header.extend(self.header.clone());

        let header = base64url(Value::Object(header).to_string().as_bytes());
        let claims = base64url(Value::Object(self.claims.clone()).to_string().as_bytes());
        let message = format!("{header}.{claims}");
        let signature = base64url(&key.sign(message.as_bytes())?);
        Ok(format!("{message}.{signature}"))
    }

    /// An opaque access token, ZITADEL's default: its claims show in introspection only.
    pub fn opaque(&self) -> Result<String, SigningError> {
        self.issue(OpaqueKind::AccessToken)
    }

    /// A personal access token: opaque, and active for every client of the instance.
    pub fn personal_access_token(&self) -> Result<String, SigningError> {
        self.issue(OpaqueKind::PersonalAccessToken)
    }

    fn issue(&self, kind: OpaqueKind) -> Result<String, SigningError> {
        let issued = self.state.grants.lock().issue(kind, self.claims.clone());
        issued.ok_or(SigningError::NoRandomness)
    }
}
