//! The `host` of a rule.

use std::fmt;

use super::host::{HostError, parse_host};

/// Which hosts a rule serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host.
    Exact(Box<str>),
    /// Every name with one or more labels before this suffix: `*.example.com`.
    Below(Box<str>),
}

impl HostPattern {
    /// Reads a host without a port, or `*.` and one.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        match text.strip_prefix("*.") {
            None => Ok(Self::Exact(parse_host(text)?.into())),
            // An address has no names below it.
            Some(suffix)
                if suffix.starts_with('[') || suffix.parse::<std::net::Ipv4Addr>().is_ok() =>
            {
                Err(HostError::NotAHost)
            }
            Some(suffix) => Ok(Self::Below(parse_host(suffix)?.into())),
        }
    }

    /// Whether it is for `host`, spelled as [`Target::host`](super::Target::host) does.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *host,
            Self::Below(suffix) => host
                .strip_suffix(&**suffix)
                .and_then(|labels| labels.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(suffix) => write!(f, "*.{suffix}"),
        }
    }
}
