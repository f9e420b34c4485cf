use http::HeaderName;
use http::header::{COOKIE, SEC_WEBSOCKET_PROTOCOL};
use proptest::prelude::*;

use super::*;

const VOUCHED: Sender = Sender { is_handshake: false, is_vouched_for: true };
const HANDSHAKE: Sender = Sender { is_handshake: true, is_vouched_for: true };

fn credentials(sources: &[&str]) -> Credentials {
    let sources = sources.iter().map(|text| text.parse().expect("a source")).collect();
    Credentials::new(sources, "bearer.".parse().expect("a prefix"), "gw".parse().expect("a name"))
        .expect("credentials")
}

fn everywhere() -> Credentials {
    credentials(&["authorization", "cookie:sid", "query:t", "websocket_protocol"])
}

fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
}

/// What is found of the request: a token, or why there is none.
fn find(
    credentials: &Credentials,
    lines: &[(HeaderName, &str)],
    query: &str,
    sender: Sender,
) -> Result<String, TokenError> {
    let headers = headers(lines);
    let offered = credentials.find(&headers, Some(query), sender)?;
    offered.parse().map(|bearer| bearer.token().to_owned())
}

#[track_caller]
fn check(lines: &[(HeaderName, &str)], query: &str, expected: Result<&str, TokenError>) {
    let found = find(&everywhere(), lines, query, HANDSHAKE);
    assert_eq!(found.as_deref().map_err(|error| *error), expected, "{lines:?} {query}");
}

#[test]
fn the_token_is_found_wherever_it_may_be() {
    check(&[(AUTHORIZATION, "Bearer abc")], "", Ok("abc"));
    check(&[(COOKIE, "a=1; sid=abc")], "", Ok("abc"));
    check(&[], "a=1&t=abc", Ok("abc"));
    check(&[(SEC_WEBSOCKET_PROTOCOL, "chat, bearer.YWJj")], "", Ok("abc"));
    check(&[], "", Err(TokenError::Missing));
    check(&[(SEC_WEBSOCKET_PROTOCOL, "chat")], "a=1", Err(TokenError::Missing));
}

#[test]
fn the_same_token_twice_is_one() {
    check(&[(AUTHORIZATION, "Bearer abc"), (COOKIE, "sid=abc")], "t=abc", Ok("abc"));
    check(&[(COOKIE, "sid=abc; sid=abc")], "t=%61bc&t=abc", Ok("abc"));
    check(&[(SEC_WEBSOCKET_PROTOCOL, "bearer.YWJj, bearer.YWJj, x")], "", Ok("abc"));
}

#[test]
fn two_different_ones_conflict_in_whatever_spelling() {
    let conflict = Err(TokenError::Conflicting);
    let bearer = (AUTHORIZATION, "Bearer abc");
    for (line, query) in [
        ((COOKIE, "sid=x"), ""),
        ((COOKIE, "sid="), ""),
        ((COOKIE, "SID=x"), ""),
        ((COOKIE, "a=\"; sid=x\""), ""),
        ((COOKIE, "a=1"), "t=x"),
        ((COOKIE, "a=1"), "%74=x"),
        ((COOKIE, "a=1"), "T=x"),
        ((COOKIE, "a=1;"), "a=1;t=x"),
        ((COOKIE, "a=1"), "t"),
        ((SEC_WEBSOCKET_PROTOCOL, "bearer.eA, x"), ""),
        ((SEC_WEBSOCKET_PROTOCOL, "bearer.?, x"), ""),
    ] {
        check(&[bearer.clone(), line], query, conflict);
    }
    check(&[(COOKIE, "sid=a; sid=b")], "", conflict);
    check(&[(COOKIE, "sid=a"), (COOKIE, "sid=b")], "", conflict);
    check(&[], "t=a&t=b", conflict);
    check(&[(SEC_WEBSOCKET_PROTOCOL, "bearer.YQ, bearer.Yg")], "", conflict);
    check(&[bearer.clone(), bearer], "", conflict);
}

#[test]
fn credentials_that_are_not_looked_at_conflict_with_those_that_are() {
    let conflict = Err(TokenError::Conflicting);
    let cookies = credentials(&["cookie:sid"]);
    let cookie = || (COOKIE, "sid=abc");
    let of = |lines: &[(HeaderName, &str)], query| find(&cookies, lines, query, VOUCHED);
    assert_eq!(of(&[cookie()], "").as_deref(), Ok("abc"));
    assert_eq!(of(&[cookie(), (AUTHORIZATION, "Bearer abc")], ""), conflict);
    assert_eq!(of(&[cookie(), (AUTHORIZATION, "Basic abc")], ""), conflict);
    assert_eq!(of(&[cookie()], "access_token=abc"), conflict);
    assert_eq!(of(&[(AUTHORIZATION, "Bearer abc")], ""), Err(TokenError::Missing));
    // With Authorization among the places, other schemes are no less credentials.
    let basic = (AUTHORIZATION, "Basic abc");
    check(&[basic.clone(), (COOKIE, "sid=abc")], "", Err(TokenError::Conflicting));
    check(&[basic], "", Err(TokenError::Missing));
}

