//! Messages with more than one reading are refused before anything looks at them.
//!
//! Pingora accepts some framing that RFC 9112 lets a proxy repair. An edge has no use for repairs:
//! whoever sends these either probes or is broken.

use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Version};
use pingora::http::RequestHeader;
use pingora_proxy::Session;

use crate::edge::Connection;
use crate::gate::Reason;

/// What rules can be about.
pub(super) const ORDINARY_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// How large a request may be.
#[derive(Debug, Clone, Copy)]
pub struct MessageLimits {
    /// Request line and headers together.
    pub max_header_bytes: usize,
    /// Number of headers.
    pub max_headers: usize,
    /// Path and query.
    pub max_uri_bytes: usize,
    /// Body.
    pub max_body_bytes: u64,
}

/// Checks size and framing of the request at the head of `session`.
pub fn check(session: &Session, has_host: bool, limits: &MessageLimits) -> Result<(), Reason> {
    let header = session.req_header();
    let coding = single(&header.headers, TRANSFER_ENCODING)?;
    if let Some(h1) = session.as_http1() {
        let raw = h1.get_headers_raw_bytes();
        check_size(raw.len(), header, limits)?;
        check_request_line(&raw)?;
        // Pingora has dropped Content-Length by now when both were sent; only the bytes tell.
        if coding.is_some() && names_content_length(&raw) {
            return Err(Reason::BadRequest);
        }
        // What has come with the head; anything faulty that comes later ends the request.
        if Connection::below(session).is_none_or(Connection::has_faulty_chunk) {
            return Err(Reason::BadRequest);
        }
        if header.version == Version::HTTP_11 && !has_host {
            return Err(Reason::BadRequest);
        }
    } else {
        let size = header.headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
        check_size(size, header, limits)?;
    }
    check_method(&header.method)?;
    check_body(header, coding, limits)
}

fn check_size(size: usize, header: &RequestHeader, limits: &MessageLimits) -> Result<(), Reason> {
    let target = header.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.max_uri_bytes {
        return Err(Reason::UriTooLong);
    }
    if size > limits.max_header_bytes || header.headers.len() > limits.max_headers {
        return Err(Reason::HeadersTooLarge);
    }
    Ok(())
}

/// RFC 9112 section 3: method, target and version with one space between, ended by CR LF. The URI
/// parser silently cuts fragments off, so they are looked for here.
fn check_request_line(raw: &[u8]) -> Result<(), Reason> {
    let mut raw = raw;
    // Section 2.2: empty lines before the request line are to be ignored.
    while let Some(rest) = raw.strip_prefix(b"\r\n") {
        raw = rest;
    }
    let Some(end) = memchr::memchr(b'\n', raw) else {
        return Err(Reason::BadRequest);
    };
    let line = raw.get(..end).unwrap_or_default();
    let Some(line) = line.strip_suffix(b"\r") else { return Err(Reason::BadRequest) };
    if memchr::memchr_iter(b' ', line).count() != 2 {
        return Err(Reason::BadRequest);
    }
    if memchr::memchr(b'#', line).is_some() {
        return Err(Reason::BadPath);
    }
    Ok(())
}

/// Authority and origin form of a target in absolute form (RFC 9112 section 3.2.2).
pub(super) fn split_absolute_form(target: &[u8]) -> Option<(&[u8], &[u8])> {
    if target.first() == Some(&b'/') {
        return None;
    }
    let scheme_end = target.windows(3).position(|three| three == b"://")?;
    let (scheme, rest) = target.split_at_checked(scheme_end)?;
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let rest = rest.strip_prefix(b"://")?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, origin) = rest.split_at_checked(end)?;
    // An empty path in absolute form is the path "/" (RFC 9110 section 4.2.3).
    Some((authority, if origin.is_empty() { b"/" } else { origin }))
}

fn names_content_length(raw: &[u8]) -> bool {
    raw.split(|byte| *byte == b'\n').skip(1).any(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"content-length")
    })
}

