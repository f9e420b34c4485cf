//! Opaque tokens stand for what the issuer's answer says, and for nothing while it gives none.

use auth_gateway::dev::issuer::TokenBuilder;
use futures::StreamExt as _;
use futures::stream;
use serde_json::{Value, json};

use crate::support::gateway::{Gateway, Plan};
use crate::support::process::resident_bytes;
use crate::support::recorder::{Passage, Recorder};
use crate::support::reply::Reply;
use crate::support::world::{Builder, Services};
use crate::support::{Mint, SOON, World, eventually, story};

const JSON: &str = "application/json";

/// Everything but the gateway, with a recorder before the issuer.
struct Cast {
    services: Services,
    issuer: Recorder,
    plan: Plan,
}

impl Cast {
    async fn of(world: &Builder) -> Self {
        let services = world.services().await;
        let issuer = Recorder::start(services.issuer.url()).await;
        let settings = json!([{
            "url": "${ZITADEL_ISSUER_URL}",
            "discovery_url": format!("{}/.well-known/openid-configuration", issuer.url()),
            "audience": "${ZITADEL_AUDIENCE}",
            "introspection": {
                "client_id": "${ZITADEL_CLIENT_ID}",
                "client_secret": "${ZITADEL_CLIENT_SECRET}",
                "timeout": "5s",
            },
        }]);
        let plan = world.plan(&services).set("issuers", serde_yaml::to_value(settings).unwrap());
        Self { services, issuer, plan }
    }

    fn token(&self) -> TokenBuilder {
        self.services.issuer.token("ann")
    }

    /// The answer about a token of ann's, as the issuer would give it.
    fn active(&self) -> Value {
        let audience = &self.services.issuer.settings().project;
        json!({"active": true, "sub": "ann", "aud": [audience], "token_type": "Bearer"})
    }
}

async fn get(gateway: &Gateway, token: &str) -> Reply {
    gateway.get("/me/page").bearer(token).send().await
}

fn fixed(text: String) -> &'static str {
    String::leak(text)
}

#[test]
fn an_odd_answer_about_a_token_lets_nobody_in_and_stops_nobody_else() {
    story(async {
        let cast = Cast::of(&World::build().without_redis()).await;
        let gateway = Gateway::start(&cast.plan).await;
        let known = cast.token().opaque_token();
        get(&gateway, &known).await.is(200);
        cast.services.upstream.take_requests();
        let active = fixed(cast.active().to_string());
        for (status, kind, body) in [
            (200, "text/html", "<!doctype html><title>Sign in</title>"),
            (200, "text/html", active),
            (200, "application/token-introspection+jwt", active),
            (202, JSON, active),
            (203, JSON, active),
            (206, JSON, active),
            (226, JSON, active),
            (302, JSON, active),
            (401, JSON, active),
            (404, JSON, active),
            (408, JSON, active),
            (429, JSON, active),
            (500, JSON, active),
        ] {
            let new = cast.token().opaque_token();
            cast.issuer.set(Passage::Answer(status, kind, body));
            let odd = get(&gateway, &new).await;
            assert_eq!(odd.status, 503, "{status} {kind} {body:.60}: {odd:?}");
            odd.refused(503, "introspection_unavailable");
            cast.services.upstream.saw_nothing();
            get(&gateway, &known).await.is(200);
            get(&gateway, &cast.token().jwt()).await.is(200);
            cast.issuer.set(Passage::Open);
            get(&gateway, &new).await.is(200);
            cast.services.upstream.take_requests();
        }
    });
}

