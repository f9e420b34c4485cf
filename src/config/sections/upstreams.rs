//! `upstreams`: where admitted requests go.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::config::problems::Problems;
use crate::config::values::http_url;
use crate::rules::{UpstreamRole, check_authority};
use crate::span::Span;
use crate::upstream::{HostHeader, UpstreamSettings};

/// One upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpstreamSection {
    url: String,
    host: String,
    forward_credentials: bool,
    connect_timeout: Span,
    read_timeout: Span,
    write_timeout: Span,
    idle_timeout: Span,
    resolve_interval: Span,
}

/// `openfga` is the URL of OpenFGA's API: an upstream with its origin is that, whatever its name.
pub(super) fn read(
    sections: &BTreeMap<String, UpstreamSection>,
    openfga: Option<&Url>,
    is_embedded: bool,
    problems: &mut Problems,
) -> Vec<(UpstreamRole, UpstreamSettings)> {
    for role in UpstreamRole::ALL {
        let is_needed = !(is_embedded && role == UpstreamRole::OpenFga);
        if is_needed && !sections.contains_key(role.name()) {
            problems.require(format!("upstreams.{}", role.name()), "is missing");
        }
    }
    let read = sections.iter().filter_map(|(name, section)| {
        let settings = section.read(name, problems)?;
        let is_openfga = openfga.is_some_and(|openfga| openfga.origin() == settings.url.origin());
        let role = if is_openfga { UpstreamRole::OpenFga } else { UpstreamRole::of(name) };
        Some((role, settings))
    });
    read.collect()
}

impl UpstreamSection {
    fn read(&self, name: &str, problems: &mut Problems) -> Option<UpstreamSettings> {
        let key = format!("upstreams.{name}");
        let url_key = format!("{key}.url");
        let waits = [
            ("connect_timeout", self.connect_timeout),
            ("read_timeout", self.read_timeout),
            ("write_timeout", self.write_timeout),
        ];
        problems.refuse_zero(&key, &waits);
        let url = http_url(&url_key, &self.url, problems);
        let host = host_header(&self.host, url.as_ref());
        let host = problems.take(format!("{key}.host"), host);
        let url = url?;
        if !is_bare(&url) {
            let message = format!(
                "{:?} must end after host and port: paths are forwarded as they come",
                self.url
            );
            problems.add(&url_key, message);
        }
        let authority = HeaderValue::from_str(&authority_of(&url));
        Some(UpstreamSettings {
            name: name.to_owned(),
            authority: problems.take(url_key, authority)?,
            url,
            host: host?,
            forward_credentials: self.forward_credentials,
            connect_timeout: self.connect_timeout.0,
            read_timeout: self.read_timeout.0,
            write_timeout: self.write_timeout.0,
            idle_timeout: self.idle_timeout.0,
            resolve_interval: self.resolve_interval.0.max(Duration::from_secs(1)),
        })
    }
}

/// Without a `url`, which is told elsewhere, `upstream` stands for nobody.
fn host_header(text: &str, url: Option<&Url>) -> Result<HostHeader, String> {
    let (authority, scheme) = match (text, url) {
        ("client", _) | ("upstream", None) => return Ok(HostHeader::Client),
        ("upstream", Some(url)) => (authority_of(url), None),
        _ if text.contains("://") => {
            let url = Url::parse(text).ok().filter(is_bare).ok_or_else(not_a_host)?;
            (authority_of(&url), Some(if url.scheme() == "https" { "https" } else { "http" }))
        }
        _ => (text.to_owned(), None),
    };
    check_authority(&authority).map_err(|_| not_a_host())?;
    let host = HeaderValue::from_str(&authority).map_err(|_| not_a_host())?;
    Ok(HostHeader::Fixed { host, scheme })
}

/// Not told as it was written: it may hold a password.
fn not_a_host() -> String {
    "is not client, upstream, a host like app.example:8080, or that with http:// or https://".into()
}

/// Whether it says nothing beside scheme, host and port.
fn is_bare(url: &Url) -> bool {
    let has_more = !url.username().is_empty()
        || url.password().is_some()
        || url.path() != "/"
        || url.query().is_some()
        || url.fragment().is_some();
    matches!(url.scheme(), "http" | "https") && !has_more
}

fn authority_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{environment, problems};
    use crate::config::{Overrides, parse};

    #[test]
    fn a_host_is_a_host() {
        for host in ["client", "upstream", "app.example", "app.example:8080", "https://app.example"]
        {
            assert_eq!(problems(&format!("upstreams: {{app: {{host: '{host}'}}}}")), "", "{host}");
        }
        for host in [
            "foo bar",
            "ftp://app.example",
            "http://user:secret@app.example",
            "http://app.example/path",
            "http://app.example?query",
            "app.example:port",
            "user@app.example",
            "app.example/path",
        ] {
            let told = problems(&format!("upstreams: {{app: {{host: '{host}'}}}}"));
            assert!(told.starts_with("upstreams.app.host: is not"), "{host}: {told}");
            assert!(!told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn every_mistake_of_an_upstream_is_told() {
        let told = problems(
            "upstreams: {app: {url: 'ftp://x', host: a b, read_timeout: 0s, write_timeout: soon}}",
        );
        let keys: Vec<_> = told.lines().filter_map(|line| line.split(": ").next()).collect();
        let names = ["write_timeout", "read_timeout", "url", "host"];
        assert_eq!(keys, names.map(|name| format!("upstreams.app.{name}")), "{told}");
    }

    #[test]
    fn whatever_has_the_origin_of_openfga_is_openfga() {
        let roles = |text: &str| {
            let settings = parse(text, &Overrides::default(), &environment).unwrap();
            let roles =
                settings.upstreams.into_iter().map(|(role, upstream)| (upstream.name, role));
            roles.collect::<BTreeMap<_, _>>()
        };
        let apart = roles(
            "openfga: {url: 'http://fga:8080'}\n\
             upstreams: {x: {url: 'http://fga:8080'}, y: {url: 'http://fga:8081'}}",
        );
        for (name, role) in [
            ("app", UpstreamRole::Application),
            ("zitadel", UpstreamRole::Zitadel),
            ("openfga", UpstreamRole::OpenFga),
            ("x", UpstreamRole::OpenFga),
            ("y", UpstreamRole::Application),
        ] {
            assert_eq!(apart[name], role, "{name}");
        }
    }
}
