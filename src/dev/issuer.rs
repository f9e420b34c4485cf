//! An issuer in ZITADEL's shape: discovery, keys, introspection, and tokens on demand.
//!
//! What it copies, and where from, matters more than that it is complete: access tokens have the
//! type `JWT` and an array of audiences, an opaque token is active only for clients in its
//! audience, a personal access token is active for everybody, roles are those of the client's
//! project or of whoever introspects, keys are published before they sign and stay published after.

mod assertion;
mod clients;
mod endpoints;
mod fault;
mod grants;
mod keys;
mod mint;
mod ring;
mod roles;
mod token;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};

use self::clients::Credentials;
use self::fault::{Counters, FaultSwitch};
use self::grants::{Claims, Grants, OpaqueKind};
use self::ring::KeyRing;
use super::server::Server;
use crate::clock::SharedClock;

pub use self::assertion::{ClientPublicKey, new_client_key};
pub use self::fault::{Fault, Hits};
pub use self::keys::{Algorithm, KeyError};
pub use self::token::{SigningError, TokenBuilder};

/// What an issuer is set up with.
#[derive(Clone)]
pub struct Settings {
    /// The API application's client id, as the gateway uses it for introspection.
    pub client_id: String,
    /// The API application's secret.
    pub client_secret: String,
    /// The id of the project, always in the audience.
    pub project: String,
    /// Service accounts: client id (which is the subject) and secret.
    pub service_accounts: Vec<(String, String)>,
    /// One key of each is published; the first one signs.
    pub algorithms: Vec<Algorithm>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            client_id: "123456789@authgateway".into(),
            client_secret: "aBcDeFgH:+ for development".into(),
            project: "212345678900000001".into(),
            service_accounts: vec![("gateway-service".into(), "for development".into())],
            algorithms: vec![Algorithm::Rs256],
        }
    }
}

/// The issuer did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("listen on {address}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The listener that was given is none.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The first keys could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

#[derive(Debug)]
struct State {
    clock: SharedClock,
    settings: Settings,
    /// Set once the port is known.
    url: OnceLock<String>,
    keys: RwLock<KeyRing>,
    client_keys: Mutex<Vec<ClientPublicKey>>,
    takes_each_assertion_once: AtomicBool,
    grants: Mutex<Grants>,
    fault: FaultSwitch,
    counters: Counters,
}

/// A running issuer; it stops when dropped.
#[derive(Debug)]
pub struct Issuer {
    state: Arc<State>,
    server: Server,
}

impl Issuer {
    /// Makes the keys and serves. Port 0 takes any free port.
    pub async fn start(
        listen: SocketAddr,
        settings: Settings,
        clock: SharedClock,
    ) -> Result<Self, StartError> {
        let listener = tokio::net::TcpListener::bind(listen).await;
        let listener = listener.and_then(tokio::net::TcpListener::into_std);
        let failed = |source| StartError::Listen { address: listen, source };
        let listener = listener.map_err(failed)?;
        let state = State::new(settings, clock)?;
        let server = Server::on(listener, state.named(endpoints::router)).map_err(failed)?;
        Ok(Self { state, server })
    }

    /// The same on an open listener, where whoever asks is given tokens besides.
    pub(super) fn start_minting(
        listener: TcpListener,
        settings: Settings,
        clock: SharedClock,
    ) -> Result<Self, StartError> {
        let state = State::new(settings, clock)?;
        let both =
            |state: Arc<State>| endpoints::router(Arc::clone(&state)).merge(mint::router(state));
        let server = Server::on(listener, state.named(both))?;
        Ok(Self { state, server })
    }

    /// The `iss` of its tokens; what `ZITADEL_ISSUER_URL` has to be.
    pub fn url(&self) -> &str {
        self.state.url()
    }

    /// What the issuer was set up with.
    pub fn settings(&self) -> &Settings {
        &self.state.settings
    }

    /// An access token as a JWT, valid for twelve hours.
    pub fn token(&self, subject: &str) -> TokenBuilder {
        TokenBuilder::access(&self.state, subject)
    }

    /// An ID token, which no API may accept.
    pub fn id_token(&self, subject: &str) -> TokenBuilder {
        TokenBuilder::id(&self.state, subject)
    }

    /// A back-channel logout token.
    pub fn logout_token(&self, subject: &str) -> TokenBuilder {
        TokenBuilder::logout(&self.state, subject)
    }

    /// A key of the API application as ZITADEL lets it be downloaded, instead of its secret.
    pub fn client_key(&self) -> Result<Value, KeyError> {
        let (file, public) = new_client_key(&numeric_id(), &self.state.settings.client_id)?;
        self.state.client_keys.lock().push(public);
        Ok(file)
    }

    /// Refuses from now on what a client has shown before, as RFC 7523 allows.
    pub fn take_each_assertion_once(&self) {
        self.state.takes_each_assertion_once.store(true, Ordering::SeqCst);
    }

    /// Takes all keys of the API application back.
    pub fn remove_client_keys(&self) {
        self.state.client_keys.lock().clear();
    }

    /// From now on this token, opaque or JWT, introspects as inactive.
    pub fn revoke(&self, token: &str) {
        let jti = self.state.verified(token).and_then(|claims| text(&claims, "jti"));
        self.state.grants.lock().revoke(jti.unwrap_or_else(|| token.to_owned()));
    }

