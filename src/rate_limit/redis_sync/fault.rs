//! Why a round of the exchange failed.

use std::time::Duration;

use redis::{RedisError, ServerError};

/// What went wrong between this replica and Redis. Never carries the URL or a password.
#[derive(Debug, thiserror::Error)]
pub enum SyncFault {
    /// No connection, or it broke.
    #[error("redis cannot be reached: {source}")]
    Unreachable {
        /// The connection's error.
        source: RedisError,
    },
    /// The answer did not come in time.
    #[error("redis did not answer within {within:?}")]
    NoAnswer {
        /// The deadline of one round trip.
        within: Duration,
    },
    /// Redis answered with an error: READONLY, OOM, LOADING, NOAUTH, WRONGPASS and the like.
    #[error("redis refused with {code}: {detail}")]
    Refused {
        /// The error's first word.
        code: String,
        /// The rest of the first error.
        detail: String,
    },
    /// Redis answered something else than was asked.
    #[error("redis answered unexpectedly: {cause}")]
    Unexpected {
        /// What could not be read.
        cause: String,
    },
    /// A round ended half-way; the panic itself is told where all are.
    #[error("the exchange with redis panicked")]
    Panicked,
}

impl SyncFault {
    pub(super) fn of(error: RedisError, within: Duration) -> Self {
        if error.is_timeout() {
            return Self::NoAnswer { within };
        }
        if error.kind() == redis::ErrorKind::AuthenticationFailed {
            let detail = excerpt(error.detail().unwrap_or("authentication failed"));
            return Self::Refused { code: "WRONGPASS".to_owned(), detail };
        }
        if let Some(errors) = error.clone().into_server_errors() {
            // A pipeline reports the same refusal for each of its commands; the first says it all.
            if let Some((_, first)) = errors.first() {
                return Self::refused(first);
            }
        }
        if error.is_io_error() || error.is_connection_dropped() {
            return Self::Unreachable { source: error };
        }
        Self::Unexpected { cause: excerpt(&error.to_string()) }
    }

    pub(super) const fn hint(&self) -> &'static str {
        match self {
            Self::Panicked => "report the panic above; the exchange is started again by itself",
            _ => "ensure that Redis is running and REDIS_URL is correct",
        }
    }

    pub(super) fn refused(error: &ServerError) -> Self {
        let detail = excerpt(error.details().unwrap_or_default());
        Self::Refused { code: excerpt(error.code()), detail }
    }
}

/// As much of a server's words as the log should hold.
fn excerpt(words: &str) -> String {
    words.chars().take(256).collect()
}
