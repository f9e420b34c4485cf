//! Lists of what is believed, stripped and answered at the edge: networks, hosts, header names, origins.

use std::fmt::Display;

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::Findings;
use crate::config::file;
use crate::proxy::cors::{Cors, Origins};
use crate::proxy::headers::names::NamePattern;
use crate::rules::{HostPattern, KnownHosts};

pub(super) fn trusted_proxies(texts: &[String], found: &mut Findings) -> Vec<IpNet> {
    each("server.trusted_proxies", texts, found, |text| {
        let address = || text.parse().ok().map(std::net::IpAddr::into);
        text.parse().ok().or_else(address).ok_or("is not an address or a network like 10.0.0.0/8")
    })
}

pub(super) fn known_hosts(key: &str, texts: &[String], found: &mut Findings) -> KnownHosts {
    KnownHosts::new(each(key, texts, found, HostPattern::parse))
}

pub(super) fn strip_headers(texts: &[String], found: &mut Findings) -> Vec<NamePattern> {
    each("server.strip_headers", texts, found, NamePattern::parse)
}

/// What the entries of a list mean; those that mean nothing are told one by one.
fn each<T, E: Display>(
    key: &str,
    texts: &[String],
    found: &mut Findings,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Vec<T> {
    let parsed = texts.iter().filter_map(|text| {
        found.take(key, parse(text).map_err(|error| format!("{text:?} {error}")))
    });
    parsed.collect()
}

pub(super) fn cors(cors: &file::Cors, found: &mut Findings) -> Option<Cors> {
    let origins = Origins::parse(&cors.allowed_origins).map_err(|errors| {
        for (text, error) in errors {
            // A URL with a password in it must not be repeated.
            let shown = if text.contains('@') { "the value (not shown)" } else { text };
            found.add("cors.allowed_origins", format!("{shown:?} {error}"));
        }
    });
    let allowed_headers = names("cors.allowed_headers", &cors.allowed_headers, found);
    let exposed_headers = names("cors.exposed_headers", &cors.exposed_headers, found);
    let origins = origins.ok()?;
    Some(Cors {
        allowed_headers: allowed_headers?,
        exposed_headers: exposed_headers?,
        allow_credentials: cors.allow_credentials && !matches!(origins, Origins::Any),
        max_age: HeaderValue::from(cors.max_age.0.as_secs()),
        origins,
    })
}

/// The names of headers, as one value.
fn names(key: &str, names: &[String], found: &mut Findings) -> Option<HeaderValue> {
    for name in names {
        let parsed = HeaderName::from_bytes(name.as_bytes());
        found.take(key, parsed.map_err(|_| format!("{name:?} is not a header name")))?;
    }
    found.take(key, HeaderValue::from_str(&names.join(", ")))
}