/// TRACE echoes headers, CONNECT opens tunnels; no rule can want either. Nor can a rule name `get`,
/// which is not GET (RFC 9110 section 9.1), but which some applications take for it.
fn check_method(method: &Method) -> Result<(), Reason> {
    let has_lower_case = || method.as_str().bytes().any(|byte| byte.is_ascii_lowercase());
    if matches!(*method, Method::TRACE | Method::CONNECT) || has_lower_case() {
        return Err(Reason::MethodNotAllowed);
    }
    Ok(())
}

fn check_body(
    header: &RequestHeader,
    coding: Option<&[u8]>,
    limits: &MessageLimits,
) -> Result<(), Reason> {
    let headers = &header.headers;
    if let Some(coding) = coding {
        let is_safe = matches!(header.method, Method::GET | Method::HEAD);
        if is_safe || !coding.eq_ignore_ascii_case(b"chunked") {
            return Err(Reason::BadRequest);
        }
    }
    if let Some(length) = single(headers, CONTENT_LENGTH)? {
        if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
            return Err(Reason::BadRequest);
        }
        let length = std::str::from_utf8(length).ok().and_then(|text| text.parse::<u64>().ok());
        if length.is_none_or(|length| length > limits.max_body_bytes) {
            return Err(Reason::BodyTooLarge);
        }
    }
    if let Some(expectation) = single(headers, EXPECT)?
        && !expectation.eq_ignore_ascii_case(b"100-continue")
    {
        return Err(Reason::BadRequest);
    }
    Ok(())
}

/// The value of a header that may stand once.
fn single(headers: &HeaderMap, name: http::HeaderName) -> Result<Option<&[u8]>, Reason> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Reason::BadRequest);
    }
    Ok(first.map(http::HeaderValue::as_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines_with_more_than_one_reading_are_refused() {
        let cases: [(&[u8], Option<Reason>); 8] = [
            (b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", None),
            (b"\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n", None),
            (b"GET /a HTTP/1.1\nHost: a\r\n\r\n", Some(Reason::BadRequest)),
            (b"GET  /a HTTP/1.1\r\n\r\n", Some(Reason::BadRequest)),
            (b"GET /a b HTTP/1.1\r\n\r\n", Some(Reason::BadRequest)),
            (b"GET /a#b HTTP/1.1\r\n\r\n", Some(Reason::BadPath)),
            (b"GET /public#/../admin HTTP/1.1\r\n\r\n", Some(Reason::BadPath)),
            (b"", Some(Reason::BadRequest)),
        ];
        for (raw, expected) in cases {
            assert_eq!(check_request_line(raw).err(), expected, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn absolute_targets_are_split_into_authority_and_origin_form() {
        type Split = Option<(&'static [u8], &'static [u8])>;
        let cases: [(&[u8], Split); 6] = [
            (b"http://a.example/b?c", Some((b"a.example", b"/b?c"))),
            (b"HTTPS://a.example:1", Some((b"a.example:1", b"/"))),
            (b"http://a.example?c", Some((b"a.example", b"?c"))),
            (b"ftp://a.example/", None),
            (b"/b?u=http://c/", None),
            (b"admin", None),
        ];
        for (target, expected) in cases {
            assert_eq!(split_absolute_form(target), expected, "{}", target.escape_ascii());
        }
    }

    #[test]
    fn content_length_is_found_in_any_spelling_but_not_in_values() {
        let yes: [&[u8]; 2] = [
            b"POST / HTTP/1.1\r\ncontent-LENGTH: 3\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\n",
        ];
        let no: [&[u8]; 2] = [
            b"POST / HTTP/1.1\r\nX-A: content-length: 3\r\n\r\n",
            b"POST /content-length: HTTP/1.1\r\nHost: a\r\n\r\n",
        ];
        assert!(yes.iter().all(|raw| names_content_length(raw)));
        assert!(!no.iter().any(|raw| names_content_length(raw)));
    }
}
