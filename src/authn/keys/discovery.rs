//! `OpenID` Connect Discovery 1.0: where an issuer's keys and its introspection are.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::HOST;
use http::{HeaderValue, Method};
use parking_lot::Mutex;
use url::Url;

use super::fetch::{FetchError, KeySource, body};
use super::jwks::KeySet;
use crate::authn::json::{self, Value};
use crate::authn::settings::{IssuerSettings, SettingsError, parse_issuer};
use crate::clock::Now;

const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
const MAX_DOCUMENT_DEPTH: usize = 8;
/// Characters of another issuer's name that the log is told.
const MAX_TOLD: usize = 200;

/// Endpoints hardly ever move; a key set that cannot be loaded makes us look again at once.
const ENDPOINTS_TTL: Duration = Duration::from_mins(10);

/// The discovered side of one issuer.
#[derive(Debug)]
pub(in crate::authn) struct Discovery {
    issuer: String,
    issuer_url: Url,
    document_url: Url,
    /// Set when the issuer is called at another address than its own: the authority it goes by.
    host: Option<HeaderValue>,
    client: reqwest::Client,
    known: Mutex<Option<Known>>,
    discovering: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    endpoints: Arc<Endpoints>,
    /// `None` when there is reason to look again.
    seen: Option<Now>,
}

#[derive(Debug)]
pub(in crate::authn) struct Endpoints {
    jwks: Url,
    pub(in crate::authn) introspection: Option<Url>,
}

impl Discovery {
    pub(in crate::authn) fn new(
        settings: &IssuerSettings,
        client: reqwest::Client,
    ) -> Result<Self, SettingsError> {
        let invalid = || SettingsError::IssuerUrl(settings.url.clone());
        let issuer_url = parse_issuer(&settings.url)?;
        let below =
            format!("{}/.well-known/openid-configuration", settings.url.trim_end_matches('/'));
        let own = Url::parse(&below).map_err(|_| invalid())?;
        let document_url = settings.discovery_url.clone().unwrap_or_else(|| own.clone());
        let is_moved = document_url.origin() != own.origin();
        let host = is_moved.then(|| HeaderValue::from_str(issuer_url.authority()));
        Ok(Self {
            issuer: settings.url.clone(),
            issuer_url,
            document_url,
            host: host.transpose().map_err(|_| invalid())?,
            client,
            known: Mutex::new(None),
            discovering: tokio::sync::Mutex::new(()),
        })
    }

    /// The endpoints as last seen, however long ago; discovered when never seen.
    pub(in crate::authn) async fn endpoints(&self, now: Now) -> Result<Arc<Endpoints>, FetchError> {
        let known = self.known.lock().as_ref().map(|known| Arc::clone(&known.endpoints));
        match known {
            Some(endpoints) => Ok(endpoints),
            None => self.fresh_endpoints(now).await,
        }
    }

    async fn fresh_endpoints(&self, now: Now) -> Result<Arc<Endpoints>, FetchError> {
        let _one_at_a_time = self.discovering.lock().await;
        if let Some(known) = &*self.known.lock()
            && known.seen.is_some_and(|seen| now.since(seen) < ENDPOINTS_TTL)
        {
            return Ok(Arc::clone(&known.endpoints));
        }
        let endpoints = Arc::new(self.read(&self.document(&self.document_url).await?)?);
        *self.known.lock() = Some(Known { endpoints: Arc::clone(&endpoints), seen: Some(now) });
        Ok(endpoints)
    }

    /// Makes the next load of keys look again; calls go on where they went before.
    fn doubt(&self) {
        if let Some(known) = &mut *self.known.lock() {
            known.seen = None;
        }
    }

    /// A request to one of the issuer's endpoints.
    pub(in crate::authn) fn request(&self, method: Method, url: &Url) -> reqwest::RequestBuilder {
        let request = self.client.request(method, url.clone());
        match &self.host {
            // ZITADEL finds its instance by the host that it is asked for.
            Some(host) if url.origin() == self.document_url.origin() => request.header(HOST, host),
            _ => request,
        }
    }

    async fn document(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        body(self.request(Method::GET, url).send().await?, MAX_DOCUMENT_BYTES).await
    }

    fn read(&self, document: &[u8]) -> Result<Endpoints, FetchError> {
        let document = json::parse_object(document, MAX_DOCUMENT_DEPTH)
            .map_err(|_| FetchError::NotDiscovery)?;
        match document.get("issuer") {
            Some(Value::Text(issuer)) if *issuer == self.issuer => {}
            Some(Value::Text(other)) => {
                let told = other.chars().take(MAX_TOLD).collect();
                return Err(FetchError::IssuerMismatch(told));
            }
            _ => return Err(FetchError::NotDiscovery),
        }
        let introspection = document.get("introspection_endpoint");
        Ok(Endpoints {
            jwks: self.endpoint(document.get("jwks_uri"), "jwks_uri")?,
            // One that cannot be used stops introspection only; JWTs do not need it.
            introspection: introspection
                .and_then(|url| self.endpoint(Some(url), "introspection_endpoint").ok()),
        })
    }

    /// An endpoint of the document, at the address where the issuer is reached.
    fn endpoint(&self, url: Option<&Value<'_>>, name: &'static str) -> Result<Url, FetchError> {
        let mut url = url
            .and_then(Value::as_str)
            .and_then(|text| Url::parse(text).ok())
            .filter(|url| url.username().is_empty() && url.password().is_none())
            .filter(|url| url.scheme() == "https" || self.may_be_plain(url))
            .ok_or(FetchError::Endpoint(name))?;
        if self.host.is_some() && url.origin() == self.issuer_url.origin() {
            let (path, query) = (url.path().to_owned(), url.query().map(str::to_owned));
            url = self.document_url.clone();
            url.set_path(&path);
            url.set_query(query.as_deref());
        }
        Ok(url)
    }

    /// Plain http is for issuers that are plain themselves, and for the configured address.
    fn may_be_plain(&self, url: &Url) -> bool {
        url.scheme() == "http"
            && (self.issuer_url.scheme() == "http" || url.origin() == self.document_url.origin())
    }
}

#[async_trait]
impl KeySource for Discovery {
    async fn load(&self, now: Now) -> Result<KeySet, FetchError> {
        let endpoints = self.fresh_endpoints(now).await?;
        let loaded = match self.document(&endpoints.jwks).await {
            Ok(document) => KeySet::parse(&document).map_err(FetchError::from),
            Err(error) => Err(error),
        };
        if loaded.is_err() {
            self.doubt();
        }
        loaded
    }
}
