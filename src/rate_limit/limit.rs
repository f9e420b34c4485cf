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

/// Names a limit of one [`Limiter`](super::Limiter).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LimitId(pub(super) u16);

/// A name that rules use, and what it allows each key.
#[derive(Clone, Debug)]
pub struct Limit {
    name: Box<str>,
    key: KeyKind,
    /// Absent when the limit is off: nothing is counted, and no client is told anything.
    allowance: Option<Allowance>,
}

/// `requests` per `window` for each key.
#[derive(Clone, Debug)]
pub struct Allowance {
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
    /// Counts are packed into 30 bits.
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
    pub const MAX_REQUESTS: u32 = 1_000_000_000;

    /// The longest window.
    pub const MAX_WINDOW: Duration = Duration::from_hours(24);

    /// A limit whose parts are all in range.
    pub fn new(
        name: &str,
        key: KeyKind,
        requests: u32,
        window: Duration,
    ) -> Result<Self, LimitError> {
        let off = Self::off(name, key)?;
        Ok(Self { allowance: Some(Allowance::new(name, requests, window)?), ..off })
    }

    /// A limit that may be named but limits nobody.
    pub fn off(name: &str, key: KeyKind) -> Result<Self, LimitError> {
        if !(1..=64).contains(&name.len()) || !name.bytes().all(is_name_byte) {
            return Err(LimitError::BadName { name: name.chars().take(64).collect() });
        }
        Ok(Self { name: name.into(), key, allowance: None })
    }

    /// Unique within a configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it counts by.
    pub const fn key(&self) -> &KeyKind {
        &self.key
    }

    /// How much it allows; `None` when it is off.
    pub const fn allowance(&self) -> Option<&Allowance> {
        self.allowance.as_ref()
    }
}

/// For operators: `principal: 100 per 60s by principal`, `spare: off`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, key, allowance } = self;
        match allowance {
            None => write!(f, "{name}: off"),
            Some(allowance) => {
                write!(f, "{name}: {} per {:?} by {key}", allowance.requests, allowance.window())
            }
        }
    }
}

impl Allowance {
    /// `name` has been checked.
    fn new(name: &str, requests: u32, window: Duration) -> Result<Self, LimitError> {
        if !(1..=Limit::MAX_REQUESTS).contains(&requests) {
            return Err(LimitError::RequestsOutOfRange { requests });
        }
        let seconds = window.as_secs();
        if seconds == 0 || window > Limit::MAX_WINDOW || window.subsec_nanos() != 0 {
            return Err(LimitError::WindowOutOfRange { window });
        }
        let policy = HeaderValue::try_from(format!("\"{name}\";q={requests};w={seconds}"))
            .map_err(|_| LimitError::BadName { name: name.to_owned() })?;
        let window_millis = seconds.saturating_mul(1_000);
        Ok(Self { requests, window_millis, policy, requests_header: HeaderValue::from(requests) })
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
    pub(super) const fn policy(&self) -> &HeaderValue {
        &self.policy
    }

    /// [`Allowance::requests`] as a header value.
    pub(super) const fn requests_header(&self) -> &HeaderValue {
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
        assert!(limit("default", 1_000_000_000, Duration::from_hours(24)).is_ok());
        for (name, requests, window) in [
            ("", 1, minute),
            ("a:b", 1, minute),
            ("a\"b", 1, minute),
            (&"x".repeat(65), 1, minute),
            ("default", 0, minute),
            ("default", 1_000_000_001, minute),
            ("default", 1, Duration::ZERO),
            ("default", 1, Duration::from_millis(1_500)),
            ("default", 1, Duration::from_hours(25)),
        ] {
            assert!(limit(name, requests, window).is_err(), "{name} {requests} {window:?}");
        }
    }

    #[test]
    fn a_limit_that_is_off_has_a_name_like_any_other() {
        let off = |name| Limit::off(name, KeyKind::Principal);
        let limit = off("default").unwrap();
        assert!(limit.allowance().is_none());
        assert_eq!(limit.to_string(), "default: off");
        assert_eq!(off("a:b").unwrap_err(), LimitError::BadName { name: "a:b".to_owned() });
    }

    #[test]
    fn the_policy_is_written_as_the_draft_says() {
        for (requests, policy) in
            [(100, "\"default\";q=100;w=60"), (1_000_000_000, "\"default\";q=1000000000;w=60")]
        {
            let limit = limit("default", requests, Duration::from_mins(1)).unwrap();
            assert_eq!(limit.allowance().unwrap().policy(), policy);
        }
    }
}
