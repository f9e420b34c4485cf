//! The deployment guide, followed word for word, with the gateway in front of everything.

use auth_gateway::clock::{Clock, SystemClock};
use reqwest::Method;
use serde_json::json;

use crate::support::gateway::Gateway;
use crate::support::openfga::{Version, guide_model};
use crate::support::upstream::Answer;
use crate::support::world::{Lease, ORIGIN, guide_rules, with};
use crate::support::{Mint, World, attack, issuer, story};

#[test]
fn the_guide_works_from_the_first_curl_to_the_last() {
    story(follow_the_guide(Version::Current));
}

#[test]
fn the_guide_works_with_the_openfga_that_it_names() {
    story(follow_the_guide(Version::Guide));
}

/// A legal store id that no server knows: the guide starts with `01HXXX...`.
const PLACEHOLDER_STORE: &str = "01HXXXXXXXXXXXXXXXXXXXXXXX";

async fn follow_the_guide(version: Version) {
    let world = World::build().openfga(version).rules(guide_rules());
    let services = world.services().await;

    // `/stores/*path` begins below `/stores`, and OpenFGA has nothing at `/stores/`: whoever wants to
    // create the store through the gateway adds this rule for the first run.
    let create_store = json!([{"path": "/stores", "method": "POST", "feature": "public_access",
        "target": "openfga"}]);
    let plan = world.plan(&services).env("OPENFGA_STORE_ID", PLACEHOLDER_STORE);
    let gateway = Gateway::start(&plan.rules(&with(guide_rules(), create_store))).await;
    let created = gateway.post("/stores").json(&json!({"name": "auth-gateway"})).send().await;
    let store = created.is(201).json()["id"].as_str().unwrap().to_owned();
    let path = format!("/stores/{store}");
    let models = format!("{path}/authorization-models");
    gateway.post(&models).json(&guide_model()).send().await.is(201);
    let tuple =
        json!({"user": "user:ann", "relation": "viewer", "object": "feature:report_viewer"});
    let write = json!({"writes": {"tuple_keys": [tuple]}});
    gateway.post(&format!("{path}/write")).json(&write).send().await.is(200);
    drop(gateway);

    let gateway = Gateway::start(&world.plan(&services).env("OPENFGA_STORE_ID", &store)).await;
    let report = || gateway.get("/api/reports?year=2026");
    report().bearer(services.issuer.token("ann")).send().await.is(200);
    let seen = services.upstream.only_request();
    assert_eq!((seen.method(), seen.target()), ("GET", "/api/reports?year=2026"));
    assert_eq!(seen.headers_named("x-user-id"), ["ann"]);
    assert_eq!(seen.header("authorization"), None);

    let stranger = issuer::start().await;
    report().bearer(services.issuer.token("bob")).send().await.refused(403, "denied");
    report().send().await.refused(401, "missing_token");
    let expired = services.issuer.token("ann").expired();
    report().bearer(expired).send().await.refused(401, "expired");
    let foreign = report().bearer(stranger.token("ann")).send().await;
    foreign.refused_for_one_of(401, &["wrong_issuer", "unknown_key"]);
    gateway.get("/nowhere").send().await.refused(403, "no_rule");
    gateway.get("/api").send().await.refused(403, "no_rule");
    let posted = gateway.post("/api/reports").bearer(services.issuer.token("ann")).send().await;
    let allowed = posted.refused(405, "method_not_allowed").header("allow");
    assert!(allowed.contains("GET") && allowed.contains("HEAD"), "{allowed}");
    services.upstream.saw_nothing();

    gateway.get("/management/v1/users").bearer("a zitadel token").send().await.is(200);
    let seen = services.zitadel.only_request();
    assert_eq!(seen.target(), "/management/v1/users");
    assert_eq!(seen.header("authorization"), Some("Bearer a zitadel token"));
    assert_eq!(seen.header("x-user-id"), None);

    assert_eq!(gateway.get("/health").send().await.is(200).text(), "OK");
    let metrics = gateway.get("/metrics").send().await.is(200).text();
    assert!(metrics.contains("auth_gateway_requests_total"), "{metrics}");
}

#[test]
fn the_hundred_and_first_request_in_a_minute_is_refused() {
    story(async {
        let world = World::lease().await;
        loop {
            let minute = || SystemClock.now().unix_secs() / 60;
            let began = minute();
            let token = world.token(&world.viewer("busy").await).jwt();
            let report = || world.gateway.get("/api/report").bearer(&token);

            let first = report().send().await;
            assert_eq!(first.is(200).number("x-ratelimit-limit"), 100);
            assert_eq!(first.number("x-ratelimit-remaining"), 99);
            let policy = first.header("ratelimit-policy");
            assert!(policy.contains("q=100") && policy.contains("w=60"), "{policy}");
            assert!(first.header("ratelimit").contains("r=99"), "{first:?}");
            for _ in 2..=100 {
                report().send().await.is(200);
            }
            assert_eq!(world.upstream.take_requests().len(), 100);
            let next = report().send().await;
            if began != minute() {
                // Part of the loop counts for the next minute already.
                world.upstream.take_requests();
                continue;
            }
            next.refused(429, "principal_limited");
            assert!((1..=60).contains(&next.number("retry-after")), "{next:?}");
            assert_eq!(next.number("x-ratelimit-remaining"), 0);
            assert!(next.header("ratelimit").contains("r=0"), "{next:?}");
            world.saw_nothing();

            // Somebody else is not concerned.
            let other = world.token(&world.viewer("calm").await);
            world.gateway.get("/api/report").bearer(other).send().await.is(200);
            return;
        }
    });
}

