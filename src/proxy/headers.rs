//! What the upstream gets to see: the client's headers without what it may not say, and ours.
//!
//! Edits go through `http::request::Parts`, which skips Pingora's second map for the case of header
//! names; it costs a third of `insert_header`.

pub mod names;

use std::net::IpAddr;
use std::sync::Arc;

use compact_str::CompactString;
use http::header::{CONNECTION, EXPECT, HOST, HeaderName, UPGRADE, VIA};
use http::{HeaderMap, HeaderValue, Uri, Version};
use pingora::http::RequestHeader;

use super::client_addr::{address_text, readable_end};
use crate::gate::Admission;
use names::{Names, Passage};

/// `X-User-ID`: the subject of the caller.
pub const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");
/// `X-Request-ID`
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How many headers an upstream gets from us at most, claims aside.
const ADDED: usize = 8;

/// Which headers are cleaned away and what is written in their place.
#[derive(Debug)]
pub struct HeaderPolicy {
    names: Arc<Names>,
    via: HeaderValue,
    name: Box<str>,
}

/// What is known of the request that the upstream is told.
pub struct Told<'a> {
    /// The permit.
    pub admission: &'a Admission,
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// Whether the forwarding headers that came in are our own proxies'.
    pub is_trusted_peer: bool,
    /// The request's id.
    pub request_id: &'a HeaderValue,
    /// The canonical target, when the client wrote it another way.
    pub rewritten: Option<&'a http::uri::PathAndQuery>,
    /// What goes into Host.
    pub host: Host<'a>,
    /// The scheme that the upstream is told, when it is fixed.
    pub scheme: Option<&'static str>,
    /// Whether the client's credentials go along.
    pub forward_credentials: bool,
    /// Whether a WebSocket is asked for; no other upgrade is passed on.
    pub is_handshake: bool,
}

