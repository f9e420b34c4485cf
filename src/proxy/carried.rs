//! Where a request's token came, and what its answer owes to that place.

use http::header::{CACHE_CONTROL, REFERRER_POLICY, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::authn::Credentials;

/// What the answer to a request owes to the place of its token.
#[derive(Debug, Clone, Copy, Default)]
pub struct Carried {
    /// In the query of its address.
    pub in_query: bool,
    /// Beside a subprotocol that the answer can name.
    pub companion: bool,
}

impl Carried {
    /// Writes into an upstream's answer what the request's token asks for.
    pub(super) fn mark(self, credentials: &Credentials, answer: &mut http::response::Parts) {
        let headers = &mut answer.headers;
        if self.companion
            && answer.status == StatusCode::SWITCHING_PROTOCOLS
            && headers.get(SEC_WEBSOCKET_PROTOCOL).is_none_or(HeaderValue::is_empty)
        {
            let companion = credentials.companion().header().clone();
            headers.insert(SEC_WEBSOCKET_PROTOCOL, companion);
        }
        if self.in_query {
            // The address of this answer opens what its token opens.
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            make_private(headers);
        }
    }
}

/// Keeps shared caches from storing an answer; what else the application says of caches stands.
fn make_private(headers: &mut HeaderMap) {
    let mut value = String::from("private");
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    for directive in lines.flat_map(|line| line.split(',')).map(str::trim) {
        let name = directive.split('=').next().unwrap_or_default();
        let is_for_shared_caches =
            ["private", "public", "s-maxage"].iter().any(|one| name.eq_ignore_ascii_case(one));
        if !directive.is_empty() && !is_for_shared_caches {
            value.push_str(", ");
            value.push_str(directive);
        }
    }
    let value = HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("private"));
    headers.insert(CACHE_CONTROL, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_private_and_otherwise_as_cacheable_as_it_was() {
        let cases: [(&[&str], &str); 6] = [
            (&[], "private"),
            (&["no-store"], "private, no-store"),
            (&["public, max-age=60"], "private, max-age=60"),
            (&["s-maxage=9, Private", "no-cache"], "private, no-cache"),
            (&["max-age=60 ,, immutable"], "private, max-age=60, immutable"),
            (&["\u{e4}"], "private"),
        ];
        for (lines, expected) in cases {
            let value = |line: &&str| HeaderValue::from_bytes(line.as_bytes()).unwrap();
            let mut headers: HeaderMap =
                lines.iter().map(|line| (CACHE_CONTROL, value(line))).collect();
            make_private(&mut headers);
            let left: Vec<_> = headers.get_all(CACHE_CONTROL).iter().collect();
            assert_eq!(left, [expected], "{lines:?}");
        }
    }
}
