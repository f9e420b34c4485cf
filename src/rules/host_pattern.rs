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
    pub(super) fn parse(text: &str) -> Result<Self, HostError> {
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
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(suffix) => write!(f, "*.{suffix}"),
        }
    }
}
