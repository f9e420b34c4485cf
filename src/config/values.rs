//! Values that several sections have: addresses, URLs, hosts, lists.

use std::fmt::Display;
use std::net::SocketAddr;

use url::Url;

use super::problems::Problems;
use crate::rules::{HostPattern, KnownHosts};

/// A text that was not left empty.
pub(super) fn optional(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A text that goes into headers, and is what it was on the other side (RFC 9110 section 5.5): no
/// other characters than visible ones of ASCII, with blanks between them. It may be a secret, and is
/// not told.
pub(super) fn header_text<'a>(
    key: &str,
    text: &'a str,
    problems: &mut Problems,
) -> Option<&'a str> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text;
    if !is_plain {
        problems.add(key, "holds characters that no header carries, or a blank at an end");
    }
    optional(text)
}

pub(super) fn listen_address(key: &str, text: &str, problems: &mut Problems) -> Option<SocketAddr> {
    let parsed = text.parse::<SocketAddr>();
    let error = |_| format!("{text:?} is not an address and port like 0.0.0.0:3000");
    problems.take(key, parsed.map_err(error))
}

pub(super) fn http_url(key: &str, text: &str, problems: &mut Problems) -> Option<Url> {
    let parsed = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && url.password().is_none()
    });
    let error = || format!("{} is not an http or https URL without credentials", shown(text));
    problems.take(key, parsed.ok_or_else(error))
}

/// A URL with a password in it must not be repeated.
pub(super) fn shown(text: &str) -> String {
    if text.contains('@') { "the value (not shown)".to_owned() } else { format!("{text:?}") }
}

pub(super) fn known_hosts(key: &str, texts: &[String], problems: &mut Problems) -> KnownHosts {
    KnownHosts::new(each(key, texts, problems, HostPattern::parse))
}

/// What the entries of a list mean; those that mean nothing are told one by one.
pub(super) fn each<T, E: Display>(
    key: &str,
    texts: &[String],
    problems: &mut Problems,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Vec<T> {
    let parsed = texts.iter().filter_map(|text| {
        problems.take(key, parse(text).map_err(|error| format!("{text:?} {error}")))
    });
    parsed.collect()
}
