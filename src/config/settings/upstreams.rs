//! Upstreams: where admitted requests go.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderValue;
use url::Url;

use super::Findings;
use super::parts::http_url;
use crate::config::file;
use crate::rules::check_authority;
use crate::upstream::{HostHeader, UpstreamSettings};

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
        found.refuse_zero(
            &key,
            &[
                ("connect_timeout", upstream.connect_timeout),
                ("read_timeout", upstream.read_timeout),
                ("write_timeout", upstream.write_timeout),
            ],
        );
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
            let url = Url::parse(text).ok().filter(is_bare).ok_or_else(not_a_host)?;
            (authority_of(&url), Some(if url.scheme() == "https" { "https" } else { "http" }))
        }
        name => (name.to_owned(), None),
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
