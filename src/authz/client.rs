//! OpenFGA's HTTP API, as much of it as the gateway asks.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::decide::{Decide, OpenFgaAddress};
use super::fault::CheckFault;
use super::question::{Check, ConsistencyPreference};
use crate::http_body::{self, BodyError};
use crate::secret::Secret;

/// How much of somebody else's words goes into the log.
const MAX_WORDS: usize = 256;

/// An answer larger than this is not OpenFGA's: models are at most 256 KiB, JSON roughly doubles them.
const MAX_BODY: usize = 1 << 20;

/// Where OpenFGA is and how to talk to it.
#[derive(Debug, Clone)]
pub struct OpenFgaSettings {
    /// Base of the HTTP API.
    pub url: Url,
    /// The store.
    pub store_id: String,
    /// Preshared key.
    pub api_token: Option<Secret>,
    /// Deadline of one call.
    pub timeout: Duration,
}

/// A client with a connection pool of its own; make one per runtime.
#[derive(Debug, Clone)]
pub struct OpenFga {
    http: reqwest::Client,
    check_url: Url,
    models_url: Url,
    settings: OpenFgaSettings,
}

/// The settings cannot make a client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL cannot carry paths.
    #[error("{url} cannot be the base of an API")]
    NotABase {
        /// As configured.
        url: Url,
    },
    /// The preshared key holds bytes that no header may carry.
    #[error("the OpenFGA API token is not a legal header value")]
    BadToken,
    /// TLS could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}

#[derive(Serialize)]
struct CheckBody<'a> {
    tuple_key: TupleKey<'a>,
    authorization_model_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistency: Option<&'static str>,
}

#[derive(Serialize)]
struct TupleKey<'a> {
    user: &'a str,
    relation: &'a str,
    object: &'a str,
}

#[derive(Deserialize)]
struct CheckAnswer {
    allowed: bool,
}

#[derive(Deserialize)]
struct ModelsAnswer {
    authorization_models: Vec<Value>,
}

#[derive(Deserialize)]
struct ModelAnswer {
    authorization_model: Value,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    code: String,
    #[serde(default)]
    message: String,
}

impl OpenFga {
    /// A client that connects when it is first asked.
    pub fn new(settings: OpenFgaSettings) -> Result<Self, ClientError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &settings.api_token {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                .map_err(|_| ClientError::BadToken)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .build()?;
        let at = |last: &str| -> Result<Url, ClientError> {
            let mut url = settings.url.clone();
            url.path_segments_mut()
                .map_err(|()| ClientError::NotABase { url: settings.url.clone() })?
                .pop_if_empty()
                .extend(["stores", &settings.store_id, last]);
            Ok(url)
        };
        Ok(Self {
            http,
            check_url: at("check")?,
            models_url: at("authorization-models")?,
            settings,
        })
    }

    /// Whom it asks.
    pub fn address(&self) -> OpenFgaAddress<'_> {
        OpenFgaAddress { url: self.settings.url.as_str(), store_id: &self.settings.store_id }
    }

    /// Whether the store is there: OpenFGA lists the models of one that is not, and finds none.
    pub async fn find_store(&self) -> Result<(), CheckFault> {
        let mut url = self.models_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop();
        }
        read::<Value>(self.http.get(url)).await.map(drop)
    }

    /// The newest authorization model of the store, if it has one.
    pub async fn latest_model(&self) -> Result<Option<Value>, CheckFault> {
        let mut url = self.models_url.clone();
        url.query_pairs_mut().append_pair("page_size", "1");
        let page: ModelsAnswer = read(self.http.get(url)).await?;
        Ok(page.authorization_models.into_iter().next())
    }

    /// One authorization model.
    pub async fn model(&self, id: &str) -> Result<Value, CheckFault> {
        let mut url = self.models_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(id);
        }
        let ModelAnswer { authorization_model } = read(self.http.get(url)).await?;
        if authorization_model.get("id").and_then(Value::as_str) != Some(id) {
            let cause = "another authorization model than the one asked for".to_owned();
            return Err(CheckFault::Unintelligible { cause });
        }
        Ok(authorization_model)
    }
}

#[async_trait]
impl Decide for OpenFga {
    async fn decide(&self, check: &Check, model_id: &str) -> Result<bool, CheckFault> {
        let body = CheckBody {
            tuple_key: TupleKey {
                user: check.user(),
                relation: check.relation(),
                object: check.object(),
            },
            authorization_model_id: model_id,
            consistency: match check.consistency {
                ConsistencyPreference::MinimizeLatency => None,
                ConsistencyPreference::HigherConsistency => Some("HIGHER_CONSISTENCY"),
            },
        };
        let request = self.http.post(self.check_url.clone()).json(&body);
        read::<CheckAnswer>(request).await.map(|answer| answer.allowed)
    }

    fn address(&self) -> Option<OpenFgaAddress<'_>> {
        Some(self.address())
    }
}

/// The answer, if it is one: status 200, `application/json`, an object. What a proxy, a login page or a
/// stranger on the port says instead decides nothing.
async fn read<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, CheckFault> {
    let response = request.send().await.map_err(|error| transport(&error))?;
    let status = response.status().as_u16();
    if let (429 | 503, Some(pause)) = (status, http_body::retry_after(response.headers())) {
        return Err(CheckFault::Busy { status, pause });
    }
    if !http_body::is_json(response.headers()) {
        return Err(unintelligible(&format!("status {status}, not application/json")));
    }
    let body = http_body::read_bounded(response, MAX_BODY).await.map_err(unread)?;
    if status == 200 {
        return object(&body);
    }
    match object::<ErrorAnswer>(&body) {
        Ok(ErrorAnswer { code, message }) if status >= 400 => {
            Err(CheckFault::Refused { status, code: excerpt(&code), message: excerpt(&message) })
        }
        _ => Err(unintelligible(&format!("status {status}"))),
    }
}

/// Serde would take a list for a struct as well.
fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, CheckFault> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(unintelligible("not a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| unintelligible(&error.to_string()))
}

fn unread(error: BodyError) -> CheckFault {
    match error {
        BodyError::TooLarge { .. } => unintelligible(&error.to_string()),
        BodyError::Broken(error) => transport(&error),
    }
}

fn unintelligible(cause: &str) -> CheckFault {
    CheckFault::Unintelligible { cause: excerpt(cause) }
}

fn excerpt(words: &str) -> String {
    words.chars().take(MAX_WORDS).collect()
}

fn transport(error: &reqwest::Error) -> CheckFault {
    if error.is_timeout() {
        return CheckFault::Deadline;
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    CheckFault::Unreachable { cause: cause.to_string() }
}

#[cfg(test)]
mod tests;
