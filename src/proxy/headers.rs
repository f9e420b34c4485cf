//! What the upstream gets to see: the client's headers without what it may not say, and ours.
//!
//! Edits go through `http::request::Parts`, which skips Pingora's second map for the case of header
//! names; it costs a third of `insert_header`.

use std::net::IpAddr;

use compact_str::CompactString;
use http::header::{AUTHORIZATION, CONNECTION, EXPECT, HOST, HeaderName, UPGRADE, VIA};
use http::{HeaderMap, HeaderValue, Uri, Version};
use pingora::http::RequestHeader;

use super::client_addr::{address_text, readable_end};
use crate::gate::Admission;

/// `X-User-ID`: the subject of the caller.
pub const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");
/// `X-Request-ID`
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Names that only we may set, that are meant for us, or that make upstreams look at another request
/// than the one that was admitted. `x-zitadel-*` choose ZITADEL's instance past its Host.
const PROTECTED: [&str; 12] = [
    "x-user-id",
    "x-real-ip",
    "x-original-url",
    "x-original-host",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "forwarded",
    "x-zitadel-instance-host",
    "x-zitadel-public-host",
    "proxy-authorization",
];

/// Protected as a family: `-For`, `-Proto`, `-Host`, and whatever else somebody has thought of.
pub(super) const PROTECTED_FAMILY: &str = "x-forwarded";

/// Names of which only other spellings are removed: those would be taken for the real ones.
const NO_ALIASES: [&str; 4] =
    ["x-request-id", "authorization", "transfer-encoding", "content-length"];

/// How many headers an upstream gets from us at most, claims aside.
const ADDED: usize = 8;

/// Which headers are cleaned away and what is written in their place.
#[derive(Debug)]
pub struct HeaderPolicy {
    protected: Vec<HeaderName>,
    shapes: Shapes,
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
    /// A policy for a gateway called `name`; `claim_headers` are written from claims and therefore
    /// protected too.
    pub fn new(name: &str, claim_headers: &[HeaderName]) -> Result<Self, http::Error> {
        let mut protected: Vec<_> =
            PROTECTED.iter().map(|name| HeaderName::from_static(name)).collect();
        protected.extend(claim_headers.iter().cloned());
        let mut shapes = Shapes::default();
        protected
            .iter()
            .map(HeaderName::as_str)
            .chain(NO_ALIASES)
            .for_each(|name| shapes.add(name));
        Ok(Self {
            protected,
            shapes,
            via: HeaderValue::from_str(&format!("1.1 {name}"))?,
            name: name.into(),
        })
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
        let doomed: Vec<HeaderName> =
            headers.keys().filter(|name| self.is_protected(name.as_str())).cloned().collect();
        for name in doomed {
            headers.remove(name);
        }
        if !told.forward_credentials {
            headers.remove(AUTHORIZATION);
        }
        if !told.is_handshake && headers.remove(UPGRADE).is_some() {
            headers.remove(CONNECTION);
        }
    }

    /// `X_User_Id` and `x.user.id` reach many frameworks as the same variable as `X-User-ID`, some
    /// let even `x~user~id` do so: every spelling of a protected name is protected.
    fn is_protected(&self, name: &str) -> bool {
        if starts_like(name, PROTECTED_FAMILY) {
            return true;
        }
        if !self.shapes.may_contain(name) {
            return false;
        }
        let same = |other: &str| other.len() == name.len() && starts_like(name, other);
        self.protected.iter().any(|protected| same(protected.as_str()))
            || (is_odd(name) && NO_ALIASES.iter().any(|real| same(real)))
    }
}

/// Whether `name` starts with `pattern`, whose dashes stand for all that is neither letter nor digit.
pub(super) fn starts_like(name: &str, pattern: &str) -> bool {
    name.len() >= pattern.len()
        && pattern
            .bytes()
            .zip(name.bytes())
            .all(|(p, n)| p == n || (p == b'-' && !n.is_ascii_alphanumeric()))
}

/// Takes a header out of its place, without Pingora's second map for the case of names.
fn take_parts(request: &mut RequestHeader) -> http::request::Parts {
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

fn is_odd(name: &str) -> bool {
    name.bytes().any(|b| b != b'-' && !b.is_ascii_alphanumeric())
}

/// Which lengths names have, by their first letter: most names differ from all protected ones in
/// one of the two. Every spelling of a name begins with the same letter.
#[derive(Debug, Default)]
struct Shapes([u64; 32]);

impl Shapes {
    fn add(&mut self, name: &str) {
        let (letter, length) = Self::of(name);
        if let Some(lengths) = self.0.get_mut(letter) {
            *lengths |= length;
        }
    }

    fn may_contain(&self, name: &str) -> bool {
        let (letter, length) = Self::of(name);
        self.0.get(letter).is_some_and(|lengths| lengths & length != 0)
    }

    fn of(name: &str) -> (usize, u64) {
        let first = name.bytes().next().filter(u8::is_ascii_alphanumeric);
        (usize::from(first.unwrap_or_default() & 31), 1 << name.len().min(63))
    }
}

/// What the upstream is told of the way that a request has come.
struct Forwarded {
    chain: CompactString,
    proto: HeaderValue,
    host: Option<HeaderValue>,
}

impl Forwarded {
    /// Reads what our own proxies say; whatever anybody else says is an invention.
    fn of(headers: &HeaderMap, told: &Told<'_>) -> Self {
        let mut chain = CompactString::default();
        let (mut proto, mut host) = (None, None);
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
            // Of several lines the last one is the nearest proxy's.
            proto = headers.get_all(X_FORWARDED_PROTO).iter().next_back();
            host = headers.get_all(X_FORWARDED_HOST).iter().next_back();
        }
        let proto = proto.filter(|value| is_scheme(value)).cloned();
        Self {
            chain,
            proto: proto.unwrap_or(HeaderValue::from_static("http")),
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
        let proto = told.scheme.map_or(self.proto, HeaderValue::from_static);
        headers.insert(X_FORWARDED_PROTO, proto);
    }
}

fn is_scheme(value: &HeaderValue) -> bool {
    matches!(value.as_bytes(), b"http" | b"https")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> HeaderPolicy {
        HeaderPolicy::new("auth-gateway", &[HeaderName::from_static("x-user-roles")]).unwrap()
    }

    #[test]
    fn every_spelling_of_a_protected_name_is_protected() {
        let policy = policy();
        for name in [
            "x_user_id",
            "x.user.id",
            "x-user_id",
            "x~user!id",
            "x_user-id",
            "x_real.ip",
            "x.user_roles",
            "x_forwarded.for",
            "x-forwarded-uri",
            "transfer_encoding",
            "transfer~encoding",
        ] {
            assert!(policy.is_protected(name), "{name}");
        }
        for name in ["x_user", "user_id", "x-trace_id", "x-request-id", "transfer-encoding"] {
            assert!(!policy.is_protected(name), "{name}");
        }
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
