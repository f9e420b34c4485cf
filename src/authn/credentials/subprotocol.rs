//! Tokens among the subprotocols of a WebSocket handshake, in Kubernetes' form: a prefix, then the
//! token as base64url without padding, which is all that a subprotocol's name may hold.

use std::borrow::Cow;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, HeaderValue};

/// The name of a subprotocol (RFC 6455 section 4.1), or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol(HeaderValue);

/// A text that no subprotocol can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a subprotocol's name: letters, digits and !#$%&'*+-.^_`|~")]
pub struct NotAProtocol;

impl FromStr for Protocol {
    type Err = NotAProtocol;

    fn from_str(text: &str) -> Result<Self, NotAProtocol> {
        if !is_token(text) {
            return Err(NotAProtocol);
        }
        HeaderValue::from_str(text).map(Self).map_err(|_| NotAProtocol)
    }
}

impl Protocol {
    /// As the value of a header.
    pub fn header(&self) -> &HeaderValue {
        &self.0
    }

    pub(super) fn is(&self, offered: &[u8]) -> bool {
        self.0 == offered
    }

    /// The token in a subprotocol that begins like this one. What cannot be decoded is an empty one,
    /// which is malformed.
    pub(super) fn token_in<'a>(&self, offered: &[u8]) -> Option<Cow<'a, [u8]>> {
        let (start, encoded) = offered.split_at_checked(self.0.len())?;
        // No two subprotocols should differ in case only, and a token is not to be passed on because
        // its prefix does.
        if !start.eq_ignore_ascii_case(self.0.as_bytes()) {
            return None;
        }
        Some(URL_SAFE_NO_PAD.decode(encoded).map_or(Cow::Borrowed(b""), Cow::Owned))
    }
}

/// The subprotocols that are offered, of however many lines.
pub(super) fn offered(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().map(HeaderValue::as_bytes);
    let names = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    names.filter(|name| !name.is_empty())
}

/// Takes subprotocols with tokens out, and `companion` with them; whether it was there.
pub(super) fn take_out(headers: &mut HeaderMap, prefix: &Protocol, companion: &Protocol) -> bool {
    if !offered(headers).any(|name| prefix.token_in(name).is_some()) {
        return false;
    }
    let has_companion = offered(headers).any(|name| companion.is(name));
    let is_kept = |name: &&[u8]| prefix.token_in(name).is_none() && !companion.is(name);
    let kept: Vec<&[u8]> = offered(headers).filter(is_kept).collect();
    let kept = HeaderValue::from_bytes(&kept.join(&b", "[..]));
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Some(kept) = kept.ok().filter(|kept| !kept.is_empty()) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, kept);
    }
    has_companion
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_legal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix() -> Protocol {
        "bearer.".parse().expect("a prefix")
    }

    fn companion() -> Protocol {
        "gateway".parse().expect("a companion")
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (SEC_WEBSOCKET_PROTOCOL, line.parse().expect("a line"))).collect()
    }

    #[test]
    fn a_token_is_base64url_without_padding() {
        let token = |name: &str| prefix().token_in(name.as_bytes());
        assert_eq!(token("bearer.YWJj").as_deref(), Some(&b"abc"[..]));
        assert_eq!(token("Bearer.YWI").as_deref(), Some(&b"ab"[..]));
        assert_eq!(token("bearer.-_-_").as_deref(), Some(&[0xfb, 0xff, 0xbf][..]));
        for malformed in
            ["bearer.", "bearer.YWI=", "bearer.Y", "bearer.YW+j", "bearer.YWJ", "bearer.a b"]
        {
            assert_eq!(token(malformed).as_deref(), Some(&b""[..]), "{malformed}");
        }
        for other in ["", "bearer", "xbearer.YWJj", "chat"] {
            assert_eq!(token(other), None, "{other}");
        }
    }

    #[track_caller]
    fn check(lines: &[&str], has_companion: bool, rest: &[&str]) {
        let mut headers = headers(lines);
        assert_eq!(take_out(&mut headers, &prefix(), &companion()), has_companion, "{lines:?}");
        let left: Vec<_> = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().collect();
        assert_eq!(left, rest, "{lines:?}");
    }

    #[test]
    fn the_application_is_offered_the_rest() {
        check(&["bearer.YWJj, chat"], false, &["chat"]);
        check(&["chat.v2,bearer.YWJj,, chat.v1"], false, &["chat.v2, chat.v1"]);
        check(&["bearer.YWJj", "chat"], false, &["chat"]);
        check(&["bearer.YWJj, gateway"], true, &[]);
        check(&["gateway, chat, bearer.YWJj"], true, &["chat"]);
        check(&["bearer.YWJj, bearer.?"], false, &[]);
    }

    #[test]
    fn a_handshake_without_a_token_is_left_alone() {
        check(&["gateway,chat", "x"], false, &["gateway,chat", "x"]);
        check(&[], false, &[]);
    }

    proptest! {
        #[test]
        fn every_token_has_a_subprotocol(token in proptest::collection::vec(any::<u8>(), 1..60)) {
            let name = format!("bearer.{}", URL_SAFE_NO_PAD.encode(&token));
            prop_assert!(is_token(&name));
            let found = prefix().token_in(name.as_bytes());
            prop_assert_eq!(found.as_deref(), Some(&token[..]));
        }
    }
}
