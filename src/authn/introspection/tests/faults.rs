//! What an endpoint may say instead of an answer, and whom that concerns.

use super::super::super::testing::site::Answer;
use super::*;
use crate::telemetry::testing::Log;

const NEGATIVE_TTL: Duration = Duration::from_secs(5);

/// What may stand where an answer should.
fn odd_answers(active: &str) -> Vec<Answer> {
    const JSON: (&str, &str) = ("content-type", "application/json");
    let active = || active.to_owned();
    let mut odd = vec![
        (200, vec![], active()),
        (200, vec![JSON, JSON], active()),
        (200, vec![JSON, ("content-length", "10000")], active()),
        (200, vec![JSON], format!("[{}]", active())),
        (200, vec![JSON], active().replace('}', "")),
        (200, vec![JSON], "\u{0}".repeat(100)),
    ];
    for kind in ["text/html", "text/plain", "application/token-introspection+jwt", "", "json"] {
        odd.push((200, vec![("content-type", kind)], active()));
    }
    for status in [201, 202, 203, 205, 206, 226, 300, 301, 302, 307, 308] {
        odd.push((status, vec![JSON], active()));
    }
    for status in [400, 401, 403, 404, 405, 408, 410, 422, 429, 500, 502, 503, 504] {
        odd.push((status, vec![JSON], active()));
    }
    odd
}

#[tokio::test]
async fn an_odd_answer_is_no_answer_and_stops_nobody_else() {
    let world = World::new().await;
    let active = world.active().to_string();
    for (index, (status, headers, body)) in odd_answers(&active).into_iter().enumerate() {
        world.site.says("/introspect", status, &headers, &body);
        let odd = world.verify(&format!("odd{index}")).await.err();
        let told = format!("{status} {headers:?} {body:.60}");
        assert_eq!(odd, Some(TokenError::IntrospectionUnavailable), "{told}");
        world.says(&world.active());
        assert!(world.verify(&format!("other{index}")).await.is_ok(), "{told}");
        world.clock.advance(NEGATIVE_TTL);
        assert!(world.verify(&format!("odd{index}")).await.is_ok(), "{told}");
    }
    assert!(world.site.requests("/elsewhere").is_empty(), "no redirect is followed");
}

/// Whether a fault is one of the token's own.
type IsOwn = bool;