    /// Publishes a further key, which does not sign yet, and returns its `kid`.
    pub fn publish_key(&self, algorithm: Algorithm) -> Result<String, KeyError> {
        self.state.keys.write().publish(algorithm)
    }

    /// Publishes a further key under a `kid` that others may have: one of another type, or, after
    /// [`Issuer::remove_key`], other material, as an issuer does that was rebuilt.
    pub fn publish_key_as(&self, kid: &str, algorithm: Algorithm) -> Result<(), KeyError> {
        self.state.keys.write().publish_as(kid, algorithm)
    }

    /// Signs with this published key from now on; `false` when there is none of that name.
    pub fn activate_key(&self, kid: &str) -> bool {
        self.state.keys.write().activate(kid)
    }

    /// Takes a key out of the set, which invalidates its tokens; `false` when there was none.
    pub fn remove_key(&self, kid: &str) -> bool {
        self.state.keys.write().remove(kid)
    }

    /// The `kid` of the key that signs.
    pub fn active_kid(&self) -> Option<String> {
        self.state.keys.read().active().map(|key| key.kid().to_owned())
    }

    /// The public key set, as `/oauth/v2/keys` shows it.
    pub fn key_set(&self) -> Value {
        json!({"keys": self.state.keys.read().public_jwks()})
    }

    /// Misbehaves from now on.
    pub fn set_fault(&self, fault: Fault) {
        self.state.fault.set(fault);
    }

    /// Calls so far, those that failed on purpose included.
    pub fn hits(&self) -> Hits {
        self.state.counters.read()
    }

    /// Refuses connections until [`Issuer::up`]; open ones are cut.
    pub async fn down(&self) {
        self.server.down().await;
    }

    /// Listens again, on the same port.
    pub async fn up(&self) -> io::Result<()> {
        self.server.up().await
    }
}

impl State {
    fn new(settings: Settings, clock: SharedClock) -> Result<Arc<Self>, KeyError> {
        let mut keys = KeyRing::default();
        for algorithm in &settings.algorithms {
            keys.publish(*algorithm)?;
        }
        Ok(Arc::new(Self {
            clock,
            settings,
            url: OnceLock::new(),
            keys: RwLock::new(keys),
            client_keys: Mutex::default(),
            takes_each_assertion_once: AtomicBool::new(false),
            grants: Mutex::default(),
            fault: FaultSwitch::new(),
            counters: Counters::default(),
        }))
    }

    /// A router that knows where it is served.
    fn named(
        self: &Arc<Self>,
        router: impl FnOnce(Arc<Self>) -> Router,
    ) -> impl FnOnce(SocketAddr) -> Router {
        let state = Arc::clone(self);
        move |address| {
            state.url.get_or_init(|| format!("http://{address}"));
            router(state)
        }
    }

    fn url(&self) -> &str {
        self.url.get().map_or("", String::as_str)
    }

    /// ZITADEL's: the clients of the project, then the project.
    fn audience(&self) -> [&str; 2] {
        [&self.settings.client_id, &self.settings.project]
    }

    fn is_api_client(&self, client: &Credentials) -> bool {
        client.id == self.settings.client_id && client.secret == self.settings.client_secret
    }

    fn is_service_account(&self, client: &Credentials) -> bool {
        let accounts = &self.settings.service_accounts;
        accounts.iter().any(|(id, secret)| client.id == *id && client.secret == *secret)
    }

    /// RFC 7662 members of an active token; `None` for every reason why it is not active.
    fn introspect(&self, token: &str, client: &str) -> Option<Claims> {
        let opaque = self.grants.lock().find(token).cloned();
        let (kind, mut claims) = match opaque {
            Some(found) => found,
            None => (OpaqueKind::AccessToken, self.verified(token)?),
        };
        let revoked = text(&claims, "jti").is_some_and(|jti| self.grants.lock().is_revoked(&jti));
        let expires = claims.get("exp").and_then(Value::as_u64)?;
        if revoked || expires <= self.clock.now().unix_secs() {
            return None;
        }
        if kind == OpaqueKind::PersonalAccessToken {
            claims.insert("aud".into(), json!([client, self.settings.project]));
        } else if !self.is_for(&claims, client) {
            return None;
        }
        roles::tell(&mut claims, &self.settings.project);
        claims.insert("active".into(), json!(true));
        claims.entry("token_type").or_insert_with(|| json!("Bearer"));
        claims.entry("scope").or_insert_with(|| json!("openid profile"));
        if let Some(subject) = text(&claims, "sub") {
            claims.entry("username").or_insert_with(|| json!(subject));
        }
        Some(claims)
    }

    fn is_for(&self, claims: &Claims, client: &str) -> bool {
        let audience = claims.get("aud").and_then(Value::as_array);
        audience.into_iter().flatten().any(|a| *a == client || *a == self.settings.project.as_str())
    }

    /// The claims of a JWT that one of our published keys signed.
    fn verified(&self, token: &str) -> Option<Claims> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
        let keys = self.keys.read();
        let key = keys.find(header.get("kid")?.as_str()?)?;
        let genuine = key.signed(message.as_bytes(), &decode(signature)?);
        if genuine { serde_json::from_slice(&decode(claims)?).ok() } else { None }
    }
}

fn text(claims: &Claims, name: &str) -> Option<String> {
    claims.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// ZITADEL's ids are snowflakes in decimal.
fn numeric_id() -> String {
    fastrand::u64(200_000_000_000_000_000..400_000_000_000_000_000).to_string()
}

#[cfg(test)]
mod tests;