#[test]
fn a_preflight_is_answered_by_the_gateway() {
    story(async {
        let world = World::lease().await;
        let preflight = |origin: &str, method: &str| {
            let request = world.gateway.request(Method::OPTIONS, "/api/report");
            request.header("Origin", origin).header("Access-Control-Request-Method", method)
        };
        let answer =
            preflight(ORIGIN, "GET").header("Access-Control-Request-Headers", "authorization");
        let answer = answer.send().await;
        assert!(matches!(answer.status, 200 | 204), "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
        assert!(answer.header("access-control-allow-methods").contains("GET"), "{answer:?}");
        let headers = answer.header("access-control-allow-headers").to_ascii_lowercase();
        assert!(headers.contains("authorization"), "{answer:?}");
        answer.has_common_headers();

        let foreign = preflight("https://evil.example", "GET").send().await;
        assert_eq!(foreign.header("access-control-allow-origin"), "");
        let unruled = preflight(ORIGIN, "DELETE").send().await;
        unruled.refused(405, "method_not_allowed");
        assert_eq!(unruled.header("access-control-allow-origin"), ORIGIN);
        world.saw_nothing();
    });
}

#[test]
fn scripts_of_the_allowed_origin_may_read_answers_and_no_others() {
    story(async {
        let world = World::lease().await;
        let get = |origin: &str| world.gateway.get("/public/page").header("Origin", origin).send();
        assert_eq!(get(ORIGIN).await.header("access-control-allow-origin"), ORIGIN);
        assert_eq!(get("https://evil.example").await.header("access-control-allow-origin"), "");
        assert_eq!(get("null").await.header("access-control-allow-origin"), "");
    });
}

#[test]
fn without_allowed_origins_the_application_answers_for_itself() {
    story(async {
        let world = World::build().env("ALLOWED_ORIGINS", "").start().await;
        let answer = Answer::status(204).with_header("Access-Control-Allow-Origin", "*");
        world.upstream.answer(answer);
        let preflight = |path: &str| {
            let request = world.gateway.request(Method::OPTIONS, path).header("Origin", ORIGIN);
            request.header("Access-Control-Request-Method", "GET").send()
        };
        // It is a request like any other: no token, no way in.
        preflight("/me/page").await.refused(401, "missing_token");
        preflight("/nowhere").await.refused(403, "no_rule");
        world.saw_nothing();
        let answer = preflight("/public/page").await;
        assert_eq!(answer.is(204).header("access-control-allow-origin"), "*");
        assert_eq!(world.upstream.only_request().method(), "OPTIONS");
    });
}

/// What frameworks take for `X-User-ID`.
const SPELLINGS: &[&str] = &[
    "X-User-ID",
    "x-user-id",
    "X-USER-ID",
    "X_User_Id",
    "x_user_id",
    "X.User.Id",
    "x.user.id",
    "X_User-ID",
    "X-User_ID",
    "x-user.id",
    "X.USER_ID",
];

#[test]
fn nobody_but_the_gateway_says_who_a_user_is() {
    story(async {
        let world = World::lease().await;
        let user = world.viewer("ann").await;
        let bearer = format!("Bearer {}", world.token(&user).jwt());
        let spoofed = SPELLINGS.iter().map(|name| (*name, "root")).collect::<Vec<_>>();
        let with_token = [&[("Authorization", bearer.as_str())], spoofed.as_slice()].concat();

        let protected = world.gateway.bytes("GET", "/api/report", &with_token);
        world.gateway.raw(protected).await.unwrap().is(200);
        let seen = world.upstream.only_request().aliases("x-user-id");
        let values = seen.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>();
        assert_eq!(values, [user.as_str()], "{seen:?}");

        let public = world.gateway.bytes("GET", "/public/page", &spoofed);
        world.gateway.raw(public).await.unwrap().is(200);
        assert_eq!(world.upstream.only_request().aliases("x-user-id"), []);

        let zitadel = world.gateway.bytes("GET", "/management/v1/users", &with_token);
        world.gateway.raw(zitadel).await.unwrap().is(200);
        assert_eq!(world.zitadel.only_request().aliases("x-user-id"), []);
    });
}

#[test]
fn a_refused_token_is_explained_in_the_log() {
    story(async {
        let world = World::lease().await;
        let (gateway, token) = (&world.gateway, world.token("ann").expired());
        let refused = gateway.get("/api/report").bearer(token).send().await;
        let id = refused.refused(401, "expired").header("x-request-id").to_owned();
        let line = gateway
            .await_log(|line| {
                line["message"] == "JWT validation failed" && line["request_id"] == id.as_str()
            })
            .await;
        assert_eq!((&line["reason"], &line["cause"]), (&json!("expired"), &json!("expired")));
        assert_eq!(line["rule"], "get /api/*path");
        let detail = line["detail"].as_str().unwrap_or_default();
        assert!(detail.starts_with("token says it expired "), "{line}");
        assert!(line.get("hint").is_none(), "{line}");
        world.saw_nothing();
    });
}

#[test]
fn an_opaque_token_without_introspection_is_explained_in_the_log() {
    story(async {
        let client = World::build().env("ZITADEL_CLIENT_ID", "").env("ZITADEL_CLIENT_SECRET", "");
        let world = client.start().await;
        let pat = world.token("ann").opaque_token();
        let refused = world.gateway.get("/api/report").bearer(pat).send().await;
        refused.refused(401, "malformed_token");
        let line = world.gateway.await_message("JWT validation failed").await;
        let hint = line["hint"].as_str().unwrap_or_default();
        assert!(hint.contains("ZITADEL_CLIENT_ID") && hint.contains("_SECRET"), "{line}");
        world.saw_nothing();
    });
}

#[test]
fn an_unreachable_openfga_is_explained_in_the_log() {
    story(async {
        let world = World::start().await;
        world.openfga.down();
        let token = world.token("ann");
        let refused = world.gateway.get("/api/report").bearer(token).send().await;
        refused.refused(503, "authorization_unavailable");
        let line = world.gateway.await_message("Failed to connect to OpenFGA").await;
        assert_eq!(line["reason"], "authorization_unavailable");
        assert_ne!(line["cause"].as_str().unwrap_or_default(), "", "{line}");
        assert_eq!(line["store_id"], world.store.as_str());
        let url = line["url"].as_str().unwrap_or_default();
        assert!(url.starts_with(&world.openfga.url()), "{line}");
        world.saw_nothing();
    });
}

#[test]
fn an_openfga_that_was_never_reached_is_explained_in_the_log_and_the_readiness_details() {
    story(async {
        let world = World::build();
        let services = world.services().await;
        services.openfga.down();
        let gateway = Gateway::start(&world.plan(&services)).await;
        let line = gateway.await_message("Failed to connect to OpenFGA").await;
        assert!(line["cause"].as_str().is_some_and(|cause| cause.contains("refused")), "{line}");
        let hint = line["hint"].as_str().unwrap_or_default();
        assert!(hint.ends_with("every 1s"), "{line}");
        let token = services.issuer.token("ann");
        let refused = gateway.get("/api/report").bearer(token).send().await;
        refused.refused(503, "authorization_unavailable");
        let details = gateway.admin(Method::GET, "/readyz").send().await.is(200).json();
        assert_eq!(details["model_known"], false);
        let error = details["model_error"].as_str().unwrap_or_default();
        assert!(error.contains("refused"), "{details}");

        services.openfga.up().await;
        // It has lost its store, models and all: another cause.
        gateway
            .await_log(|line| {
                line["cause"].as_str().is_some_and(|cause| cause.contains("no authorization model"))
            })
            .await;
        services.upstream.saw_nothing();
    });
}

#[test]
fn an_unreachable_redis_is_explained_in_the_log() {
    story(async {
        let nobody = crate::support::redis::Redis::not_started();
        let world = World::build().without_redis().env("REDIS_URL", &nobody.url()).start().await;
        let line = world.gateway.await_log(|l| l["message"] == "Rate limiting skipped").await;
        assert_eq!(line["reason"], "redis_unavailable");
        assert!(line["cause"].as_str().is_some_and(|cause| cause.contains("refused")), "{line}");
        assert_eq!(line["hint"], "ensure that Redis is running and REDIS_URL is correct");
        world.gateway.get("/api/report").bearer(world.token("ann")).send().await.is(200);
    });
}

#[test]
fn no_forged_token_is_let_in() {
    story(async {
        let world: Lease = World::lease().await;
        let ann = world.viewer("ann").await;
        world.gateway.get("/api/report").bearer(world.token(&ann)).send().await.is(200);
        world.upstream.only_request();
        for attack in attack::all(&world.issuer, &ann) {
            let answer = world.gateway.get("/api/report").bearer(&attack.token).send().await;
            assert_eq!(answer.status, 401, "{}: {answer:?}", attack.name);
            let reason = answer.reason();
            assert!(attack.reasons.contains(&reason.as_str()), "{}: {reason}", attack.name);
        }
        // The key that a token brings along is not looked at, and nobody is asked for it.
        let elsewhere = crate::support::upstream::Upstream::start().await;
        for name in ["jku", "x5u"] {
            let token = world.token(&ann).header(name, elsewhere.url()).kid("mine");
            let answer = world.gateway.get("/api/report").bearer(token).send().await;
            answer.refused_for_one_of(401, &["unknown_key", "malformed_token"]);
        }
        elsewhere.saw_nothing();
        world.saw_nothing();
    });
}