#[test]
fn tokens_whose_answers_cannot_be_read_are_refused_and_stop_nobody_else() {
    story(async {
        let cast = Cast::of(&World::build().without_redis()).await;
        let gateway = Gateway::start(&cast.plan).await;
        let active = fixed(cast.active().to_string());
        let huge = fixed(format!(r#"{{"active":true,"sub":"ann","x":"{}"}}"#, "x".repeat(70_000)));
        for (status, body) in [
            (200, ""),
            (200, "[]"),
            (200, fixed(format!("[{active}]"))),
            (200, fixed(active.replace('}', ""))),
            (200, r#"{"active":"true","sub":"ann"}"#),
            (200, r#"{"active":false,"active":true,"sub":"ann"}"#),
            (200, huge),
            (400, active),
            (422, active),
        ] {
            let odd: Vec<_> = (0..6).map(|_| cast.token().opaque_token()).collect();
            cast.issuer.set(Passage::Answer(status, JSON, body));
            let before = cast.issuer.count("/introspect");
            for token in odd.iter().chain(&odd) {
                let refused = get(&gateway, token).await;
                assert_eq!(refused.status, 503, "{status} {body:.60}: {refused:?}");
                refused.refused(503, "introspection_unavailable");
            }
            cast.services.upstream.saw_nothing();
            let asked = cast.issuer.count("/introspect") - before;
            assert!((6..=12).contains(&asked), "{asked} times: {status} {body:.60}");
            cast.issuer.set(Passage::Open);
            get(&gateway, &cast.token().opaque_token()).await.is(200);
            cast.services.upstream.take_requests();
        }
        let told = gateway.count_messages("introspection failed");
        assert!((1..54).contains(&told), "{told} lines for 54 tokens");
    });
}

#[test]
fn an_odd_document_of_the_issuer_is_no_key_and_stops_no_public_route() {
    story(async {
        let cast = Cast::of(&World::build().without_redis()).await;
        let token = cast.token().jwt();
        let key_set = fixed(cast.services.issuer.key_set().to_string());
        cast.issuer.set(Passage::Hang);
        let gateway = Gateway::launch(&cast.plan).await;
        for (status, kind, body) in [
            (200, JSON, ""),
            (200, JSON, "null"),
            (200, JSON, fixed(format!("[{key_set}]"))),
            (200, JSON, key_set),
            (200, JSON, fixed(format!("{}{key_set}", " ".repeat(300_000)))),
            (200, "text/html", "<!doctype html><title>Sign in</title>"),
            (203, JSON, key_set),
            (302, JSON, key_set),
            (404, JSON, key_set),
            (500, JSON, key_set),
        ] {
            let before = cast.issuer.calls().len();
            cast.issuer.set(Passage::Answer(status, kind, body));
            eventually("the issuer is asked again", SOON, async || {
                (cast.issuer.calls().len() > before + 1).then_some(())
            })
            .await;
            let refused = get(&gateway, &token).await;
            assert_eq!(refused.status, 503, "{status} {kind} {body:.60}: {refused:?}");
            refused.refused(503, "keys_unavailable");
            cast.services.upstream.saw_nothing();
            gateway.get("/public/page").send().await.is(200);
            cast.services.upstream.take_requests();
        }
        cast.issuer.set(Passage::Open);
        gateway.ready().await;
        get(&gateway, &token).await.is(200);
    });
}

#[test]
fn an_endpoint_that_refuses_our_client_is_told_as_that_once_and_so_is_its_end() {
    story(async {
        let cast = Cast::of(&World::build().without_redis()).await;
        let gateway = Gateway::start(&cast.plan).await;
        cast.issuer.set(Passage::Answer(401, JSON, r#"{"error":"invalid_client"}"#));
        for _ in 0..20 {
            let refused = get(&gateway, &cast.token().opaque_token()).await;
            refused.refused(503, "introspection_unavailable");
        }
        cast.services.upstream.saw_nothing();
        assert_eq!(cast.issuer.count("/introspect"), 5, "the breaker is open");
        let line = gateway.await_message("introspection failed").await;
        assert_eq!(line["issuer"], cast.services.issuer.url());
        assert_eq!(line["cause"], "the endpoint refuses our client id and secret, with 401");
        let hint = line["hint"].as_str().unwrap();
        assert!(hint.contains("ZITADEL_CLIENT_ID and ZITADEL_CLIENT_SECRET"), "{hint}");

        cast.issuer.set(Passage::Open);
        let token = cast.token().opaque_token();
        eventually("opaque tokens are accepted again", SOON, async || {
            (get(&gateway, &token).await.status == 200).then_some(())
        })
        .await;
        gateway.await_message("introspection works again").await;
        assert_eq!(gateway.count_messages("introspection works again"), 1);
        let told = gateway.count_messages("introspection failed");
        assert!((1..=2).contains(&told), "{told} lines for 20 requests");
    });
}

#[test]
fn a_key_file_as_it_was_downloaded_stands_in_for_the_secret() {
    story(async {
        let world = World::build().without_redis();
        let services = world.services().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("78366403256846242.json");
        let key = services.issuer.client_key().unwrap();
        std::fs::write(&file, key.to_string()).unwrap();
        let plan = world
            .plan(&services)
            .env("ZITADEL_KEY_FILE", file.to_str().unwrap())
            .without_env("ZITADEL_CLIENT_ID")
            .without_env("ZITADEL_CLIENT_SECRET");
        let gateway = Gateway::start(&plan).await;
        for _ in 0..5 {
            get(&gateway, &services.issuer.token("ann").opaque_token()).await.is(200);
        }
        services.upstream.take_requests();
        assert_eq!(services.issuer.hits().assertions, 1);

        services.issuer.remove_client_keys();
        let unknown = get(&gateway, &services.issuer.token("ann").opaque_token()).await;
        unknown.refused(503, "introspection_unavailable");
        services.upstream.saw_nothing();
        let line = gateway.await_message("introspection failed").await;
        assert_eq!(line["cause"], "the endpoint refuses our client and its key, with 401");
        assert!(line["hint"].as_str().unwrap().contains("ZITADEL_KEY_FILE"), "{line}");
        let pem = key["key"].as_str().unwrap().lines().nth(1).unwrap();
        assert!(!gateway.output().contains(pem), "the key was written");

        let mut users = key.clone();
        users["type"] = json!("serviceaccount");
        std::fs::write(&file, users.to_string()).unwrap();
        let (status, said) = plan.check().await;
        assert_eq!(status.code(), Some(78), "{said}");
        assert!(said.contains("issuers[0].introspection.key_file"), "{said}");
        assert!(said.contains(file.to_str().unwrap()), "{said}");
        assert!(said.contains("is the key of a service account"), "{said}");
        assert!(!said.contains(pem), "the key was printed");
    });
}

#[test]
fn an_issuer_that_is_slow_is_no_fault_of_the_client() {
    story(async {
        let cast = Cast::of(&World::build().without_redis()).await;
        let gateway = Gateway::start(&cast.plan).await;
        let known = cast.token().jwt();
        get(&gateway, &known).await.is(200);
        cast.services.upstream.take_requests();
        cast.issuer.set(Passage::Hang);
        let tokens: Vec<_> = (0..64).map(|_| cast.token().opaque_token()).collect();
        let waiting = futures::future::join_all(tokens.iter().map(|token| get(&gateway, token)));
        let others = async {
            eventually("64 tokens are asked about", SOON, async || {
                (cast.issuer.count("/introspect") == 64).then_some(())
            })
            .await;
            let one_more = get(&gateway, &cast.token().opaque_token()).await;
            assert_eq!(one_more.refused(503, "overloaded").number("retry-after"), 1);
            cast.services.upstream.saw_nothing();
            get(&gateway, &known).await.is(200);
            cast.services.upstream.take_requests();
            cast.issuer.set(Passage::Open);
        };
        let (answers, ()) = tokio::join!(waiting, others);
        for answer in answers {
            answer.is(200);
        }
    });
}

#[test]
fn a_caller_over_the_limit_does_not_make_the_issuer_work() {
    story(async {
        let world = World::build().without_redis().set("limits.principal.limit", 1);
        let world = world.set("limits.principal.window", "1h").start().await;
        let [first, second] = [(); 2].map(|()| world.token("ann").opaque_token());
        get(&world.gateway, &first).await.is(200);
        world.upstream.take_requests();
        for _ in 0..5 {
            for token in [&first, &second] {
                get(&world.gateway, token).await.refused(429, "principal_limited");
            }
        }
        world.saw_nothing();
        assert_eq!(world.issuer.hits().introspection, 2);
    });
}

#[test]
fn what_is_over_is_forgotten_without_another_request() {
    story(async {
        let issuers = json!([{
            "url": "${ZITADEL_ISSUER_URL}",
            "audience": "${ZITADEL_AUDIENCE}",
            "introspection": {
                "client_id": "${ZITADEL_CLIENT_ID}",
                "client_secret": "${ZITADEL_CLIENT_SECRET}",
                "cache_ttl": "2s",
            },
        }]);
        let world = World::build().without_redis().set("openfga.allow_ttl", "2s");
        let world = world.set("issuers", serde_yaml::to_value(issuers).unwrap()).start().await;
        let token = world.token("ann").opaque_token();
        let remembered = async || {
            let gauge = async |name| world.gateway.metric(name, &[]).await.unwrap();
            let tokens = gauge("auth_gateway_tokens_cached").await;
            tokens + gauge("auth_gateway_decisions_cached").await
        };
        eventually("both are remembered", SOON, async || {
            world.gateway.get("/api/report").bearer(&token).send().await.is(200);
            (remembered().await > 1.5).then_some(())
        })
        .await;
        // The sweep comes every ten seconds.
        eventually("both are forgotten", SOON * 4, async || {
            (remembered().await < 0.5).then_some(())
        })
        .await;
    });
}

#[test]
fn tokens_that_stand_for_much_do_not_outgrow_their_bound() {
    const MIB: u64 = 1 << 20;
    const TOKENS: usize = 3_000;
    story(async {
        // Half of the tokens are let in, the other half is 429.
        let world = World::build()
            .without_redis()
            .set("limits.client.limit", 1_000_000)
            .set("limits.principal.limit", TOKENS)
            .set("limits.principal.window", "1h");
        let cast = Cast::of(&world).await;
        let gateway = Gateway::start(&cast.plan).await;
        let mut answer = cast.active();
        let scopes = (0..1_500).map(|n| format!("urn:zitadel:iam:org:project:id:{n:05}:aud"));
        answer["scope"] = json!(scopes.collect::<Vec<_>>().join(" "));
        let answer = fixed(answer.to_string());
        assert!((60_000..64_000).contains(&answer.len()), "{}", answer.len());
        cast.issuer.set(Passage::Answer(200, JSON, answer));
        let resident = || resident_bytes(gateway.pid());
        let base = resident();
        for (round, expected) in [("admitted", 200), ("limited", 429)] {
            let tokens = (0..TOKENS).map(|number| format!("{round}-{number:08}"));
            let answers =
                stream::iter(tokens).map(async |token| get(&gateway, &token).await.status);
            let mut answers = answers.buffer_unordered(8);
            let mut most = 0;
            while let Some(status) = answers.next().await {
                assert_eq!(status, expected, "{round}");
                most = most.max(resident());
            }
            let grown = (most - base) / MIB;
            // 64 MiB are what the tokens may hold, the rest is the allocator's.
            assert!(grown * 100 <= 64 * 135, "{round}: from {} by {grown} MiB", base / MIB);
        }
    });
}
