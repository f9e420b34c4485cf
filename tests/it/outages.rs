//! An outage never looks like a policy, and ends when its cause does.

use std::sync::Arc;
use std::time::Duration;

use auth_gateway::dev::issuer::{Algorithm, Fault};
use http::Method;
use serde_json::json;

use crate::support::gateway::Gateway;
use crate::support::recorder::Passage;
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::upstream::Answer;
use crate::support::world::{story_rules, with};
use crate::support::{Mint, SOON, World, eventually, story};

/// What is promised is two seconds; the third is for a busy machine.
const RECOVERY: Duration = Duration::from_secs(3);

async fn is_admitted(gateway: &Gateway, token: &str) {
    eventually("the report is served", RECOVERY, async || {
        (gateway.get("/api/report").bearer(token).send().await.status == 200).then_some(())
    })
    .await;
}

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

#[test]
fn an_issuer_that_is_down_at_the_start_delays_protected_routes_only() {
    story(async {
        let world = World::build();
        let services = world.services().await;
        let token = services.issuer.token("ann").jwt();
        services.issuer.down().await;
        let gateway = Gateway::launch(&world.plan(&services)).await;

        assert_eq!(gateway.get("/health").send().await.status, 503);
        let refused = gateway.get("/api/report").bearer(&token).send().await;
        refused.refused(503, "keys_unavailable");
        gateway.get("/api/report").send().await.refused(401, "missing_token");
        services.upstream.saw_nothing();
        gateway.get("/public/page").send().await.is(200);
        let details = gateway.admin(reqwest::Method::GET, "/readyz").send().await;
        assert_eq!(details.status, 503, "{details:?}");
        let line = gateway.await_message("failed to load keys").await;
        let cause = line["cause"].as_str().unwrap_or_default();
        assert!(cause.contains("/.well-known/") && cause.contains("refused"), "{line}");
        assert!(line["hint"].as_str().is_some_and(|h| h.contains("every second")), "{line}");

        services.issuer.up().await.unwrap();
        is_admitted(&gateway, &token).await;
        assert_eq!(gateway.get("/health").send().await.is(200).text(), "OK");
    });
}

#[test]
fn a_broken_key_set_is_no_key_set() {
    story(async {
        let world = World::build();
        let services = world.services().await;
        let token = services.issuer.token("ann").jwt();
        for fault in [Fault::Status(500), Fault::Html, Fault::EmptyKeySet, Fault::WrongIssuer] {
            services.issuer.set_fault(fault);
            let gateway = Gateway::launch(&world.plan(&services)).await;
            let seen = services.issuer.hits();
            eventually("the issuer is asked again", SOON, async || {
                (services.issuer.hits() != seen).then_some(())
            })
            .await;
            let refused = gateway.get("/api/report").bearer(&token).send().await;
            assert_eq!(refused.status, 503, "{fault:?}: {refused:?}");
            refused.refused(503, "keys_unavailable");
        }
        services.upstream.saw_nothing();
    });
}

#[test]
fn known_keys_outlive_an_outage_of_the_issuer() {
    story(async {
        let world = World::start().await;
        let viewers = [world.viewer("ann").await, world.viewer("bob").await];
        for fault in [Fault::Html, Fault::EmptyKeySet, Fault::Status(502)] {
            world.issuer.set_fault(fault);
            // An unknown kid makes the gateway ask, and get nothing it can use: it cannot tell, or it
            // has asked just now.
            let odd = world.token("ann").kid("unknown");
            let refused = world.gateway.get("/api/report").bearer(odd).send().await;
            match refused.status {
                503 => refused.refused(503, "keys_unavailable"),
                _ => refused.refused(401, "unknown_key"),
            };
            for user in &viewers {
                world.gateway.get("/api/report").bearer(world.token(user)).send().await.is(200);
            }
        }
        world.issuer.down().await;
        world.gateway.get("/api/report").bearer(world.token(&viewers[0])).send().await.is(200);
    });
}

#[test]
fn keys_that_have_grown_too_old_are_no_longer_reported_as_loaded() {
    story(async {
        let issuer = serde_yaml::to_value(json!([{"url": "${ZITADEL_ISSUER_URL}",
            "audience": "any", "refresh_keys": "1s", "keep_keys": "2s"}]));
        let world = World::build().set("issuers", issuer.unwrap()).start().await;
        let reported = async || {
            let details = world.gateway.admin(reqwest::Method::GET, "/readyz").send().await;
            let gauge = world.gateway.metric("auth_gateway_keys_loaded", &[]).await;
            (details.status, details.json()["keys_loaded"].as_bool(), gauge)
        };
        let follows = async |expected| {
            eventually("probes and metrics follow", SOON, async || {
                (reported().await == expected).then_some(())
            })
            .await;
        };
        follows((200, Some(true), Some(1.0))).await;
        world.issuer.down().await;
        follows((503, Some(false), Some(0.0))).await;
        assert_eq!(world.gateway.get("/health").send().await.status, 200);
        world.issuer.up().await.unwrap();
        follows((200, Some(true), Some(1.0))).await;
    });
}

