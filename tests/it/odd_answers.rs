//! What a dependency says that is no answer decides nothing, and stops nobody else.

use auth_gateway::clock::{Clock, SystemClock};
use http::Method;
use serde_json::json;

use crate::support::recorder::Passage;
use crate::support::redis::{MovedClock, Redis};
use crate::support::world::{story_rules, with};
use crate::support::{Mint, SOON, World, eventually, story};

fn minute() -> u64 {
    SystemClock.now().unix_secs() / 60
}

const JSON: &str = "application/json";
const ALLOW: &str = r#"{"allowed":true,"resolution":""}"#;

#[test]
fn an_odd_answer_of_openfga_is_neither_an_allow_nor_a_deny() {
    story(async {
        let world = World::build()
            .recorded()
            .set("openfga.allow_ttl", "0s")
            .set("openfga.model_refresh", "1s")
            .start()
            .await;
        let token = world.token("ann").jwt();
        let get = |path: &str| world.gateway.get(path).bearer(&token).send();
        for (status, kind, body) in [
            (200, JSON, "[true]"),
            (200, JSON, ""),
            (200, JSON, "{}"),
            (200, JSON, r#"{"allowed":"true"}"#),
            (200, JSON, r#"{"allowed":1}"#),
            (200, JSON, r#"{"allowed":true,"allowed":true}"#),
            (200, JSON, r#"{"allowed":true"#),
            (200, "text/html", ALLOW),
            (200, "", ALLOW),
            (202, JSON, ALLOW),
            (203, JSON, ALLOW),
            (206, JSON, ALLOW),
            (226, JSON, ALLOW),
            (302, JSON, ALLOW),
            (403, JSON, r#"{"code":"forbidden","message":"no"}"#),
            (404, "text/html", "<h1>404</h1>"),
        ] {
            world.recorder().set(Passage::Answer(status, kind, body));
            let odd = get("/api/report").await;
            assert_eq!(odd.status, 503, "{status} {kind} {body}: {odd:?}");
            odd.refused(503, "authorization_unavailable");
            world.saw_nothing();
            get("/me/page").await.is(200);
            world.recorder().set(Passage::Open);
            eventually("the next answer counts", SOON, async || {
                (get("/api/report").await.status == 200).then_some(())
            })
            .await;
            world.upstream.take_requests();
        }
    });
}

#[test]
fn an_odd_answer_about_the_model_leaves_the_one_in_force() {
    story(async {
        let world = World::build().recorded().set("openfga.model_refresh", "1s").start().await;
        let token = world.token("ann").jwt();
        let details = async || world.gateway.admin(Method::GET, "/readyz").send().await.json();
        world.gateway.get("/api/report").bearer(&token).send().await.is(200);
        for (status, body) in [
            (200, r#"[{"id":"X","type_definitions":[]}]"#),
            (200, r#"{"authorization_models":{"id":"X"}}"#),
            (200, r#"{"authorization_models":[{"id":"","type_definitions":[]}]}"#),
            (200, r#"{"authorization_models":[{"id":"X"}]}"#),
            (203, r#"{"authorization_models":[{"id":"X","type_definitions":[]}]}"#),
        ] {
            world.recorder().set(Passage::Answer(status, JSON, body));
            eventually("it is told", SOON, async || {
                details().await["model_error"].is_string().then_some(())
            })
            .await;
            assert_eq!(details().await["model_known"], true, "{body}");
            world.recorder().set(Passage::Open);
            eventually("the look-up succeeds again", SOON, async || {
                details().await["model_error"].is_null().then_some(())
            })
            .await;
        }
        world.gateway.await_message("Failed to connect to OpenFGA").await;
        world.gateway.await_message("OpenFGA is reachable again").await;
        let bob = world.viewer("bob").await;
        world.gateway.get("/api/report").bearer(world.token(&bob)).send().await.is(200);
        let calls = world.recorder().calls();
        let checks = calls.iter().filter(|call| call.path.ends_with("/check"));
        assert!(checks.clone().count() >= 2);
        assert!(checks.clone().all(|call| call.body["authorization_model_id"] == *world.model));
    });
}

#[test]
fn an_openfga_that_refuses_us_is_an_outage_and_a_refused_question_is_none() {
    story(async {
        let lenient = json!([{"path": "/lenient/*path", "method": "GET", "feature": "report_viewer",
            "on_unavailable": "allow", "id": "lenient"}]);
        let world = World::build()
            .recorded()
            .set("openfga.model_refresh", "1h")
            .rules(with(story_rules(), lenient))
            .start()
            .await;
        let get = async || {
            let token = world.token(&World::user("cid")).jwt();
            world.gateway.get("/lenient/page").bearer(token).send().await
        };
        let refusal = r#"{"code":"some_code","message":"for a reason"}"#;
        for status in [400, 422] {
            world.recorder().set(Passage::Answer(status, JSON, refusal));
            let refused = get().await;
            assert_eq!(refused.status, 503, "{status}: {refused:?}");
            refused.refused(503, "authorization_unavailable");
            world.saw_nothing();
        }
        let line = world.gateway.await_message("OpenFGA refused a check").await;
        assert_eq!(line["rule"], "lenient");
        assert_eq!(line["cause"], "refused with 400 some_code: for a reason");
        assert_eq!(
            (&line["relation"], &line["object_type"]),
            (&json!("viewer"), &json!("feature"))
        );
        assert_eq!(world.gateway.count_messages("Failed to connect to OpenFGA"), 0);

        for status in [401, 403, 404, 408, 429] {
            world.recorder().set(Passage::Answer(status, JSON, refusal));
            let admitted = get().await;
            assert_eq!(admitted.status, 200, "{status}: {admitted:?}");
        }
        world.gateway.await_message("Failed to connect to OpenFGA").await;
    });
}

#[test]
fn checks_are_counted_as_they_are_sent() {
    story(async {
        let world = World::build().recorded().start().await;
        let token = world.token("ann").jwt();
        let counted = async || {
            let counted = world.gateway.metric("auth_gateway_checks_total", &[]).await;
            let arrived = u32::try_from(world.recorder().count("/check")).unwrap();
            (counted.unwrap(), f64::from(arrived))
        };
        world.recorder().set(Passage::Hang);
        let get = || world.gateway.get("/api/report").bearer(&token).send();
        let together = futures::future::join_all((0..30).map(|_| get()));
        let release = async {
            eventually("all wait", SOON, async || {
                let waiting = world.gateway.metric("auth_gateway_requests_in_flight", &[]).await;
                (waiting >= Some(30.0) && world.recorder().count("/check") == 1).then_some(())
            })
            .await;
            world.recorder().set(Passage::Open);
        };
        let (answers, ()) = tokio::join!(together, release);
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        assert_eq!(counted().await, (1.0, 1.0));

        world.recorder().set(Passage::Status(500));
        world.upstream.take_requests();
        for _ in 0..20 {
            let token = world.token(&World::user("bob")).jwt();
            let refused = world.gateway.get("/api/report").bearer(token).send().await;
            refused.refused(503, "authorization_unavailable");
        }
        world.saw_nothing();
        let (checks, arrived) = counted().await;
        assert!((checks - arrived).abs() < f64::EPSILON, "{checks} {arrived}");
        assert!(checks < 21.0, "an open breaker sends nothing, and counts nothing: {checks}");
    });
}

#[test]
fn what_is_held_in_memory_is_a_metric() {
    story(async {
        let world = World::build().set("limiter.max_keys", 1_000).start().await;
        let token = world.token("ann").jwt();
        world.gateway.get("/api/report").bearer(token).send().await.is(200);
        let gauge = async |name: &str| world.gateway.metric(name, &[]).await.unwrap();
        eventually("gauges follow", SOON, async || {
            let decisions = gauge("auth_gateway_decisions_cached").await;
            let keys = gauge("auth_gateway_limiter_keys").await;
            // The client's address and the principal.
            (decisions >= 1.0 && keys >= 2.0).then_some(())
        })
        .await;
        assert!(gauge("auth_gateway_limits_in_overflow").await.abs() < f64::EPSILON);
    });
}

/// Everything that the gateways keep in Redis becomes something else.
const SPOIL: &str = "EVAL \"for _,k in ipairs(redis.call('keys','ag:*')) do redis.call('del',k) \
     redis.call('set',k,'odd') end return 1\" 0";

#[test]
fn what_is_spoilt_in_redis_costs_its_own_key_only() {
    story(async {
        let world = World::build().env("PRINCIPAL_LIMIT", "200").start().await;
        let second = world.another_gateway().await;
        eventually("the gateways know each other", SOON, async || {
            let replicas = world.gateway.metric("auth_gateway_replicas", &[]).await;
            (replicas == Some(2.0)).then_some(())
        })
        .await;
        let ann = world.token(&World::user("ann")).jwt();
        let get = async |token: &str| world.gateway.get("/me/page").bearer(token).send().await;
        eventually("an odd answer is counted", SOON, async || {
            get(&ann).await;
            assert_eq!(world.redis().command(SPOIL).await.as_deref(), Some(":1"));
            let odd = world.gateway.metric("auth_gateway_redis_odd_answers_total", &[]).await;
            (odd > Some(0.0)).then_some(())
        })
        .await;
        let line = world.gateway.await_message("an answer of Redis cannot be read").await;
        assert!(line["key"].as_str().is_some_and(|key| key.starts_with("ag:v1:")), "{line}");

        let bob = world.token(&World::user("bob")).jwt();
        for _ in 0..200 {
            get(&bob).await;
        }
        eventually("the second gateway knows", SOON, async || {
            let answer = second.get("/me/page").bearer(&bob).send().await;
            (answer.status == 429).then_some(())
        })
        .await;
        for gateway in [&world.gateway, &second] {
            assert_eq!(gateway.count_messages("Rate limiting skipped"), 0);
            assert_eq!(gateway.metric("auth_gateway_redis_connected", &[]).await, Some(1.0));
        }
    });
}

#[test]
fn a_clock_of_redis_that_jumps_gives_nobody_a_fresh_window() {
    story(async {
        let redis = Redis::start().await;
        let clock = MovedClock::before(&redis).await;
        let world = World::build()
            .without_redis()
            .env("REDIS_URL", &clock.url())
            .env("PRINCIPAL_LIMIT", "5")
            .start()
            .await;
        let jumps = async || {
            let jumps = world.gateway.metric("auth_gateway_redis_clock_jumps_total", &[]).await;
            jumps.unwrap_or(0.0)
        };
        eventually("Redis is found", SOON, async || {
            let connected = world.gateway.metric("auth_gateway_redis_connected", &[]).await;
            (connected == Some(1.0)).then_some(())
        })
        .await;
        // What is left of a minute may be too short for both halves of the story.
        for hours in [1, -1, 2, -2, 3, -3] {
            let began = minute();
            let token = world.token(&World::user("ann")).jwt();
            let get = || world.gateway.get("/me/page").bearer(&token).send();
            while get().await.status == 200 {}
            world.upstream.take_requests();
            let before = jumps().await;
            clock.set_ahead(hours * 3_600);
            eventually("the jump is counted", SOON, async || {
                (jumps().await > before).then_some(())
            })
            .await;
            let after = get().await;
            if began == minute() {
                after.refused(429, "principal_limited");
                world.saw_nothing();
                let line = world.gateway.await_message("the clock of Redis has jumped").await;
                assert_eq!(line["level"], "WARN");
                assert_eq!(world.gateway.count_messages("Rate limiting skipped"), 0);
                return;
            }
        }
        panic!("no half of a minute was long enough");
    });
}
