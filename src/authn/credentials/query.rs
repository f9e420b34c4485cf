//! Tokens in queries (RFC 6750 section 2.3).

use std::borrow::Cow;

use super::spelling::{Decoded, reads_as};

/// Servers that do not follow the URL standard split at semicolons too.
const SEPARATORS: [char; 2] = ['&', ';'];

/// The decoded values of the parameters of this name.
pub(super) fn values<'a>(query: &'a str, name: &str) -> impl Iterator<Item = Cow<'a, [u8]>> {
    let values = query.split(SEPARATORS).filter_map(move |piece| value(piece, name));
    values.map(|value| {
        let is_encoded = value.bytes().any(|byte| matches!(byte, b'%' | b'+'));
        if is_encoded { Decoded(value.as_bytes()).collect() } else { value.as_bytes().into() }
    })
}

/// The query without the parameters of this name, the rest as it was sent; `None` if it has none.
pub(super) fn without(query: &str, name: &str) -> Option<String> {
    let is_token = |piece: &&str| value(piece, name).is_some();
    query.split(SEPARATORS).find(is_token)?;
    let groups = query.split('&').filter_map(|group| {
        let kept: Vec<&str> = group.split(';').filter(|piece| !is_token(piece)).collect();
        (!kept.is_empty()).then(|| kept.join(";"))
    });
    Some(groups.collect::<Vec<_>>().join("&"))
}

fn value<'a>(piece: &'a str, name: &str) -> Option<&'a str> {
    let (written, value) = piece.split_once('=').unwrap_or((piece, ""));
    reads_as(written.as_bytes(), name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(query: &str, tokens: &[&str], rest: Option<&str>) {
        let found: Vec<_> = values(query, "tok").collect();
        assert_eq!(found, tokens.iter().map(|token| token.as_bytes()).collect::<Vec<_>>());
        assert_eq!(without(query, "tok").as_deref(), rest, "{query}");
    }

    #[test]
    fn one_parameter_goes_and_the_others_stay_byte_for_byte() {
        check("tok=abc", &["abc"], Some(""));
        check("a=%61+b&tok=abc&&b=[1]?", &["abc"], Some("a=%61+b&&b=[1]?"));
        check("a=1&tok=abc", &["abc"], Some("a=1"));
        check("tok=abc&a=1&", &["abc"], Some("a=1&"));
        check("a=1&b=tok&xtok=2&tok2=3", &[], None);
        check("", &[], None);
    }

    #[test]
    fn each_spelling_of_the_parameter_is_seen() {
        check("tok=a&%74ok=b&TOK=c&tok[]=d&tok", &["a", "b", "c", "d", ""], Some(""));
    }

    #[test]
    fn a_semicolon_hides_nothing() {
        check("a=1;tok=abc", &["abc"], Some("a=1"));
        check("a=1;tok=abc;b=2", &["abc"], Some("a=1;b=2"));
        check("a=1&tok=abc;b=2", &["abc"], Some("a=1&b=2"));
        check("a=1;tok=abc&b=2", &["abc"], Some("a=1&b=2"));
    }

    #[test]
    fn values_are_form_encoded() {
        check("tok=a%2Fb%2b%3D", &["a/b+="], Some(""));
        // A plus is a space, which no token holds.
        check("tok=a+b", &["a b"], Some(""));
        check("tok=a%2", &["a%2"], Some(""));
        check("tok=a=b", &["a=b"], Some(""));
    }

    proptest! {
        #[test]
        fn nothing_is_left_of_a_token(before in "[a-z=&;%+]{0,12}", after in "[a-z=&;%+]{0,12}") {
            let query = format!("{before}&tok=SECRET&{after}");
            let rest = without(&query, "tok").expect("a token");
            prop_assert!(!rest.contains("SECRET"));
            prop_assert_eq!(values(&rest, "tok").count(), 0);
        }
    }
}
