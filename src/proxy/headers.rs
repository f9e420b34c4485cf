//! What the upstream gets to see: the client's headers without what it may not say, and ours.

pub mod names;

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONNECTION, EXPECT, HOST, HeaderName, UPGRADE, VIA};
use http::{HeaderMap, HeaderValue, Uri, Version};
use pingora::http::RequestHeader;

use super::forwarded::Way;
use super::parts::take_request;
use crate::gate::Admission;
use names::{Names, Passage};

/// `X-User-ID`: the subject of the caller.
pub const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");
/// `X-Request-ID`
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How many headers an upstream gets from us at most, claims aside.
const ADDED: usize = 8;

/// Which headers are cleaned away and what is written in their place.
#[derive(Debug)]
pub struct HeaderPolicy {
    names: Arc<Names>,
    via: HeaderValue,
    name: Box<str>,
}

/// What is known of the request that the upstream is forwarding.
pub struct Forwarding<'a> {
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
    /// Whether the client's credentials go along.
    pub forward_credentials: bool,
    /// Whether a WebSocket is asked for; no other upgrade is passed on.
    pub is_handshake: bool,
}

/// What an upstream gets as Host.
#[derive(Debug, Clone, Copy)]
pub enum Host<'a> {
    /// Always this.
    Fixed {
        /// Host, with its port where it is not the scheme's own.
        host: &'a HeaderValue,
        /// The scheme that the upstream is told, when it is fixed too.
        scheme: Option<&'static str>,
    },
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
    pub fn apply(&self, request: &mut RequestHeader, forwarding: &Forwarding<'_>) {
        let mut parts = take_request(request);
        // Growing once is cheaper than growing while one header after the other is added.
        parts.headers.reserve(ADDED);
        let mut way = Way::of(&parts.headers, forwarding.is_trusted_peer);
        self.clean(&mut parts.headers, forwarding);
        match forwarding.host {
            // ZITADEL makes links of what it is told, and the client's word must not get into them.
            Host::Fixed { host, scheme } => {
                way.goes_by(host, scheme);
                parts.headers.insert(HOST, host.clone());
            }
            // Pingora makes HTTP/1.1 of everything, and that has a Host.
            Host::IfMissing(host) if !parts.headers.contains_key(HOST) => {
                parts.headers.insert(HOST, host.clone());
            }
            Host::IfMissing(_) => {}
        }
        way.write(&mut parts.headers, forwarding.peer);
        if let Some(target) = forwarding.rewritten {
            parts.uri = Uri::from(target.clone());
        }
        if let Some(caller) = forwarding.admission.caller() {
            parts.headers.insert(X_USER_ID, caller.principal.id_header().clone());
            for (name, value) in caller.principal.claim_headers() {
                parts.headers.insert(name.clone(), value.clone());
            }
        }
        parts.headers.insert(X_REQUEST_ID, forwarding.request_id.clone());
        parts.headers.append(VIA, self.via.clone());
        *request = RequestHeader::from(parts);
    }

    fn clean(&self, headers: &mut HeaderMap, forwarding: &Forwarding<'_>) {
        let passes = |name: &HeaderName| match self.names.passage(name.as_str()) {
            Passage::Free => true,
            Passage::FromProxies => forwarding.is_trusted_peer,
            Passage::WithCredentials => forwarding.forward_credentials,
            Passage::FromProxiesWithCredentials => {
                forwarding.is_trusted_peer && forwarding.forward_credentials
            }
            Passage::Never => false,
        };
        let doomed: Vec<HeaderName> =
            headers.keys().filter(|name| !passes(name)).cloned().collect();
        for name in doomed {
            headers.remove(name);
        }
        if !forwarding.is_handshake && headers.remove(UPGRADE).is_some() {
            headers.remove(CONNECTION);
        }
    }
}

/// Writes `host` in place of the client's spelling, and drops the map for the case of names, which
/// would be copied for the upstream: names are in lower case from here on. Only for a target that has
/// been parsed, since bytes that are not UTF-8 are dropped too.
pub fn settle_head(request: &mut RequestHeader, host: Option<HeaderValue>) {
    let mut parts = take_request(request);
    if let Some(host) = host {
        parts.headers.insert(HOST, host);
    }
    // RFC 9110 section 10.1.1: such a client knows no 100.
    if parts.version == Version::HTTP_10 {
        parts.headers.remove(EXPECT);
    }
    *request = RequestHeader::from(parts);
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