/// What an upstream gets as Host.
#[derive(Debug, Clone, Copy)]
pub enum Host<'a> {
    /// Always this.
    Fixed(&'a HeaderValue),
    /// This, if the client sent none (HTTP/1.0).
    IfMissing(&'a HeaderValue),
}

impl HeaderPolicy {
    /// A policy for a gateway called `name`.
    pub fn new(name: &str, names: Arc<Names>) -> Result<Self, http::Error> {
        let via = HeaderValue::from_str(&format!("1.1 {name}"))?;
        Ok(Self { names, via, name: name.into() })
    }

    /// Whether the request has been here before (RFC 9110 section 7.6.3).
    pub fn is_loop(&self, headers: &HeaderMap) -> bool {
        headers.get_all(VIA).iter().any(|value| {
            value.to_str().is_ok_and(|text| {
                text.split(',').any(|hop| hop.split_whitespace().nth(1) == Some(&*self.name))
            })
        })
    }

    /// Rewrites `request` for the upstream.
    pub fn apply(&self, request: &mut RequestHeader, told: &Told<'_>) {
        let mut parts = take_parts(request);
        // Growing once is cheaper than growing while one header after the other is added.
        parts.headers.reserve(ADDED);
        let forwarded = Forwarded::of(&parts.headers, told);
        self.clean(&mut parts.headers, told);
        forwarded.write(&mut parts.headers, told);
        match told.host {
            Host::Fixed(host) => {
                parts.headers.insert(HOST, host.clone());
            }
            // Pingora makes HTTP/1.1 of everything, and that has a Host.
            Host::IfMissing(host) if !parts.headers.contains_key(HOST) => {
                parts.headers.insert(HOST, host.clone());
            }
            Host::IfMissing(_) => {}
        }
        if let Some(target) = told.rewritten {
            parts.uri = Uri::from(target.clone());
        }
        if let Some(caller) = told.admission.caller() {
            parts.headers.insert(X_USER_ID, caller.principal.id_header().clone());
            for (name, value) in caller.principal.claim_headers() {
                parts.headers.insert(name.clone(), value.clone());
            }
        }
        parts.headers.insert(X_REQUEST_ID, told.request_id.clone());
        parts.headers.append(VIA, self.via.clone());
        *request = RequestHeader::from(parts);
    }

    fn clean(&self, headers: &mut HeaderMap, told: &Told<'_>) {
        let passes = |name: &HeaderName| match self.names.passage(name.as_str()) {
            Passage::Free => true,
            Passage::FromProxies => told.is_trusted_peer,
            Passage::WithCredentials => told.forward_credentials,
            Passage::FromProxiesWithCredentials => told.is_trusted_peer && told.forward_credentials,
            Passage::Never => false,
        };
        let doomed: Vec<HeaderName> =
            headers.keys().filter(|name| !passes(name)).cloned().collect();
        for name in doomed {
            headers.remove(name);
        }
        if !told.is_handshake && headers.remove(UPGRADE).is_some() {
            headers.remove(CONNECTION);
        }
    }
}

/// Takes a header out of its place, without Pingora's second map for the case of names.
pub(super) fn take_parts(request: &mut RequestHeader) -> http::request::Parts {
    let (empty, ()) = http::Request::new(()).into_parts();
    std::mem::replace(request, RequestHeader::from(empty)).into()
}

/// Writes `host` in place of the client's spelling, and drops the map for the case of names, which
/// would be copied for the upstream: names are in lower case from here on. Only for a target that has
/// been parsed, since bytes that are not UTF-8 are dropped too.
pub fn make_canonical(request: &mut RequestHeader, host: Option<HeaderValue>) {
    let mut parts = take_parts(request);
    if let Some(host) = host {
        parts.headers.insert(HOST, host);
    }
    // RFC 9110 section 10.1.1: such a client knows no 100.
    if parts.version == Version::HTTP_10 {
        parts.headers.remove(EXPECT);
    }
    *request = RequestHeader::from(parts);
}

/// What the upstream is told of the way that a request has come.
struct Forwarded {
    chain: CompactString,
    proto: &'static str,
    host: Option<HeaderValue>,
}

impl Forwarded {
    /// Reads what our own proxies say; whatever anybody else says is an invention.
    fn of(headers: &HeaderMap, told: &Told<'_>) -> Self {
        let mut chain = CompactString::default();
        let mut host = None;
        if told.is_trusted_peer {
            for value in headers.get_all(X_FORWARDED_FOR) {
                let (text, is_whole) = readable_end(value.as_bytes());
                if !is_whole {
                    chain.clear();
                }
                if !text.is_empty() {
                    chain.push_str(text);
                    chain.push_str(", ");
                }
            }
            host = headers.get_all(X_FORWARDED_HOST).iter().next_back();
        }
        Self {
            chain,
            proto: scheme(headers, told.is_trusted_peer),
            host: host.or_else(|| headers.get(HOST)).cloned(),
        }
    }

    /// An upstream with a Host of its own is told that host and its scheme: ZITADEL makes links of
    /// what it is told, and the client's word must not get into them.
    fn write(mut self, headers: &mut HeaderMap, told: &Told<'_>) {
        self.chain.push_str(&address_text(told.peer));
        if let Ok(value) = HeaderValue::from_str(&self.chain) {
            headers.insert(X_FORWARDED_FOR, value);
        }
        if let Host::Fixed(host) = told.host {
            self.host = Some(host.clone());
        }
        if let Some(host) = self.host {
            headers.insert(X_FORWARDED_HOST, host);
        }
        let proto = told.scheme.unwrap_or(self.proto);
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    }
}

/// By which the client has reached the first of our proxies, or this gateway.
pub(super) fn scheme(headers: &HeaderMap, is_trusted_peer: bool) -> &'static str {
    // Of several lines the last one is the nearest proxy's.
    let told = headers.get_all(X_FORWARDED_PROTO).iter().next_back();
    match told.filter(|_| is_trusted_peer).map(HeaderValue::as_bytes) {
        Some(b"https") => "https",
        _ => "http",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> HeaderPolicy {
        HeaderPolicy::new("auth-gateway", Arc::new(Names::new([]))).unwrap()
    }

    #[test]
    fn our_own_name_in_via_is_a_loop_whoever_else_is_there() {
        let cases = [
            ("1.1 auth-gateway", true),
            ("1.0 other, 1.1 auth-gateway (x)", true),
            ("1.1 auth-gateway-2", false),
            ("auth-gateway", false),
        ];
        for (via, expected) in cases {
            let headers = HeaderMap::from_iter([(VIA, via.parse().unwrap())]);
            assert_eq!(policy().is_loop(&headers), expected, "{via}");
        }
    }
}
