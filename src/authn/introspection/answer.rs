//! What an introspection endpoint says, and what it says about itself by not answering.

use std::time::Duration;

use super::super::claims::Claims;
use super::super::json::{self, Value};
use super::super::keys::fetch::{self, FetchError};
use crate::http_body::{self, BodyError};

const MAX_RESPONSE_BYTES: usize = 64 * 1024;
const MAX_ERROR_DEPTH: usize = 4;

/// Why there was no answer that can be believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Where the endpoint is could not be found out.
    #[error("no discovery document: {0}")]
    Discovery(#[source] FetchError),
    /// The discovery document does not say where the endpoint is.
    #[error("the issuer has no usable introspection endpoint")]
    NoEndpoint,
    /// No connection, or an answer that broke off or is too long.
    #[error(transparent)]
    Unread(#[from] FetchError),
    /// Not within `introspection.timeout`.
    #[error("no answer within the deadline")]
    Deadline,
    /// Our own client is not known there, or its secret is another one.
    #[error("the endpoint refuses our client id and secret, with {0}")]
    ClientRefused(u16),
    /// Our own key is not known there, or what it signed is not believed.
    #[error("the endpoint refuses our client and its key, with {0}")]
    KeyRefused(u16),
    /// Our own key does not sign.
    #[error("the key of our client does not sign")]
    Unsigned,
    /// Something in the request for this token is not to its liking.
    #[error("the endpoint refuses the question, with {0}")]
    QuestionRefused(u16),
    /// It wants to be left alone for a while.
    #[error("the endpoint answers {status} and wants no calls for {pause:?}")]
    Busy {
        /// 429 or 503.
        status: u16,
        /// Bounded.
        pause: Duration,
    },
    /// Nothing that RFC 7662 knows.
    #[error("the endpoint answers {0}")]
    Status(u16),
    /// 200, but of another content type.
    #[error("the answer is not application/json")]
    NotJson,
    /// JSON, but nothing that answers the question.
    #[error("the answer is not an object with a boolean `active`")]
    NotAnAnswer,
}

impl Fault {
    /// Whether it may be about one token only, so that its bearer must not be able to stop the others:
    /// what stands in an answer, and how long it is, comes from what the token stands for. Everything
    /// else says something about the endpoint or about us.
    pub(super) const fn is_about_the_token(&self) -> bool {
        matches!(
            self,
            Self::QuestionRefused(_)
                | Self::NotAnAnswer
                | Self::Unread(FetchError::Body(BodyError::TooLarge { .. }))
        )
    }

    /// What an operator should look at first.
    pub(super) const fn hint(&self) -> &'static str {
        match self {
            Self::ClientRefused(_) => {
                "check ZITADEL_CLIENT_ID and ZITADEL_CLIENT_SECRET: an API application of the \
                 issuer's, with basic authentication"
            }
            Self::KeyRefused(_) | Self::Unsigned => {
                "check ZITADEL_KEY_FILE: a key of an API application of the issuer's that has not \
                 been removed there, nor expired; and compare both clocks"
            }
            Self::Discovery(_) | Self::NoEndpoint => "check ZITADEL_ISSUER_URL and the network",
            fault if fault.is_about_the_token() => {
                "perhaps only requests with this token are concerned; if all opaque tokens are, \
                 check that the issuer works"
            }
            _ => "check that the issuer works, and what stands before it",
        }
    }
}

/// The claims of an answer: 200, `application/json`, one object with a boolean `active`.
pub(super) async fn read(response: reqwest::Response) -> Result<Claims<'static>, Fault> {
    let status = response.status().as_u16();
    match (status, http_body::retry_after(response.headers())) {
        (200, _) if http_body::is_json(response.headers()) => {}
        (200, _) => return Err(Fault::NotJson),
        (400, _) => return Err(refused(response).await),
        (422, _) => return Err(Fault::QuestionRefused(status)),
        (401 | 403, _) => return Err(Fault::ClientRefused(status)),
        (429 | 503, Some(pause)) => return Err(Fault::Busy { status, pause }),
        _ => return Err(Fault::Status(status)),
    }
    let body = fetch::body(response, MAX_RESPONSE_BYTES).await?;
    let claims = Claims::parse(&body).map_err(|_| Fault::NotAnAnswer)?;
    let is_answer = matches!(claims.get("active"), Some(Value::Bool(_)));
    is_answer.then(|| claims.into_owned()).ok_or(Fault::NotAnAnswer)
}

/// Who it is that a 400 refuses: RFC 6749 section 5.2 lets a server say so that it does not know us.
async fn refused(response: reqwest::Response) -> Fault {
    let body = http_body::read_bounded(response, MAX_RESPONSE_BYTES).await.ok();
    let error = body.as_deref().and_then(|body| json::parse_object(body, MAX_ERROR_DEPTH).ok());
    match error.as_ref().and_then(|error| error.get("error")).and_then(Value::as_str) {
        Some("invalid_client" | "unauthorized_client") => Fault::ClientRefused(400),
        _ => Fault::QuestionRefused(400),
    }
}
