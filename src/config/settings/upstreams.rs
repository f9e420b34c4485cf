//! Upstreams: where admitted requests go.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderValue;
use url::Url;

use super::Findings;
use super::parts::http_url;
use crate::config::file;
use crate::proxy::upstream::{HostHeader, UpstreamSettings};

/// Upstreams that other parts rely on.
const UPSTREAMS: [&str; 3] = ["app", "zitadel", "openfga"];

pub(super) fn upstreams(
    upstreams: &BTreeMap<String, file::Upstream>,
    is_embedded: bool,
    found: &mut Findings,
) -> Vec<UpstreamSettings> {
    for name in UPSTREAMS {
        let is_needed = !(is_embedded && name == "openfga");
        if is_needed && !upstreams.contains_key(name) && !found.is_broken("upstreams") {
            found.add(format!("upstreams.{name}"), "is missing");
        }
    }
    let built = upstreams.iter().filter_map(|(name, upstream)| {
        let key = format!("upstreams.{name}");
        let url = http_url(&format!("{key}.url"), &upstream.url, found)?;
        if url.path() != "/" || url.query().is_some() {
            found.add(
                format!("{key}.url"),
                format!(
                    "{:?} must end after host and port: paths are forwarded as they come",
                    upstream.url
                ),
            );
        }
        let spans = [
            ("connect_timeout", upstream.connect_timeout),
            ("read_timeout", upstream.read_timeout),
            ("write_timeout", upstream.write_timeout),
        ];
        for (name, _) in spans.iter().filter(|(_, span)| span.0.is_zero()) {
            found.add(format!("{key}.{name}"), "must not be zero");
        }
        let host = found.take(format!("{key}.host"), host_header(&upstream.host, &url))?;
        let authority = HeaderValue::from_str(&authority_of(&url));
        Some(UpstreamSettings {
            name: name.clone(),
            authority: found.take(format!("{key}.url"), authority)?,
            url,
            host,
            forward_credentials: upstream.forward_credentials,
            connect_timeout: upstream.connect_timeout.0,
            read_timeout: upstream.read_timeout.0,
            write_timeout: upstream.write_timeout.0,
            idle_timeout: upstream.idle_timeout.0,
            resolve_interval: upstream.resolve_interval.0.max(Duration::from_secs(1)),
        })
    });
    built.collect()
}

fn host_header(text: &str, url: &Url) -> Result<HostHeader, String> {
    let (authority, scheme) = match text {
        "client" => return Ok(HostHeader::Client),
        "upstream" => (authority_of(url), None),
        _ if text.contains("://") => {
            let url =
                Url::parse(text).map_err(|error| format!("{text:?} is not a URL: {error}"))?;
            (authority_of(&url), Some(if url.scheme() == "https" { "https" } else { "http" }))
        }
        name => (name.to_owned(), None),
    };
    let value = HeaderValue::from_str(&authority).ok().filter(|value| !value.is_empty());
    value
        .map(|host| HostHeader::Fixed { host, scheme })
        .ok_or_else(|| format!("{text:?} is not a host"))
}

fn authority_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
