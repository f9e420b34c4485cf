//! Finds the bearer token of an Authorization header (RFC 6750 section 2.1). Runs on every request:
//! no allocation, and the character check is written so that it vectorises.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::TokenError;
use super::credentials::spelling::reads_as;

/// Longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// What a request offers as its token, not looked at yet.
///
/// Good for one thing: being compared with tokens that were verified. One that equals none of them
/// has to be parsed.
#[derive(Clone)]
pub struct Offered<'a> {
    bytes: Cow<'a, [u8]>,
}

/// A syntactically legal bearer token.
#[derive(Clone, Copy)]
pub struct Bearer<'a> {
    token: &'a str,
}

/// How a token is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Compact JWS: verified with the issuer's keys.
    Jwt,
    /// Means something to its issuer only: verified by introspection.
    Opaque,
}

/// Finds the request's bearer token. A token in the query is never used, but beside a header it
/// makes the request ambiguous.
pub fn find<'a>(headers: &'a HeaderMap, query: Option<&str>) -> Result<Offered<'a>, TokenError> {
    let token = in_authorization(headers)?.ok_or(TokenError::Missing)?;
    if query.is_some_and(names_access_token) {
        return Err(TokenError::Conflicting);
    }
    Ok(Offered::new(token.into()))
}

/// What stands behind `Bearer`, if the header is there and of that scheme.
pub(super) fn in_authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, TokenError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(TokenError::Conflicting);
    }
    let Some(rest) = after_bearer_scheme(value.as_bytes()) else { return Ok(None) };
    // RFC 9110 section 11.4: one space or more.
    let mut token = rest.strip_prefix(b" ").ok_or(TokenError::MalformedToken)?;
    while let Some(rest) = token.strip_prefix(b" ") {
        token = rest;
    }
    Ok(Some(token))
}

impl<'a> Offered<'a> {
    pub(super) const fn new(bytes: Cow<'a, [u8]>) -> Self {
        Self { bytes }
    }

    /// As it was meant; a credential, so not for logs.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The token that it is, if it is one.
    pub fn parse(&self) -> Result<Bearer<'_>, TokenError> {
        Bearer::parse(&self.bytes)
    }
}

impl<'a> Bearer<'a> {
    /// Parses the text after `Bearer `: `b64token` of RFC 6750.
    pub fn parse(token: &'a [u8]) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES || !is_b64token(token) {
            return Err(TokenError::MalformedToken);
        }
        let token = std::str::from_utf8(token).map_err(|_| TokenError::MalformedToken)?;
        Ok(Self { token })
    }

    /// The token's text; a credential, so not for logs.
    pub const fn token(self) -> &'a str {
        self.token
    }

    /// Tells a compact JWS from an opaque token. A JWE (five parts) and every other dotted form is
    /// malformed.
    pub fn shape(self) -> Result<Shape, TokenError> {
        let mut parts = self.token.split('.');
        let (Some(first), Some(second)) = (parts.next(), parts.next()) else {
            return Ok(Shape::Opaque);
        };
        let Some(third) = parts.next() else {
            return Err(TokenError::MalformedToken);
        };
        if parts.next().is_some() || !starts_an_object(first) {
            return Err(TokenError::MalformedToken);
        }
        if [first, second, third].into_iter().all(is_base64url) {
            Ok(Shape::Jwt)
        } else {
            Err(TokenError::MalformedToken)
        }
    }
}

/// The value after the scheme's name when that name is Bearer.
fn after_bearer_scheme(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    let ends = rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
    (ends && scheme.eq_ignore_ascii_case(b"bearer")).then_some(rest)
}

// Folding without an early exit is what lets the compiler check 16 bytes at once.

#[expect(clippy::needless_bitwise_bool, reason = "branches would keep the loop from vectorising")]
fn is_b64token(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = token.get(..token.len() - padding).unwrap_or_default();
    let legal = body.iter().fold(true, |legal, &byte| {
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        // From '+' to '9' all but ',' are legal.
        let low = byte.wrapping_sub(b'+') <= b'9' - b'+' && byte != b',';
        legal & (letter | low | (byte == b'_') | (byte == b'~'))
    });
    legal && !body.is_empty()
}

#[expect(clippy::needless_bitwise_bool, reason = "branches would keep the loop from vectorising")]
fn is_base64url(part: &str) -> bool {
    let legal = part.bytes().fold(true, |legal, byte| {
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let digit = byte.wrapping_sub(b'0') < 10;
        legal & (letter | digit | (byte == b'-') | (byte == b'_'))
    });
    legal && !part.is_empty()
}

/// Whether base64url text decodes to bytes that begin with `{`.
fn starts_an_object(part: &str) -> bool {
    matches!(part.as_bytes(), [b'e', b'w'..=b'z' | b'0'..=b'9' | b'-' | b'_', ..])
}

/// The parameter of RFC 6750 section 2.3.
pub(super) const ACCESS_TOKEN: &str = "access_token";

