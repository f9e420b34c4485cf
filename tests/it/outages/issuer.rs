//! The issuer is away, or what it serves makes no sense.

use auth_gateway::dev::issuer::{Algorithm, Fault};
use serde_json::json;

use super::is_admitted;
use crate::support::gateway::Gateway;
use crate::support::{Mint, SOON, World, eventually, story};

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
