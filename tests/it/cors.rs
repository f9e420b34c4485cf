//! What scripts of other origins may read, and who decides that.

use reqwest::Method;

use crate::support::upstream::Answer;
use crate::support::world::ORIGIN;
use crate::support::{World, story};

#[test]
fn a_domain_s_pages_are_allowed_at_any_depth_and_nobody_else_s() {
    story(async {
        let origins = "https://*.example.com, http://localhost:5173";
        let world = World::build().env("ALLOWED_ORIGINS", origins).start().await;
        let get = async |origin: &str| {
            let answer = world.gateway.get("/public/page").header("Origin", origin).send().await;
            answer.is(200).header("access-control-allow-origin").to_owned()
        };
        let preflight = async |origin: &str| {
            let request = world.gateway.request(Method::OPTIONS, "/api/report");
            let request = request.header("Access-Control-Request-Method", "GET");
            let answer = request.header("Origin", origin).send().await;
            answer.is(204).header("access-control-allow-origin").to_owned()
        };
        for origin in ["https://a.example.com", "https://b.a.example.com", "http://localhost:5173"]
        {
            assert_eq!(
                (get(origin).await.as_str(), preflight(origin).await.as_str()),
                (origin, origin)
            );
        }
        for origin in [
            "https://example.com",
            "https://evilexample.com",
            "https://a.example.com.evil",
            "https://a.example.com:8443",
            "http://a.example.com",
            "null",
        ] {
            assert_eq!(
                (get(origin).await, preflight(origin).await),
                Default::default(),
                "{origin}"
            );
        }
    });
}

#[test]
fn what_the_application_exposes_stays_exposed_and_who_may_read_is_not_its_to_say() {
    story(async {
        let world = World::lease().await;
        let answer = Answer::status(200)
            .with_header("Access-Control-Allow-Origin", "https://evil.example")
            .with_header("Access-Control-Allow-Credentials", "true")
            .with_header("Access-Control-Allow-Methods", "DELETE")
            .with_header("Access-Control-Expose-Headers", "X-Total-Count, etag")
            .with_header("Access-Control-Expose-Headers", "ETag,retry-after");
        world.upstream.answer(answer);
        let get = async |origin: &str| {
            world.gateway.get("/public/page").header("Origin", origin).send().await
        };
        let ours = get(ORIGIN).await;
        assert_eq!(ours.header("access-control-allow-origin"), ORIGIN);
        assert_eq!(
            ours.header("access-control-expose-headers"),
            "RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-ID, X-Total-Count, etag"
        );
        assert_eq!(ours.headers.get_all("access-control-expose-headers").iter().count(), 1);
        assert_eq!(ours.header("access-control-allow-methods"), "");
        for origin in ["https://evil.example", "null"] {
            let other = get(origin).await;
            let said =
                other.headers.keys().filter(|name| name.as_str().starts_with("access-control-"));
            assert_eq!(said.count(), 0, "{other:?}");
        }
    });
}

#[test]
fn scripts_may_read_why_a_token_was_refused() {
    story(async {
        let world = World::lease().await;
        let expired = world.token("ann").expired();
        let request = world.gateway.get("/api/report").header("Origin", ORIGIN).bearer(expired);
        let refused = request.send().await;
        refused.refused(401, "expired");
        let exposed = refused.header("access-control-expose-headers");
        assert!(exposed.contains("WWW-Authenticate"), "{refused:?}");
        world.saw_nothing();
    });
}

#[test]
fn an_origin_that_can_never_match_stops_the_start() {
    story(async {
        let world = World::build();
        let services = world.services().await;
        for origins in ["https://app.example.com/", "*, https://app.example.com", "https://*.com"] {
            let plan = world.plan(&services).env("ALLOWED_ORIGINS", origins);
            let (status, output) = plan.check().await;
            assert_eq!(status.code(), Some(78), "{origins}: {output}");
            assert!(output.contains("cors.allowed_origins"), "{origins}: {output}");
        }
    });
}