pub(super) fn names_access_token(query: &str) -> bool {
    query.split(['&', ';']).any(|piece| {
        let name = piece.split('=').next().unwrap_or_default();
        name.len() >= ACCESS_TOKEN.len() && reads_as(name.as_bytes(), ACCESS_TOKEN)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(AUTHORIZATION, HeaderValue::from_bytes(value).expect("header value"));
        }
        map
    }

    #[track_caller]
    fn check(value: &str, query: Option<&str>, expected: Result<&str, TokenError>) {
        let map = headers(&[value.as_bytes()]);
        let offered = find(&map, query);
        let found = offered.as_ref().map_err(|error| *error).and_then(Offered::parse);
        assert_eq!(found.map(Bearer::token), expected, "{value:?} {query:?}");
    }

    #[test]
    fn the_scheme_is_case_insensitive_and_followed_by_spaces() {
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            check(&format!("{scheme} abc"), None, Ok("abc"));
            check(&format!("{scheme}    abc"), None, Ok("abc"));
        }
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer  ",
            "Bearer\tabc",
            "Bearer \tabc",
            "Bearer abc ",
            "Bearer a  b",
            "Bearer:abc",
            "Bearer/abc",
        ] {
            check(value, None, Err(TokenError::MalformedToken));
        }
    }

    #[test]
    fn other_schemes_are_no_bearer_token() {
        for value in ["", "Basic abc", "Bearerx abc", "Bear", "DPoP abc", "Bearer-x abc"] {
            check(value, None, Err(TokenError::Missing));
        }
        assert_eq!(find(&HeaderMap::new(), None).err(), Some(TokenError::Missing));
    }

    #[test]
    fn characters_outside_b64token_are_malformed() {
        check("Bearer aZ09-._~+/==", None, Ok("aZ09-._~+/=="));
        for token in ["a,b", "a b", "a=b", "=", "a\"", "a:b", "a@b", "a%20", "ä", "a[", "a`", "a{"]
        {
            check(&format!("Bearer {token}"), None, Err(TokenError::MalformedToken));
        }
        check("Bearer abc, Bearer def", None, Err(TokenError::MalformedToken));
    }

    #[test]
    fn two_credentials_conflict() {
        let two = headers(&[b"Bearer a", b"Bearer a"]);
        assert_eq!(find(&two, None).err(), Some(TokenError::Conflicting));
        let mixed = headers(&[b"Basic a", b"Bearer b"]);
        assert_eq!(find(&mixed, None).err(), Some(TokenError::Conflicting));
        for query in ["access_token=x", "a=b&access_token=", "access%5Ftoken=x", "access_token"] {
            check("Bearer abc", Some(query), Err(TokenError::Conflicting));
        }
        for query in ["", "xaccess_token=1", "access_tokenx=1", "q=access_token", "access%5=1"] {
            check("Bearer abc", Some(query), Ok("abc"));
        }
    }

    #[test]
    fn a_token_in_the_query_alone_is_no_credential() {
        let found = find(&HeaderMap::new(), Some("access_token=abc")).err();
        assert_eq!(found, Some(TokenError::Missing));
    }

    #[test]
    fn tokens_longer_than_the_limit_are_malformed() {
        check(&format!("Bearer {}", "a".repeat(MAX_TOKEN_BYTES)), None, Ok(&"a".repeat(16_384)));
        let long = format!("Bearer {}", "a".repeat(MAX_TOKEN_BYTES + 1));
        check(&long, None, Err(TokenError::MalformedToken));
    }

    #[test]
    fn shapes_are_told_apart_by_their_dots() {
        let shape = |token: &str| Bearer::parse(token.as_bytes()).and_then(Bearer::shape);
        assert_eq!(shape("eyJhbGciOiJSUzI1NiJ9.e30.c2ln"), Ok(Shape::Jwt));
        assert_eq!(shape("eyJhbGciOiJSUzI1NiJ9"), Ok(Shape::Opaque));
        assert_eq!(shape("Zm9v+/~=="), Ok(Shape::Opaque));
        for token in [
            "a.b",
            "a.b.c",
            ".e30.c2ln",
            "eyJh..c2ln",
            "eyJh.e30.",
            "eyJh.e30.a+b",
            "eyJh.e30.a=",
            "eyJh.b.c.d",
            "eyJh.b.c.d.e",
            "...",
            ".",
            "eyJh.e30.c2ln.",
        ] {
            assert_eq!(shape(token), Err(TokenError::MalformedToken), "{token}");
        }
    }

    proptest! {
        #[test]
        fn the_vectorised_check_agrees_with_the_grammar(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let body = bytes.iter().rposition(|b| *b != b'=').map_or(&[][..], |i| &bytes[..=i]);
            let expected = !body.is_empty()
                && body.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(b));
            prop_assert_eq!(is_b64token(&bytes), expected);
        }

        #[test]
        fn parsing_any_text_never_panics(text in "\\PC{0,60}") {
            let _ = Bearer::parse(text.as_bytes()).and_then(Bearer::shape);
            let _ = names_access_token(&text);
        }
    }
}
