//! Host names as rules and requests spell them.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Octets in a name without its trailing dot (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Why an authority names no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Neither a DNS name nor an IPv4 or bracketed IPv6 address.
    #[error("is not a DNS name, an IPv4 address or a bracketed IPv6 address")]
    NotAHost,
    /// `user@host`.
    #[error("has user information")]
    UserInformation,
    /// What follows the colon is no port.
    #[error("has an invalid port")]
    InvalidPort,
}

/// A lower-cased host without its trailing dot, and the port beside it.
#[derive(Clone, Debug)]
pub(super) struct Authority<'a> {
    pub(super) host: Cow<'a, str>,
    pub(super) port: Option<u16>,
    /// Whether it was written in another way than [`Authority`]'s `Display` does.
    pub(super) is_rewritten: bool,
}

/// Spellings do not count.
impl PartialEq for Authority<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.host == other.host && self.port == other.port
    }
}

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl<'a> Authority<'a> {
    pub(super) fn parse(raw: &'a [u8]) -> Result<Self, HostError> {
        let text = std::str::from_utf8(raw).map_err(|_| HostError::NotAHost)?;
        if text.contains('@') {
            return Err(HostError::UserInformation);
        }
        if let Some(bracketed) = text.strip_prefix('[') {
            let (address, after) = bracketed.split_once(']').ok_or(HostError::NotAHost)?;
            let digits = match after {
                "" => None,
                after => Some(after.strip_prefix(':').ok_or(HostError::NotAHost)?),
            };
            let host = ipv6(address)?;
            let is_rewritten = !text.starts_with(&*host) || digits.is_some_and(has_leading_zero);
            return Ok(Self { host, port: digits.map(parse_port).transpose()?, is_rewritten });
        }
        let (name, digits) = match text.split_once(':') {
            Some((name, digits)) => (name, Some(digits)),
            None => (text, None),
        };
        let host = name_or_ipv4(name)?;
        let is_rewritten = matches!(host, Cow::Owned(_))
            || host.len() != name.len()
            || digits.is_some_and(has_leading_zero);
        Ok(Self { host, port: digits.map(parse_port).transpose()?, is_rewritten })
    }
}

/// Whether `text` is a host, with or without a port.
pub fn check_authority(text: &str) -> Result<(), HostError> {
    Authority::parse(text.as_bytes()).map(drop)
}

/// Parses a host that has no port, as rules write it.
pub(super) fn parse_host(text: &str) -> Result<Cow<'_, str>, HostError> {
    let authority = Authority::parse(text.as_bytes())?;
    match authority.port {
        Some(_) => Err(HostError::InvalidPort),
        None => Ok(authority.host),
    }
}

fn parse_port(digits: &str) -> Result<u16, HostError> {
    // `u16::from_str` accepts a sign.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HostError::InvalidPort);
    }
    digits.parse().map_err(|_| HostError::InvalidPort)
}

fn has_leading_zero(digits: &str) -> bool {
    digits.len() > 1 && digits.starts_with('0')
}

/// Addresses are written in the form of RFC 5952, so that each has one spelling.
fn ipv6(address: &str) -> Result<Cow<'static, str>, HostError> {
    let address: Ipv6Addr = address.parse().map_err(|_| HostError::NotAHost)?;
    Ok(Cow::Owned(format!("[{address}]")))
}

fn name_or_ipv4(text: &str) -> Result<Cow<'_, str>, HostError> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() > MAX_NAME {
        return Err(HostError::NotAHost);
    }
    let mut has_upper_case = false;
    let mut label_length = 0;
    for byte in name.bytes() {
        match byte {
            b'.' if label_length == 0 => return Err(HostError::NotAHost),
            b'.' => label_length = 0,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' if label_length < MAX_LABEL => {
                has_upper_case |= byte.is_ascii_uppercase();
                label_length += 1;
            }
            _ => return Err(HostError::NotAHost),
        }
    }
    if label_length == 0 || (ends_in_a_number(name) && name.parse::<Ipv4Addr>().is_err()) {
        return Err(HostError::NotAHost);
    }
    Ok(if has_upper_case { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) })
}

/// `127.1` and `127.0x1` are addresses for some resolvers and names for others; this is how the URL
/// standard tells that a host is meant as an address.
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_spelling() {
        for (raw, host, port) in [
            ("example.com", "example.com", None),
            ("EXAMPLE.Com.", "example.com", None),
            ("example.com:8443", "example.com", Some(8443)),
            ("localhost:3000", "localhost", Some(3000)),
            ("localhost:0080", "localhost", Some(80)),
            ("localhost:0", "localhost", Some(0)),
            ("[::1]:03000", "[::1]", Some(3000)),
            ("[::0001]", "[::1]", None),
            ("my_service", "my_service", None),
            ("3f2a", "3f2a", None),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]:3000", "[::1]", Some(3000)),
            ("[2001:DB8:0:0:0:0:0:1]", "[2001:db8::1]", None),
        ] {
            let authority = Authority::parse(raw.as_bytes()).expect(raw);
            assert_eq!((authority.host.as_ref(), authority.port), (host, port), "{raw}");
            assert_eq!(authority.is_rewritten, authority.to_string() != raw, "{raw}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for raw in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "a/b",
            "a%2eb",
            "a\0b",
            "user@host",
            "host:",
            "host:x",
            "host:+80",
            "host:65536",
            "host:80:80",
            "::1",
            "[::1",
            "[::1]x",
            "[fe80::1%25eth0]",
            "127.1",
            "127.0x1",
            "0x7f000001",
            "1.2.3.4.5",
            "256.1.1.1",
            "münchen.example",
            "a,b",
            "*.example.com",
        ] {
            assert!(Authority::parse(raw.as_bytes()).is_err(), "{raw}");
        }
        assert!(Authority::parse(&[b'a'; 64]).is_err());
        assert!(Authority::parse(&[0xFF]).is_err());
    }
}
