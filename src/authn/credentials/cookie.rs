//! Tokens in cookies.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::spelling::reads_as;

/// The values of the cookies of this name, as they were sent.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    lines.flat_map(pieces).filter_map(move |piece| value(piece, name))
}

/// Takes the cookies of this name out and leaves the others as they are.
pub(super) fn take_out(headers: &mut HeaderMap, name: &str) {
    if values(headers, name).next().is_none() {
        return;
    }
    let lines = headers.get_all(COOKIE).iter();
    let kept: Vec<HeaderValue> = lines.filter_map(|line| without(line.as_bytes(), name)).collect();
    headers.remove(COOKIE);
    for line in kept {
        headers.append(COOKIE, line);
    }
}

/// RFC 6265 section 5.4 has a space after the semicolon.
fn pieces(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

/// What the piece gives to `name`. Some parsers (RFC 2109's, Python's) begin a cookie after a comma,
/// a space or within quotes, so the word before any `=` may be the name.
fn value<'a>(piece: &'a [u8], name: &str) -> Option<&'a [u8]> {
    if reads_as(piece, name) {
        return Some(b"");
    }
    memchr::memchr_iter(b'=', piece).find_map(|at| {
        let (before, after) = piece.split_at_checked(at)?;
        let before = before.trim_ascii_end();
        let is_separator = |byte: &u8| matches!(byte, b' ' | b'\t' | b',' | b'"');
        let word = before.rsplit(is_separator).next().unwrap_or_default();
        let is_named = reads_as(before, name) || reads_as(word, name);
        is_named.then(|| after.get(1..).unwrap_or_default().trim_ascii())
    })
}

fn without(line: &[u8], name: &str) -> Option<HeaderValue> {
    let kept: Vec<&[u8]> = pieces(line).filter(|piece| value(piece, name).is_none()).collect();
    let kept = kept.join(&b"; "[..]);
    HeaderValue::from_bytes(&kept).ok().filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cookies(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, line.parse().expect("a line"))).collect()
    }

    #[track_caller]
    fn check(lines: &[&str], tokens: &[&str], rest: &[&str]) {
        let mut headers = cookies(lines);
        let found: Vec<&[u8]> = values(&headers, "tok").collect();
        assert_eq!(found, tokens.iter().map(|token| token.as_bytes()).collect::<Vec<_>>());
        take_out(&mut headers, "tok");
        let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(left, rest, "{lines:?}");
    }

    #[test]
    fn one_cookie_goes_and_the_others_stay() {
        check(&["tok=abc"], &["abc"], &[]);
        check(&["a=1; tok=abc; b=2"], &["abc"], &["a=1; b=2"]);
        check(&["a=1", "tok=abc; b=\"x,y\"", "c"], &["abc"], &["a=1", "b=\"x,y\"", "c"]);
        check(&["a=1;b=2"], &[], &["a=1;b=2"]);
        check(
            &["token=1; atok=2; a=tok; b=tok=3; c=?tok=4"],
            &[],
            &["token=1; atok=2; a=tok; b=tok=3; c=?tok=4"],
        );
    }

    #[test]
    fn each_of_several_is_seen() {
        check(&["tok=a; tok=b"], &["a", "b"], &[]);
        check(&["tok=a", "x=1; TOK=b"], &["a", "b"], &["x=1"]);
        check(&["tok=a; tok", "tok="], &["a", "", ""], &[]);
    }

    #[test]
    fn what_only_some_parsers_take_for_the_cookie_is_seen() {
        check(&["tok = a"], &["a"], &[]);
        check(&["\ttok=a"], &["a"], &[]);
        check(&["tok=\"a\""], &["\"a\""], &[]);
        check(&["%74ok=a"], &["a"], &[]);
        check(&["x=1 tok=a; y=2"], &["a"], &["y=2"]);
        check(&["x=1,tok=a; y=2"], &["a"], &["y=2"]);
        check(&["x=\"1; tok=a\"; y=2"], &["a\""], &["x=\"1; y=2"]);
        check(&["x=\"tok=a\"; y=2"], &["a\""], &["y=2"]);
        check(&["x=1, tok =a"], &["a"], &[]);
    }

    proptest! {
        #[test]
        fn nothing_is_left_of_a_token(line in "[a-z=;, \"\\[%]{0,12}tok=SECRET[a-z=;, \"]{0,12}") {
            let mut headers = cookies(&[&line]);
            prop_assume!(values(&headers, "tok").next().is_some());
            take_out(&mut headers, "tok");
            prop_assert_eq!(values(&headers, "tok").count(), 0);
        }

        #[test]
        fn other_cookies_are_never_touched(line in "([a-s]{1,4}=[a-z0-9=.%]{0,6})(; [a-s]{1,4}=[a-z0-9=.%]{0,6}){0,3}") {
            let mut headers = cookies(&[&line]);
            take_out(&mut headers, "tok");
            prop_assert_eq!(headers.get(COOKIE).map(HeaderValue::as_bytes), Some(line.as_bytes()));
        }
    }
}
