//! Limits that rules name.

use auth_gateway::clock::{Clock, SystemClock};
use serde_json::json;

use crate::support::world::{Builder, story_rules, with};
use crate::support::{Mint, World, story};

fn limited() -> Builder {
    let rules = json!([
        {"path": "/by-header/*path", "method": "GET", "feature": "authenticated", "rate_limit": "invented"},
        {"path": "/by-principal/*path", "method": "GET", "feature": "authenticated", "rate_limit": "few"},
        {"path": "/by-address/*path", "method": "GET", "feature": "public_access", "rate_limit": "near"},
        {"path": "/signed-in/*path", "method": "GET", "feature": "authenticated", "rate_limit": "near"},
        {"path": "/generous/*path", "method": "GET", "feature": "authenticated", "rate_limit": "many"}
    ]);
    let limits = [
        ("invented", "header:x-key", 5),
        ("few", "principal", 3),
        ("near", "client_ip", 3),
        ("many", "principal", 120),
    ];
    limits.into_iter().fold(World::build().rules(with(story_rules(), rules)), |world, limit| {
        let (name, key, count) = limit;
        let at = |field: &str| format!("limits.{name}.{field}");
        world.set(&at("key"), key).set(&at("limit"), count).set(&at("window"), "60s")
    })
}

fn minute() -> u64 {
    SystemClock.now().unix_secs() / 60
}

#[test]
fn invented_header_values_are_no_way_around_the_principal_s_limit() {
    story(async {
        let world = limited().start().await;
        loop {
            let began = minute();
            let token = world.token(&World::user("ann")).jwt();
            let mut admitted = 0;
            let mut last = None;
            for number in 0..250 {
                let get = world.gateway.get("/by-header/x").bearer(&token);
                let answer = get.header("X-Key", &number.to_string()).send().await;
                admitted += usize::from(answer.status == 200);
                last = Some(answer);
            }
            let reached = world.upstream.take_requests().len();
            if began == minute() {
                last.unwrap().refused(429, "principal_limited");
                assert_eq!((admitted, reached), (100, 100));
                world.saw_nothing();
                return;
            }
        }
    });
}

#[test]
fn a_rule_s_own_limit_refuses_under_the_name_of_what_it_counts() {
    story(async {
        let world = limited().start().await;
        for (path, allowed, reason) in [
            ("/by-header/x", 5, "principal_limited"),
            ("/by-principal/x", 3, "principal_limited"),
            ("/by-address/x", 3, "client_limited"),
            ("/signed-in/x", 3, "client_limited"),
            // In place of the 100 that principals have elsewhere.
            ("/generous/x", 120, "principal_limited"),
        ] {
            loop {
                let began = minute();
                world.gateway.change_client();
                let token = world.token(&World::user("ann")).jwt();
                let key = World::user("key");
                let get = || world.gateway.get(path).bearer(&token).header("X-Key", &key).send();
                let first = get().await;
                let mut statuses = vec![first.status];
                for _ in 1..allowed {
                    statuses.push(get().await.status);
                }
                let next = get().await;
                let reached = world.upstream.take_requests().len();
                if began != minute() {
                    continue;
                }
                // The tighter of the two that apply.
                assert_eq!(first.number("x-ratelimit-limit"), allowed, "{path}");
                assert_eq!(first.number("x-ratelimit-remaining"), allowed - 1, "{path}");
                assert!(statuses.iter().all(|status| *status == 200), "{path}: {statuses:?}");
                next.refused(429, reason);
                assert_eq!(reached as u64, allowed, "{path}");
                world.saw_nothing();
                break;
            }
        }
    });
}

#[test]
fn refused_tokens_have_a_limit_and_a_reason_of_their_own() {
    story(async {
        let world = World::build().set("limits.failed_authentications.limit", 3).start().await;
        loop {
            let began = minute();
            world.gateway.change_client();
            let known = world.token(&World::user("known")).jwt();
            let get = |token: &str| world.gateway.get("/me/page").bearer(token).send();
            let before = get(&known).await;
            let expired = world.token("ann").claim("exp", 1).jwt();
            let mut refused = Vec::new();
            for _ in 0..4 {
                refused.push(get(&expired).await);
            }
            let unknown = get(&world.token(&World::user("unknown")).jwt()).await;
            let after = get(&known).await;
            let reached = world.upstream.take_requests().len();
            if began != minute() {
                continue;
            }
            before.is(200);
            for reply in &refused[..3] {
                reply.refused(401, "expired");
            }
            refused[3].refused(429, "too_many_failures");
            unknown.refused(429, "too_many_failures");
            // Whose token was verified before is not asked again.
            after.is(200);
            assert_eq!(reached, 2);
            break;
        }
    });
}