#[test]
fn a_parameter_that_is_looked_at_may_have_the_usual_name() {
    let usual = credentials(&["authorization", "query:access_token"]);
    let bearer = [(AUTHORIZATION, "Bearer abc")];
    assert_eq!(find(&usual, &bearer, "access_token=abc", VOUCHED).as_deref(), Ok("abc"));
    let other = find(&usual, &bearer, "access_token=x", VOUCHED);
    assert_eq!(other, Err(TokenError::Conflicting));
}

#[test]
fn what_is_no_token_is_malformed() {
    for line in [
        (COOKIE, "sid=\"abc\""),
        (COOKIE, "sid=a b"),
        (COOKIE, "sid"),
        (SEC_WEBSOCKET_PROTOCOL, "bearer.YWJ, x"),
        (SEC_WEBSOCKET_PROTOCOL, "bearer.YWJj==, x"),
        (AUTHORIZATION, "Bearer"),
    ] {
        check(&[line], "", Err(TokenError::MalformedToken));
    }
    for query in ["t=", "t", "t=a+b", "t=a%20b", "t=a%", "t=%00"] {
        check(&[], query, Err(TokenError::MalformedToken));
    }
}

#[test]
fn a_cookie_counts_only_for_who_is_vouched_for() {
    let everywhere = everywhere();
    let cookie = || (COOKIE, "sid=abc");
    let unknown = Sender::default();
    let of = |lines: &[(HeaderName, &str)], query| find(&everywhere, lines, query, unknown);
    assert_eq!(of(&[cookie()], ""), Err(TokenError::UnknownOrigin));
    // Another page cannot send these.
    assert_eq!(of(&[cookie()], "t=abc").as_deref(), Ok("abc"));
    let bearer = (AUTHORIZATION, "Bearer abc");
    assert_eq!(of(&[cookie(), bearer], "").as_deref(), Ok("abc"));
    assert_eq!(of(&[cookie()], "t=x"), Err(TokenError::Conflicting));
}

#[test]
fn a_subprotocol_counts_in_a_handshake_only() {
    let lines = [(SEC_WEBSOCKET_PROTOCOL, "bearer.YWJj, chat")];
    assert_eq!(find(&everywhere(), &lines, "", VOUCHED), Err(TokenError::Missing));
    let everywhere = everywhere();
    let alone =
        |line: &str| everywhere.offers_a_token_alone(&headers(&[(SEC_WEBSOCKET_PROTOCOL, line)]));
    assert!(alone("bearer.YWJj") && alone("bearer.YWJj, bearer.YWJj,"));
    assert!(!alone("bearer.YWJj, gw") && !alone("chat"));
    assert!(!everywhere.offers_a_token_alone(&HeaderMap::new()));
}

#[test]
fn everything_that_carries_a_token_is_taken_out() {
    let mut headers = headers(&[
        (AUTHORIZATION, "Basic kept"),
        (COOKIE, "a=1; sid=abc"),
        (COOKIE, "SID=abc"),
        (SEC_WEBSOCKET_PROTOCOL, "bearer.YWJj, gw, chat"),
    ]);
    assert_eq!(everywhere().take_out(&mut headers), Taken { companion: true });
    let left = |name: HeaderName| headers.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(left(AUTHORIZATION), ["Basic kept"]);
    assert_eq!(left(COOKIE), ["a=1"]);
    assert_eq!(left(SEC_WEBSOCKET_PROTOCOL), ["chat"]);
    let two = credentials(&["query:t", "query:u"]);
    assert_eq!(two.query_without_token("a&u=1&t=2&b").as_deref(), Some("a&b"));
    assert_eq!(two.query_without_token("t=2").as_deref(), Some(""));
    assert_eq!(two.query_without_token("a&b"), None);
    assert_eq!(credentials(&["authorization"]).query_without_token("t=2"), None);
}

proptest! {
    #[test]
    fn nothing_of_a_token_that_is_found_is_left(
        cookie in "[a-z=;, \"]{0,10}(sid=SECRET)?[a-z=;, \"]{0,10}",
        query in "[a-z=&;]{0,10}(t=SECRET)?[a-z=&;]{0,10}",
    ) {
        let everywhere = everywhere();
        let mut headers = headers(&[(COOKIE, &cookie)]);
        let found = everywhere.find(&headers, Some(&query), VOUCHED).is_ok();
        prop_assume!(found);
        everywhere.take_out(&mut headers);
        let query = everywhere.query_without_token(&query).unwrap_or(query);
        let left = everywhere.find(&headers, Some(&query), VOUCHED).err();
        prop_assert_eq!(left, Some(TokenError::Missing));
    }
}