fn faults() -> Vec<(u16, String, IsOwn)> {
    let big = format!(r#"{{"active":true,"x":"{}"}}"#, "x".repeat(64 * 1024));
    let deep = format!(r#"{{"active":true,"x":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    [
        (200, "", true),
        (200, "{}", true),
        (200, "[]", true),
        (200, "<html></html>", true),
        (200, r#"{"active":"true"}"#, true),
        (200, r#"{"active":1}"#, true),
        (200, r#"{"active":false,"active":true}"#, true),
        (200, &big, true),
        (200, &deep, true),
        (400, "", true),
        (400, r#"{"active":true}"#, true),
        (400, r#"{"error":"invalid_request"}"#, true),
        (400, r#"[{"error":"invalid_client"}]"#, true),
        (422, r#"{"error":"x"}"#, true),
        (202, r#"{"active":true}"#, false),
        (204, "", false),
        (302, "", false),
        (400, r#"{"error":"invalid_client"}"#, false),
        (400, r#"{"error":"unauthorized_client","error_description":"x"}"#, false),
        (401, r#"{"active":false}"#, false),
        (403, "", false),
        (404, "", false),
        (405, "", false),
        (408, "", false),
        (410, "", false),
        (429, "", false),
        (500, r#"{"active":true}"#, false),
        (503, "", false),
    ]
    .map(|(status, body, is_own)| (status, body.to_owned(), is_own))
    .into()
}

#[tokio::test]
async fn what_is_no_answer_is_unavailable_and_forgotten_unless_it_comes_with_the_token() {
    for (status, body, is_own) in faults() {
        let world = World::new().await;
        let told = format!("{status} {body:.40}");
        world.site.on("/introspect", status, &body);
        let refusal = world.verify(TOKEN).await.err();
        assert_eq!(refusal, Some(TokenError::IntrospectionUnavailable), "{told}");
        world.says(&world.active());
        assert_eq!(world.verify(TOKEN).await.is_err(), is_own, "{told}");
        world.clock.advance(NEGATIVE_TTL);
        assert!(world.verify(TOKEN).await.is_ok(), "{told}");
        assert_eq!(world.calls(), if is_own { 2 } else { 3 }, "{told}");
    }
}

#[tokio::test]
async fn a_token_that_has_no_answer_is_asked_about_now_and_then_and_stops_nobody_else() {
    for (status, body, _) in faults().into_iter().filter(|(.., is_own)| *is_own) {
        let (world, log) = (World::new().await, Log::capture());
        let told = format!("{status} {body:.40}");
        for round in 0..10 {
            world.site.on("/introspect", status, &body);
            for _ in 0..10 {
                let refusal = world.verify(TOKEN).await.err();
                assert_eq!(refusal, Some(TokenError::IntrospectionUnavailable), "{told}");
            }
            world.says(&world.active());
            assert!(world.verify(&format!("other{round}")).await.is_ok(), "{told}");
            world.clock.advance(NEGATIVE_TTL);
        }
        assert_eq!(world.calls(), 20, "{told}");
        assert_eq!(log.lines("introspection failed"), 5, "one in ten seconds: {told}");
        assert_eq!(log.lines("introspection works again"), 0, "{told}");
    }
}

#[tokio::test]
async fn tokens_that_have_no_answer_neither_open_the_breaker_nor_close_it() {
    for (status, body, is_own) in faults() {
        let world = World::new().await;
        let told = format!("{status} {body:.40}");
        world.site.on("/introspect", status, &body);
        for index in 0..20 {
            let refusal = world.verify(&format!("token{index}")).await.err();
            assert_eq!(refusal, Some(TokenError::IntrospectionUnavailable), "{told}");
        }
        assert_eq!(world.calls(), if is_own { 20 } else { 5 }, "{told}");
    }
    let world = World::new().await;
    for index in 0..20 {
        world.site.on("/introspect", if index % 2 == 0 { 500 } else { 400 }, "");
        assert!(world.verify(&format!("token{index}")).await.is_err());
    }
    assert_eq!(world.calls(), 9, "the fifth 500 opens it");
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_probed_once_a_second() {
    let world = World::new().await;
    world.site.on("/introspect", 500, "");
    for index in 0..50 {
        let refusal = world.verify(&format!("token{index}")).await.err();
        assert_eq!(refusal, Some(TokenError::IntrospectionUnavailable));
    }
    assert_eq!(world.calls(), 5);
    world.says(&world.active());
    assert_eq!(world.verify(TOKEN).await.err(), Some(TokenError::IntrospectionUnavailable));
    world.clock.advance(Duration::from_secs(1));
    assert!(world.verify(TOKEN).await.is_ok());
    assert!(world.verify("another").await.is_ok());
}

#[tokio::test]
async fn an_odd_discovery_document_counts_against_the_endpoint() {
    const DOCUMENT: &str = "/.well-known/openid-configuration";
    let huge = " ".repeat(1 << 20);
    for (status, body) in [(400, ""), (422, ""), (200, "[]"), (200, &huge)] {
        let world = World::new().await;
        world.site.on(DOCUMENT, status, body);
        for index in 0..20 {
            let refusal = world.verify(&format!("token{index}")).await.err();
            assert_eq!(refusal, Some(TokenError::IntrospectionUnavailable), "{status}");
        }
        assert_eq!(world.site.requests(DOCUMENT).len(), 5, "{status}");
    }
}

#[tokio::test]
async fn an_endpoint_that_wants_a_pause_gets_it() {
    // One of several servers may be 503; a 429 is about all our calls.
    for (status, calls) in [(429, 1), (503, 5)] {
        let world = World::new().await;
        world.site.says("/introspect", status, &[("retry-after", "7")], "");
        let ask = async |after: u64| {
            world.clock.advance(Duration::from_secs(after));
            world.verify(TOKEN).await.is_ok()
        };
        for _ in 0..20 {
            assert!(!ask(0).await, "{status}");
        }
        world.says(&world.active());
        assert!(!ask(0).await && !ask(6).await, "{status}");
        assert_eq!(world.calls(), calls, "{status}");
        assert!(ask(1).await, "{status}");
    }
}