#[test]
fn opaque_tokens_need_the_issuer_and_say_so() {
    story(async {
        let world = World::start().await;
        let get = |token: &str| world.gateway.get("/api/report").bearer(token).send();
        let (known, new) = (world.token("ann").opaque_token(), world.token("ann").opaque_token());
        get(&known).await.is(200);
        world.upstream.take_requests();

        world.issuer.set_fault(Fault::Status(500));
        get(&new).await.refused(503, "introspection_unavailable");
        world.issuer.set_fault(Fault::Html);
        get(&new).await.refused(503, "introspection_unavailable");
        world.issuer.set_fault(Fault::Hang);
        get(&new).await.refused(503, "introspection_unavailable");
        world.saw_nothing();
        get(&known).await.is(200);

        world.issuer.set_fault(Fault::None);
        is_admitted(&world.gateway, &new).await;
    });
}

#[test]
fn an_unknown_key_is_looked_for_once() {
    story(async {
        let world = World::start().await;
        let before = world.issuer.hits().keys;
        let kid = world.issuer.publish_key(Algorithm::Es256).unwrap();
        assert!(world.issuer.activate_key(&kid));
        // The first request with a new key finds it, without a wait for the background refresh.
        world.gateway.get("/api/report").bearer(world.token("ann")).send().await.is(200);
        assert_eq!(world.issuer.hits().keys, before + 1);
        world.upstream.take_requests();

        let flood = (0..30).map(|number| {
            let token = world.token("ann").kid(&format!("made-up-{number}"));
            world.gateway.get("/api/report").bearer(token).send()
        });
        for answer in futures::future::join_all(flood).await {
            answer.refused(401, "unknown_key");
        }
        assert!(world.issuer.hits().keys <= before + 2, "{:?}", world.issuer.hits());
        world.saw_nothing();
    });
}

#[test]
fn keys_rotate_without_a_failed_request() {
    story(async {
        let world = World::build().env("PRINCIPAL_LIMIT", "100000").start().await;
        let ask = async |count: usize| {
            let requests = (0..count)
                .map(|_| world.gateway.get("/api/report").bearer(world.token("ann")).send());
            for answer in futures::future::join_all(requests).await {
                answer.is(200);
            }
        };
        ask(20).await;
        let old = world.token("ann").jwt();
        let first = world.issuer.active_kid().unwrap();
        let next = world.issuer.publish_key(Algorithm::Rs512).unwrap();
        ask(20).await;
        world.issuer.activate_key(&next);
        ask(20).await;
        world.gateway.get("/api/report").bearer(&old).send().await.is(200);
        world.issuer.remove_key(&first);
        ask(20).await;
    });
}

#[test]
fn every_algorithm_of_the_issuer_is_verified() {
    story(async {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Rs384, Rs512};
        let world = World::start().await;
        // All at once: an unknown kid is looked for once in five seconds.
        let algorithms = [Rs384, Rs512, Ps256, Es256, Es384, EdDsa];
        for algorithm in algorithms {
            world.issuer.publish_key(algorithm).unwrap();
        }
        for algorithm in algorithms {
            let token = world.token("ann").alg(algorithm);
            let answer = world.gateway.get("/api/report").bearer(token).send().await;
            assert_eq!(answer.status, 200, "{algorithm:?}: {answer:?}");
        }
    });
}

