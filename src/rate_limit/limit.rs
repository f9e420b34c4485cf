//! One named limit, as configured.

use std::fmt;
use std::time::Duration;

use http::HeaderName;
use http::HeaderValue;

use super::epoch::EpochMillis;

/// What a limit counts by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// The client's address; IPv6 by its /64, which one client owns whole.
    ClientIp,
    /// Issuer and subject.
    Principal,
    /// The rule's id: all clients together.
    Rule,
    /// The value of a request header.
    Header(HeaderName),
}

impl KeyKind {
    /// Whether anybody can make up as many keys as they like.
    pub(super) const fn is_free_to_invent(&self) -> bool {
        matches!(self, Self::ClientIp | Self::Header(_))
    }
}

/// In the words of the configuration.
impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp => f.write_str("client_ip"),
            Self::Principal => f.write_str("principal"),
            Self::Rule => f.write_str("rule"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

/// `requests` per `window` for each key.
#[derive(Clone, Debug)]
pub struct Limit {
    name: Box<str>,
    key: KeyKind,
    requests: u32,
    window_millis: u64,
    policy: HeaderValue,
    requests_header: HeaderValue,
}

/// Why a limit cannot be built.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// The name goes into Redis keys and response headers.
    #[error("a limit's name is 1 to 64 of a-z A-Z 0-9 _ -, not {name:?}")]
    BadName {
        /// What was given.
        name: String,
    },
    /// Counts are packed into 20 bits.
    #[error("a limit is 1 to {max} requests, not {requests}", max = Limit::MAX_REQUESTS)]
    RequestsOutOfRange {
        /// What was given.
        requests: u32,
    },
    /// Headers carry whole seconds.
    #[error("a window is whole seconds, 1 s to 24 h, not {window:?}")]
    WindowOutOfRange {
        /// What was given.
        window: Duration,
    },
}

impl Limit {
    /// The most requests per window that can be counted.
    pub const MAX_REQUESTS: u32 = 1_000_000;

    /// The longest window.
    pub const MAX_WINDOW: Duration = Duration::from_hours(24);

    /// A limit whose parts are all in range.
    pub fn new(
        name: &str,
        key: KeyKind,
        requests: u32,
        window: Duration,
    ) -> Result<Self, LimitError> {
        let bad_name = || LimitError::BadName { name: name.chars().take(64).collect() };
        if !(1..=64).contains(&name.len()) || !name.bytes().all(is_name_byte) {
            return Err(bad_name());
        }
        if !(1..=Self::MAX_REQUESTS).contains(&requests) {
            return Err(LimitError::RequestsOutOfRange { requests });
        }
        let seconds = window.as_secs();
        if seconds == 0 || window > Self::MAX_WINDOW || window.subsec_nanos() != 0 {
            return Err(LimitError::WindowOutOfRange { window });
        }
        let policy = HeaderValue::try_from(format!("\"{name}\";q={requests};w={seconds}"))
            .map_err(|_| bad_name())?;
        let window_millis = seconds.saturating_mul(1_000);
        let requests_header = HeaderValue::from(requests);
        Ok(Self { name: name.into(), key, requests, window_millis, policy, requests_header })
    }

    /// Unique within a configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it counts by.
    pub const fn key(&self) -> &KeyKind {
        &self.key
    }

    /// Requests per window.
    pub const fn requests(&self) -> u32 {
        self.requests
    }

    /// The window's length.
    pub const fn window(&self) -> Duration {
        Duration::from_millis(self.window_millis)
    }

    /// The `RateLimit-Policy` item.
    pub const fn policy(&self) -> &HeaderValue {
        &self.policy
    }

    /// [`Limit::requests`] as a header value.
    pub const fn requests_header(&self) -> &HeaderValue {
        &self.requests_header
    }

    pub(super) const fn window_millis(&self) -> u64 {
        self.window_millis
    }

    /// Number of the aligned window at `at`, and the milliseconds since its start.
    pub(super) const fn position(&self, at: EpochMillis) -> (u64, u64) {
        (at.0 / self.window_millis, at.0 % self.window_millis)
    }
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(name: &str, requests: u32, window: Duration) -> Result<Limit, LimitError> {
        Limit::new(name, KeyKind::Principal, requests, window)
    }

    #[test]
    fn a_limit_out_of_range_is_refused() {
        let minute = Duration::from_mins(1);
        assert!(limit("default", 1, minute).is_ok());
        assert!(limit("default", 1_000_000, Duration::from_hours(24)).is_ok());
        for (name, requests, window) in [
            ("", 1, minute),
            ("a:b", 1, minute),
            ("a\"b", 1, minute),
            (&"x".repeat(65), 1, minute),
            ("default", 0, minute),
            ("default", 1_000_001, minute),
            ("default", 1, Duration::ZERO),
            ("default", 1, Duration::from_millis(1_500)),
            ("default", 1, Duration::from_hours(25)),
        ] {
            assert!(limit(name, requests, window).is_err(), "{name} {requests} {window:?}");
        }
    }

    #[test]
    fn the_policy_is_written_as_the_draft_says() {
        let limit = limit("default", 100, Duration::from_mins(1)).unwrap();
        assert_eq!(limit.policy(), "\"default\";q=100;w=60");
    }
}
