//! How a client says who it is: RFC 6749 section 2.3.1.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: String,
}

/// From the Basic header, where both parts are form-url-encoded first, or from the form.
pub(super) fn credentials(
    headers: &HeaderMap,
    posted: Option<(String, String)>,
) -> Option<Credentials> {
    let basic = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(basic);
    basic.or_else(|| posted.map(|(id, secret)| Credentials { id, secret }))
}

fn basic(header: &str) -> Option<Credentials> {
    let decoded = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some(Credentials { id: form_decoded(id), secret: form_decoded(secret) })
}

fn form_decoded(text: &str) -> String {
    // A lone key: the parser decodes it and leaves the value empty.
    url::form_urlencoded::parse(text.as_bytes())
        .next()
        .map_or_else(String::new, |(key, _)| key.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_of_a_basic_header_are_form_url_encoded() {
        let mut headers = HeaderMap::new();
        let encoded = STANDARD.encode("123%40gateway:a%3Ab+c%2B");
        headers.insert(AUTHORIZATION, format!("Basic {encoded}").parse().unwrap());
        let found = credentials(&headers, None).unwrap();
        assert_eq!((found.id.as_str(), found.secret.as_str()), ("123@gateway", "a:b c+"));
    }

    #[test]
    fn without_a_header_the_form_counts() {
        let found = credentials(&HeaderMap::new(), Some(("id".into(), "secret".into()))).unwrap();
        assert_eq!(found.id, "id");
        assert!(credentials(&HeaderMap::new(), None).is_none());
    }
}
