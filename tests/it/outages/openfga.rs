//! OpenFGA is away, hangs, or answers what is none.

use serde_json::json;

use super::is_admitted;
use crate::support::recorder::Passage;
use crate::support::world::{story_rules, with};
use crate::support::{Mint, SOON, World, eventually, story};

#[test]
fn an_openfga_that_is_down_closes_protected_routes_only() {
    story(async {
        let world = World::start().await;
        let token = world.token("ann").jwt();
        let get = |path: &str| world.gateway.get(path).bearer(&token).send();

        world.openfga.down();
        get("/api/report").await.refused(503, "authorization_unavailable");
        world.saw_nothing();
        get("/public/page").await.is(200);
        get("/me/page").await.is(200);
        assert_eq!(world.gateway.get("/health").send().await.status, 200);

        // What it stored is gone with it: the store has another name, and is written anew.
        world.upstream.take_requests();
        world.openfga.up().await;
        get("/api/report").await;
        world.saw_nothing();
    });
}

#[test]
fn an_openfga_that_hangs_costs_a_deadline_and_no_wrong_answer() {
    story(async {
        let world = World::build().recorded().start().await;
        let token = world.token("ann").jwt();
        world.recorder().set(Passage::Hang);
        let hung = world.gateway.get("/api/report").bearer(&token).send().await;
        hung.refused(503, "authorization_unavailable");
        world.saw_nothing();
        world.recorder().set(Passage::Open);
        is_admitted(&world.gateway, &token).await;
        let line = world.gateway.await_message("OpenFGA is reachable again").await;
        assert_eq!(line["store_id"], world.store.as_str());

        // A failure is never remembered as a decision.
        let bob = world.viewer("bob").await;
        let token = world.token(&bob).jwt();
        world.recorder().set(Passage::Status(500));
        let failed = world.gateway.get("/api/report").bearer(&token).send().await;
        failed.refused(503, "authorization_unavailable");
        world.recorder().set(Passage::Open);
        is_admitted(&world.gateway, &token).await;
    });
}

#[test]
fn a_frozen_openfga_thaws_without_a_restart() {
    story(async {
        let world = World::start().await;
        let token = world.token("ann").jwt();
        world.openfga.freeze();
        let hung = world.gateway.get("/api/report").bearer(&token).send().await;
        hung.refused(503, "authorization_unavailable");
        world.saw_nothing();
        world.openfga.thaw();
        is_admitted(&world.gateway, &token).await;
    });
}

#[test]
fn a_decision_that_is_known_outlives_a_short_outage() {
    story(async {
        let world = World::build().set("openfga.allow_ttl", "10m").start().await;
        let token = world.token("ann").jwt();
        world.gateway.get("/api/report").bearer(&token).send().await.is(200);
        world.openfga.down();
        world.gateway.get("/api/report").bearer(&token).send().await.is(200);
    });
}

#[test]
fn an_allow_that_has_expired_says_so_where_it_serves_an_outage() {
    story(async {
        let build = World::build().set("openfga.stale_if_error", "10m");
        let build = build.set("openfga.allow_ttl", "1ms").set("openfga.deny_ttl", "1ms");
        let world = build.start().await;
        let (ann, bob) = (world.token("ann").jwt(), world.token("bob").jwt());
        let get = |token: &str| world.gateway.get("/api/report").bearer(token).send();
        get(&ann).await.is(200);
        get(&bob).await.refused(403, "denied");
        assert_eq!(world.upstream.only_request().header("x-user-id"), Some("ann"));

        world.openfga.down();
        eventually("a stale allow", SOON, async || {
            let answer = get(&ann).await;
            (answer.is(200).header("x-authorization-decision") == "stale").then_some(())
        })
        .await;
        world.gateway.await_access(|line| line["decision"] == "stale").await;
        drop(world.upstream.take_requests());
        get(&bob).await.refused(503, "authorization_unavailable");
        world.saw_nothing();
    });
}

#[test]
fn a_rule_may_prefer_availability() {
    story(async {
        let lenient = json!([{"path": "/lenient/*path", "method": "GET", "feature": "report_viewer",
            "on_unavailable": "allow"}]);
        let world = World::build().rules(with(story_rules(), lenient)).start().await;
        world.openfga.down();
        let get = |path: &str| world.gateway.get(path).bearer(world.token("ann")).send();
        let passed = get("/lenient/page").await;
        assert_eq!(passed.is(200).header("x-authorization-decision"), "unavailable");
        assert_eq!(world.upstream.only_request().header("x-user-id"), Some("ann"));
        world.gateway.await_access(|line| line["decision"] == "unavailable").await;
        let label = [("decision", "unavailable")];
        let counted = world.gateway.metric("auth_gateway_doubtful_passes_total", &label).await;
        assert_eq!(counted, Some(1.0));
        get("/api/report").await.refused(503, "authorization_unavailable");
        let nobody = world.gateway.get("/lenient/page").send().await;
        nobody.refused(401, "missing_token");
        world.saw_nothing();
    });
}
