//! Documents from an issuer: no redirects, no proxies, bounded in time and size.

use std::time::Duration;

use async_trait::async_trait;

use super::jwks::{JwksError, KeySet};
use crate::clock::Now;
use crate::http_body::{BodyError, read_bounded};

const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where an issuer's keys come from.
#[async_trait]
pub trait KeySource: Send + Sync + std::fmt::Debug {
    /// Loads the current key set.
    async fn load(&self, now: Now) -> Result<KeySet, FetchError>;
}

/// Why a document could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection, or no answer within the deadline.
    #[error("{}", no_answer(.0))]
    Request(#[from] reqwest::Error),
    /// Anything but 200; a redirect too, since it could lead anywhere.
    #[error("unexpected status {0}")]
    Status(u16),
    /// More bytes than such a document needs, or a broken connection.
    #[error("unreadable document: {0}")]
    Body(#[from] BodyError),
    /// Not a discovery document.
    #[error("not a discovery document")]
    NotDiscovery,
    /// The document describes somebody else (`OpenID` Connect Discovery section 4.3).
    #[error("the discovery document is of issuer {0:?}")]
    IssuerMismatch(String),
    /// An endpoint that is missing, no URL, or not protected by TLS although the issuer is.
    #[error("the discovery document has no usable {0}")]
    Endpoint(&'static str),
    /// The key set itself.
    #[error(transparent)]
    Jwks(#[from] JwksError),
}

/// Names the innermost error, which is the operating system's or TLS's own.
fn no_answer(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match error.url() {
        Some(url) => {
            let (scheme, authority, path) = (url.scheme(), url.authority(), url.path());
            format!("no answer from {scheme}://{authority}{path}: {cause}")
        }
        None => format!("no answer: {cause}"),
    }
}

/// The client for everything that issuers are asked.
pub(in crate::authn) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent("auth-gateway")
        .build()
}

/// Reads the body of a 200, at most `limit` bytes of it.
pub(in crate::authn) async fn body(
    response: reqwest::Response,
    limit: usize,
) -> Result<Vec<u8>, FetchError> {
    if response.status() != reqwest::StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    Ok(read_bounded(response, limit).await?)
}
