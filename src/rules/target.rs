//! What rules look at: the method, the host, the path and the query of a request.

use http::Method;
use http::uri::{InvalidUri, PathAndQuery};

use super::host::{Authority, HostError};
use super::path::{CanonicalPath, PathError, PathPolicy};

/// A request's target as the wire gave it.
#[derive(Clone, Copy, Debug)]
pub struct RawTarget<'a> {
    /// The method.
    pub method: &'a Method,
    /// `:authority` of HTTP/2, or the authority of an absolute-form target.
    pub authority: Option<&'a [u8]>,
    /// The value of the only `Host` header.
    pub host: Option<&'a [u8]>,
    /// The target up to its `?`.
    pub path: &'a [u8],
    /// What follows the first `?`.
    pub query: Option<&'a [u8]>,
}

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The path is ambiguous.
    #[error("the path {0}")]
    Path(#[from] PathError),
    /// The authority or the `Host` header names no host.
    #[error("the host {0}")]
    Host(#[from] HostError),
    /// The authority and the `Host` header differ.
    #[error("the authority and the Host header differ")]
    HostsDiffer,
    /// The query holds a byte that no URI may hold.
    #[error("the query has the byte 0x{byte:02X}, which must be percent-encoded")]
    Query {
        /// The byte.
        byte: u8,
    },
}

/// A target with one reading.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    method: &'a Method,
    authority: Option<Authority<'a>>,
    has_host_header: bool,
    path: CanonicalPath<'a>,
    query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Proves that a target is unambiguous.
    ///
    /// A request without authority and `Host` is accepted: HTTP/1.0 allows it, and only rules
    /// without a host serve it.
    pub fn parse(raw: RawTarget<'a>, policy: PathPolicy) -> Result<Self, TargetError> {
        let path = CanonicalPath::parse(raw.path, policy)?;
        let authority = parse_hosts(raw.authority, raw.host)?;
        let query = raw.query.map(parse_query).transpose()?;
        let has_host_header = raw.host.is_some();
        Ok(Self { method: raw.method, authority, has_host_header, path, query })
    }

    /// The method, case-sensitive.
    pub const fn method(&self) -> &'a Method {
        self.method
    }

    /// The host in lower case, without port and trailing dot; IPv6 in brackets.
    pub fn host(&self) -> Option<&str> {
        self.authority.as_ref().map(|authority| &*authority.host)
    }

    /// The Host to forward, where it differs from the header that was sent, or there was none:
    /// `Example.com.:0080` reaches an upstream as the `example.com:80` that rules have seen.
    pub fn rewritten_host(&self) -> Option<String> {
        let authority = self.authority.as_ref()?;
        (authority.is_rewritten || !self.has_host_header).then(|| authority.to_string())
    }

    /// Whether a page of this origin (RFC 6454) came from the same scheme, host and port.
    pub fn is_of_origin(&self, scheme: &str, origin: &str) -> bool {
        let parts = origin.split_once("://").filter(|(theirs, _)| *theirs == scheme);
        let theirs = parts.and_then(|(_, authority)| Authority::parse(authority.as_bytes()).ok());
        let default = if scheme == "https" { 443 } else { 80 };
        let port = |authority: &Authority<'_>| authority.port.unwrap_or(default);
        matches!((&self.authority, &theirs), (Some(ours), Some(theirs))
            if ours.host == theirs.host && port(ours) == port(theirs))
    }

    /// The path.
    pub const fn path(&self) -> &CanonicalPath<'a> {
        &self.path
    }

    /// What follows the `?`, as it was sent.
    pub const fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// Whether the target to forward differs from the one that was sent.
    pub const fn is_rewritten(&self) -> bool {
        self.path.is_rewritten()
    }

    /// The target to forward. Fails only on one longer than 65,534 bytes.
    pub fn path_and_query(&self) -> Result<PathAndQuery, InvalidUri> {
        match self.query {
            None => PathAndQuery::try_from(self.path.as_str()),
            Some(query) => PathAndQuery::try_from(format!("{}?{query}", self.path)),
        }
    }
}

fn parse_hosts<'a>(
    authority: Option<&'a [u8]>,
    header: Option<&'a [u8]>,
) -> Result<Option<Authority<'a>>, TargetError> {
    let authority = authority.map(Authority::parse).transpose()?;
    let header = header.map(Authority::parse).transpose()?;
    match (authority, header) {
        (Some(authority), Some(header)) if authority != header => Err(TargetError::HostsDiffer),
        // The header is what is forwarded.
        (_, Some(found)) | (Some(found), None) => Ok(Some(found)),
        (None, None) => Ok(None),
    }
}