/// Sends until the limit of five speaks; all before it are served.
async fn limit_of_five_holds(world: &World, user: &str) {
    let token = world.token(user).jwt();
    let mut statuses = Vec::new();
    for _ in 0..11 {
        statuses.push(world.gateway.get("/me/page").bearer(&token).send().await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
}

#[test]
fn limits_go_on_without_redis_from_the_start() {
    story(async {
        let redis = Redis::not_started();
        let limit = World::build().without_redis().env("PRINCIPAL_LIMIT", "5");
        let world = limit.env("REDIS_URL", &redis.url()).start().await;
        limit_of_five_holds(&world, "ann").await;
        world.gateway.await_message("Rate limiting skipped").await;
        assert_eq!(world.gateway.metric("auth_gateway_redis_connected", &[]).await, Some(0.0));

        redis.up().await;
        eventually("Redis is found", SOON, async || {
            let connected = world.gateway.metric("auth_gateway_redis_connected", &[]).await;
            (connected == Some(1.0)).then_some(())
        })
        .await;
        limit_of_five_holds(&world, "bob").await;
        assert_eq!(world.gateway.count_messages("Rate limiting skipped"), 1);
    });
}

#[test]
fn limits_go_on_while_redis_is_away() {
    story(async {
        let world = World::build().env("PRINCIPAL_LIMIT", "5").start().await;
        let connected = async |wanted: f64| {
            eventually("the gauge follows", SOON, async || {
                let now = world.gateway.metric("auth_gateway_redis_connected", &[]).await;
                (now == Some(wanted)).then_some(())
            })
            .await;
        };
        connected(1.0).await;
        limit_of_five_holds(&world, "ann").await;
        world.redis().down();
        limit_of_five_holds(&world, "bob").await;
        connected(0.0).await;
        limit_of_five_holds(&world, "cid").await;
        assert_eq!(world.gateway.count_messages("Rate limiting skipped"), 1);
        world.redis().up().await;
        connected(1.0).await;
        limit_of_five_holds(&world, "dan").await;

        world.redis().freeze();
        limit_of_five_holds(&world, "eve").await;
        connected(0.0).await;
        world.redis().thaw();
        connected(1.0).await;
    });
}

#[test]
fn two_gateways_share_a_limit() {
    story(async {
        let world = World::build().env("PRINCIPAL_LIMIT", "200").start().await;
        let second = world.another_gateway().await;
        let token = world.token("ann").jwt();
        for _ in 0..200 {
            world.gateway.get("/me/page").bearer(&token).send().await;
        }
        // Counts travel in the background; the other gateway has admitted none of its own yet.
        eventually("the second gateway knows", SOON, async || {
            let answer = second.get("/me/page").bearer(&token).send().await;
            (answer.status == 429).then_some(())
        })
        .await;
        let admitted = world.upstream.take_requests().len();
        // Alone it would have admitted 200 more.
        assert!((200..400).contains(&admitted), "{admitted}");
    });
}

#[test]
fn an_upstream_that_is_down_is_a_502() {
    story(async {
        let world = World::start().await;
        world.upstream.down().await;
        world.gateway.get("/public/page").send().await.refused(502, "upstream_failed");
        world.upstream.up().await;
        world.gateway.get("/public/page").send().await.is(200);
        world.upstream.take_requests();

        world.upstream.answer(Answer::AbortAtOnce);
        let posted = world.gateway.post("/public/page").body("once").send().await;
        posted.refused(502, "upstream_failed");
        // A request that may have had an effect is not repeated.
        assert_eq!(world.upstream.take_requests().len(), 1);
    });
}

#[test]
fn a_repeated_body_counts_once_against_the_limit() {
    story(async {
        let world = World::build().set("server.max_body_bytes", 40_000).start().await;
        world.gateway.get("/public/page").send().await.is(200);
        world.upstream.take_requests();

        world.upstream.answer(Answer::AbortAtOnce);
        let body = vec![b'x'; 30_000];
        let put = world.gateway.request(Method::PUT, "/public/page").body(body.clone());
        put.send().await.refused(502, "upstream_failed");
        let seen = world.upstream.take_requests();
        assert_eq!(seen.len(), 2, "once on the kept connection, once on a new one");
        assert!(seen.iter().all(|request| request.body == body));
    });
}

#[test]
fn a_body_that_breaks_off_never_looks_complete() {
    story(async {
        let world = World::lease().await;
        world.upstream.answer(Answer::AbortMidBody);
        assert!(world.gateway.get("/public/page").try_send().await.is_err());
    });
}

#[test]
fn an_upstream_that_is_slow_is_a_504() {
    story(async {
        let slow = json!([{"path": "/slow/*path", "method": "*", "feature": "public_access",
            "timeout": "300ms"}]);
        let world = World::build().rules(with(story_rules(), slow)).start().await;
        world.upstream.hold();
        let answer: Reply = world.gateway.get("/slow/page").send().await;
        answer.refused(504, "upstream_timeout");
        world.upstream.release();
        world.gateway.get("/slow/page").send().await.is(200);
    });
}

#[test]
fn no_upgrade_header_buys_time() {
    story(async {
        let slow = json!([{"path": "/slow/*path", "method": "*", "feature": "public_access",
            "timeout": "300ms"}]);
        let world = World::build().rules(with(story_rules(), slow)).start().await;
        world.upstream.hold();
        let key = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        for headers in [
            &[("Connection", "Upgrade"), ("Upgrade", "x")][..],
            &[("Connection", "Upgrade"), ("Upgrade", "websocket"), key][..],
        ] {
            let mut wire = world.gateway.connect().await;
            wire.send(world.gateway.bytes("GET", "/slow/page", headers)).await;
            wire.reply("GET").await.unwrap().refused(504, "upstream_timeout");
        }
        world.upstream.release();
        // Nor does an answer that begins, and is no tunnel.
        let (chunks, body) = tokio::sync::mpsc::unbounded_channel();
        chunks.send(b"begun".to_vec()).unwrap();
        world.upstream.answer(Answer::Chunks(Arc::new(tokio::sync::Mutex::new(body))));
        let websocket = [("Connection", "Upgrade"), ("Upgrade", "websocket"), key];
        let mut wire = world.gateway.connect().await;
        wire.send(world.gateway.bytes("GET", "/slow/page", &websocket)).await;
        let cut = tokio::time::timeout(SOON, wire.rest()).await.expect("the answer is cut");
        assert!(!cut.ends_with(b"0\r\n\r\n"), "{}", cut.escape_ascii());
    });
}