/// Accepts exactly what [`PathAndQuery`] accepts in a query.
fn parse_query(raw: &[u8]) -> Result<&str, TargetError> {
    let refused = raw.iter().find(|byte| !matches!(byte, 0x21 | 0x24..=0x3B | 0x3D | 0x3F..=0x7E));
    if let Some(&byte) = refused {
        return Err(TargetError::Query { byte });
    }
    std::str::from_utf8(raw).map_err(|_| TargetError::Query { byte: 0xFF })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: RawTarget<'static> = RawTarget {
        method: &Method::GET,
        authority: None,
        host: Some(b"a.example"),
        path: b"/",
        query: None,
    };

    fn parse(raw: RawTarget<'_>) -> Result<Target<'_>, TargetError> {
        Target::parse(raw, PathPolicy::default())
    }

    #[test]
    fn authority_and_host_header_must_agree() {
        for (authority, host) in [
            ("a.example", "a.example"),
            ("A.example.", "a.example"),
            ("a.example:80", "a.example:80"),
        ] {
            let raw = RawTarget {
                authority: Some(authority.as_bytes()),
                host: Some(host.as_bytes()),
                ..PLAIN
            };
            assert_eq!(parse(raw).expect("agree").host(), Some("a.example"));
        }
        for host in ["b.example", "a.example:81", "a.example.b"] {
            let raw =
                RawTarget { authority: Some(b"a.example"), host: Some(host.as_bytes()), ..PLAIN };
            assert_eq!(parse(raw).expect_err(host), TargetError::HostsDiffer);
        }
    }

    #[test]
    fn an_empty_host_is_an_error_and_a_missing_one_is_not() {
        assert_eq!(
            parse(RawTarget { host: Some(b""), ..PLAIN }).expect_err("empty"),
            TargetError::Host(HostError::NotAHost)
        );
        assert_eq!(parse(RawTarget { host: None, ..PLAIN }).expect("HTTP/1.0").host(), None);
    }

    #[test]
    fn the_host_to_forward_is_the_one_that_is_matched() {
        for (authority, host, rewritten) in [
            (None, Some("a.example:80"), None),
            (None, Some("A.example.:0080"), Some("a.example:80")),
            (None, Some("[::0001]"), Some("[::1]")),
            (Some("a.example"), Some("a.example."), Some("a.example")),
            (Some("A.example."), Some("a.example"), None),
            (Some("a.example:81"), None, Some("a.example:81")),
            (None, None, None),
        ] {
            let bytes = |text: Option<&'static str>| text.map(str::as_bytes);
            let raw = RawTarget { authority: bytes(authority), host: bytes(host), ..PLAIN };
            let target = parse(raw).expect("a host");
            assert_eq!(target.rewritten_host().as_deref(), rewritten, "{authority:?} {host:?}");
        }
    }

    #[test]
    fn an_origin_is_compared_by_scheme_host_and_port() {
        let is_of = |host: &str, scheme: &str, origin: &str| {
            let target = parse(RawTarget { host: Some(host.as_bytes()), ..PLAIN }).expect("a host");
            target.is_of_origin(scheme, origin)
        };
        assert!(is_of("a.example", "https", "https://a.example"));
        assert!(is_of("A.example.:443", "https", "https://a.example"));
        assert!(is_of("a.example", "http", "http://a.example:80"));
        assert!(is_of("[::1]:3000", "http", "http://[::1]:3000"));
        for other in [
            "http://a.example",
            "https://b.a.example",
            "https://a.example:8443",
            "https://a.example.evil",
            "https://a.example@evil",
            "https://a.example/",
            "a.example",
            "null",
            "",
        ] {
            assert!(!is_of("a.example", "https", other), "{other}");
        }
        let target = parse(RawTarget { host: None, ..PLAIN }).expect("HTTP/1.0");
        assert!(!target.is_of_origin("http", "http://a.example"));
    }

    #[test]
    fn the_target_to_forward_is_the_one_that_is_matched() {
        let raw = RawTarget { path: b"/%61pi/%c3%a9", query: Some(b"q=%61&r=[1]?"), ..PLAIN };
        let target = parse(raw).expect("canonical");
        assert!(target.is_rewritten());
        assert_eq!(target.path().as_str(), "/api/%C3%A9");
        let forwarded = target.path_and_query().expect("short");
        assert_eq!(forwarded.as_str(), "/api/%C3%A9?q=%61&r=[1]?");

        let plain = parse(RawTarget { path: b"/api", query: Some(b""), ..PLAIN }).expect("plain");
        assert!(!plain.is_rewritten());
        assert_eq!(plain.path_and_query().expect("short").as_str(), "/api?");
    }

    #[test]
    fn every_query_byte_is_refused_or_can_be_forwarded() {
        for byte in 0..=u8::MAX {
            let query = [b'a', byte];
            match parse(RawTarget { query: Some(&query), ..PLAIN }) {
                Ok(target) => {
                    assert_ne!(byte, b'#');
                    let forwarded = target.path_and_query().expect("forwarded");
                    assert_eq!(forwarded.query().map(str::as_bytes), Some(&query[..]));
                }
                Err(error) => assert_eq!(error, TargetError::Query { byte }),
            }
        }
    }

    #[test]
    fn asterisk_and_authority_forms_are_refused() {
        for path in ["*", "example.com:443", "", "admin", "http://a.example/x"] {
            let raw = RawTarget { path: path.as_bytes(), ..PLAIN };
            assert_eq!(parse(raw).expect_err(path), TargetError::Path(PathError::NotAbsolute));
        }
    }
}
