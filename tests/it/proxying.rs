//! What reaches an upstream, and what comes back.

use serde_json::json;

use crate::support::process::free_port;
use crate::support::upstream::Answer;
use crate::support::{Mint, World, issuer, story};

#[test]
fn an_upstream_is_told_who_asks_from_where() {
    story(async {
        let world = World::lease().await;
        let user = world.viewer("ann").await;
        let client = world.gateway.client_address().to_string();
        let bearer = format!("Bearer {}", world.token(&user).jwt());
        let request = world.gateway.bytes(
            "GET",
            "/api/report",
            &[
                ("Authorization", &bearer),
                ("X-Forwarded-For", "203.0.113.9"),
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "evil.example"),
                ("X-Real-IP", "203.0.113.9"),
                ("X-Original-URL", "/admin"),
                ("X_Rewrite_URL", "/admin"),
                ("X-HTTP-Method-Override", "DELETE"),
                ("X-Request-ID", "chosen-by-the-client"),
                ("Cookie", "a=b"),
                ("X-Custom", "kept"),
            ],
        );
        let answer = world.gateway.raw(request).await.unwrap();
        answer.is(200);
        let seen = world.upstream.only_request();
        assert_eq!(seen.headers_named("x-user-id"), [user.as_str()]);
        assert_eq!(seen.aliases("x-forwarded-for"), [("x-forwarded-for".into(), client)]);
        assert_eq!(seen.headers_named("x-forwarded-proto"), ["http"]);
        assert_eq!(seen.headers_named("x-forwarded-host"), [world.gateway.authority()]);
        assert_eq!(seen.headers_named("host"), [world.gateway.authority()]);
        assert!(seen.header("via").is_some_and(|via| via.contains("auth-gateway")), "{seen:?}");
        assert_eq!(seen.headers_named("x-request-id"), [answer.header("x-request-id")]);
        assert_ne!(answer.header("x-request-id"), "chosen-by-the-client");
        for name in [
            "authorization",
            "x-real-ip",
            "x-original-url",
            "x-rewrite-url",
            "x-http-method-override",
        ] {
            assert_eq!(seen.aliases(name), [], "{name}");
        }
        assert_eq!((seen.header("cookie"), seen.header("x-custom")), (Some("a=b"), Some("kept")));
    });
}

#[test]
fn each_upstream_gets_the_host_that_it_goes_by() {
    story(async {
        let world = World::lease().await;
        let spoofed = [
            ("X-Zitadel-Instance-Host", "evil.example"),
            ("X-Zitadel-Public-Host", "evil.example"),
            ("Authorization", "Bearer for zitadel"),
        ];
        let request = world.gateway.bytes("POST", "/management/v1/users", &spoofed);
        world.gateway.raw(request).await.unwrap().is(200);
        let seen = world.zitadel.only_request();
        assert_eq!(seen.headers_named("host"), [issuer::authority(&world.issuer)]);
        assert_eq!(seen.headers_named("authorization"), ["Bearer for zitadel"]);
        assert_eq!(seen.aliases("x-zitadel-instance-host"), []);
        assert_eq!(seen.aliases("x-zitadel-public-host"), []);
    });
}

#[test]
fn openfga_is_never_reached_with_our_own_key() {
    story(async {
        let world = World::build().openfga_key("the gateway's key").recorded().start().await;
        world.gateway.get("/api/report").bearer(world.token("ann")).send().await.is(200);
        let path = format!("/stores/{}", world.store);
        assert_eq!(world.gateway.get(&path).send().await.status, 401);
        world.gateway.get(&path).bearer("something").send().await;
        let calls = world.recorder().calls();
        let ours = Some("Bearer the gateway's key");
        let check = calls.iter().find(|call| call.path.ends_with("/check")).unwrap();
        assert_eq!(check.authorization.as_deref(), ours);
        let proxied = calls.iter().filter(|call| call.path == path).collect::<Vec<_>>();
        assert_eq!(proxied.len(), 2);
        assert!(proxied.iter().all(|call| call.authorization.as_deref() != ours));
    });
}

#[test]
fn checks_name_the_model_and_are_asked_once() {
    story(async {
        let world = World::build().recorded().start().await;
        let token = world.token("ann").jwt();
        for _ in 0..5 {
            world.gateway.get("/api/report").bearer(&token).send().await.is(200);
        }
        assert_eq!(world.recorder().count("/check"), 1);
        let calls = world.recorder().calls();
        let check = calls.iter().find(|call| call.path.ends_with("/check")).unwrap();
        assert_eq!(check.body["authorization_model_id"], world.model.as_str());
        let key =
            json!({"user": "user:ann", "relation": "viewer", "object": "feature:report_viewer"});
        assert_eq!(check.body["tuple_key"], key);
    });
}

#[test]
fn a_request_that_went_round_is_stopped() {
    story(async {
        // The upstream of this gateway is this gateway.
        let world = World::build();
        let services = world.services().await;
        let port = free_port();
        let plan = world.plan(&services).env("UPSTREAM_URL", format!("http://127.0.0.1:{port}"));
        let gateway = crate::support::gateway::Gateway::start(&plan.port(port)).await;
        // The refusal is the inner gateway's, and passes the outer one as any answer does.
        let answer = gateway.get("/public/page").send().await;
        assert_eq!((answer.status, answer.reason().as_str()), (508, "loop"), "{answer:?}");
        services.upstream.saw_nothing();
    });
}

#[test]
fn bodies_stream_both_ways() {
    story(async {
        let world = World::lease().await;
        let feed = world.upstream.answer_in_chunks();
        let mut wire = world.gateway.connect().await;
        let chunked = [("Transfer-Encoding", "chunked")];
        wire.send(world.gateway.bytes("POST", "/public/upload", &chunked)).await;
        wire.send("5\r\nfirst\r\n").await;
        world.upstream.await_request(|request| request.body == b"first" && !request.complete).await;
        wire.send("6\r\nsecond\r\n0\r\n\r\n").await;
        world.upstream.await_request(|request| request.body == b"firstsecond").await;

        feed.send(b"one".to_vec()).unwrap();
        assert_eq!(wire.head().await.status(), 200);
        wire.expect(b"3\r\none\r\n").await;
        feed.send(b"two".to_vec()).unwrap();
        wire.expect(b"3\r\ntwo\r\n").await;
        drop(feed);
        wire.expect(b"0\r\n\r\n").await;
    });
}

#[test]
fn a_body_up_to_the_limit_passes_unchanged() {
    story(async {
        let world = World::lease().await;
        world.upstream.answer(Answer::Echo);
        let body = (0..1_048_576_u32).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect::<Vec<_>>();
        let answer = world.gateway.post("/public/upload").body(body.clone()).send().await;
        assert!(answer.is(200).body == body, "the body changed on its way");
        world.upstream.take_requests();

        let larger = vec![0; 1_048_577];
        let refused = world.gateway.post("/public/upload").body(larger).try_send().await;
        // A client that still writes may see the connection reset instead.
        if let Ok(refused) = refused {
            refused.refused(413, "body_too_large");
        }
        world.saw_nothing();
    });
}

#[test]
fn a_body_without_a_length_has_the_same_limit() {
    story(async {
        // Not leased: what the upstream is sent may arrive after the story.
        let world = World::start().await;
        let mut wire = world.gateway.connect().await;
        let chunked = [("Transfer-Encoding", "chunked")];
        wire.send(world.gateway.bytes("POST", "/public/upload", &chunked)).await;
        let chunk = format!("10000\r\n{}\r\n", "a".repeat(65_536));
        for _ in 0..17 {
            wire.send(&chunk).await;
        }
        if let Some(answer) = wire.reply("POST").await {
            answer.refused(413, "body_too_large");
        }
        let seen = world.upstream.take_requests();
        assert!(seen.iter().all(|request| !request.complete), "the upstream got all of it");
    });
}

#[test]
fn a_websocket_opens_for_whoever_is_admitted() {
    story(async {
        let world = World::lease().await;
        world.upstream.answer(Answer::UpgradeAndEcho);
        let user = world.viewer("ann").await;
        let bearer = format!("Bearer {}", world.token(&user).jwt());
        let upgrade = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
        ];
        let mut wire = world.gateway.connect().await;
        wire.send(world.gateway.bytes("GET", "/api/socket", &upgrade)).await;
        wire.reply("GET").await.unwrap().refused(401, "missing_token");
        world.saw_nothing();

        let headers = [&upgrade[..], &[("Authorization", bearer.as_str())]].concat();
        let mut wire = world.gateway.connect().await;
        wire.send(world.gateway.bytes("GET", "/api/socket", &headers)).await;
        assert_eq!(wire.head().await.status(), 101);
        for frame in ["\u{1}\u{2}hello", "\u{3}again"] {
            wire.send(frame).await;
            wire.expect(frame.as_bytes()).await;
        }
        let seen = world.upstream.only_request();
        assert_eq!(seen.headers_named("x-user-id"), [user.as_str()]);
        assert_eq!(seen.header("authorization"), None);
    });
}

#[test]
fn an_upstream_s_answer_passes_with_its_own_headers() {
    story(async {
        let world = World::lease().await;
        let answer = Answer::status(418)
            .with_header("Set-Cookie", "a=1")
            .with_header("Set-Cookie", "b=2")
            .with_header("Access-Control-Allow-Origin", "*")
            .with_header("X-App", "tea");
        world.upstream.answer(answer);
        let answer =
            world.gateway.get("/public/tea").header("Origin", "https://evil.example").send();
        let answer = answer.await;
        assert_eq!((answer.is(418).header("x-app"), answer.text().as_str()), ("tea", "upstream"));
        assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
        // Who may read answers is the gateway's decision, not each application's.
        assert_eq!(answer.header("access-control-allow-origin"), "");
        assert_ne!(answer.header("x-request-id"), "");
    });
}

#[test]
fn metrics_and_openfga_are_for_direct_private_peers() {
    story(async {
        let world = World::lease().await;
        let get = |path: &str| world.gateway.get(path);
        get("/metrics").send().await.is(200);
        for (name, value) in [
            ("X-Forwarded-For", "192.0.2.1"),
            ("X-Forwarded-Proto", "https"),
            ("Forwarded", "for=192.0.2.1"),
            ("X-Real-IP", "192.0.2.1"),
            ("Via", "1.1 cdn"),
            // A page that a private user has opened: OpenFGA would take its text for JSON.
            ("Origin", "https://evil.example"),
            ("Sec-Fetch-Site", "cross-site"),
        ] {
            for path in ["/metrics", "/stores/x"] {
                get(path).header(name, value).send().await.refused(403, "private_only");
            }
        }
        world.saw_nothing();
    });
}

#[test]
fn only_configured_proxies_are_believed() {
    story(async {
        let world = World::build().env("TRUSTED_PROXIES", "127.0.0.0/8").start().await;
        let answer = world
            .gateway
            .get("/public/page")
            .header("X-Forwarded-For", "198.51.100.1, 203.0.113.9")
            .header("X-Forwarded-Proto", "https")
            .header("X-Request-ID", "from-the-ingress")
            .send()
            .await;
        assert_eq!(answer.is(200).header("x-request-id"), "from-the-ingress");
        let line =
            world.gateway.await_access(|line| line["request_id"] == "from-the-ingress").await;
        assert_eq!(line["client"], "203.0.113.9", "{line}");
        let seen = world.upstream.only_request();
        assert_eq!(seen.headers_named("x-forwarded-proto"), ["https"]);
        let chain = seen.headers_named("x-forwarded-for").join(", ");
        let client = world.gateway.client_address();
        assert_eq!(chain, format!("198.51.100.1, 203.0.113.9, {client}"));
        world
            .gateway
            .get("/stores/x")
            .header("X-Forwarded-For", "10.0.0.1")
            .send()
            .await
            .refused(403, "private_only");
    });
}

#[test]
fn an_untrusted_proxy_is_warned_about_once() {
    story(async {
        let world = World::start().await;
        for _ in 0..3 {
            let request =
                world.gateway.get("/public/page").header("X-Forwarded-For", "203.0.113.9");
            let id = request.send().await.header("x-request-id").to_owned();
            let line = world.gateway.await_access(|line| line["request_id"] == id.as_str()).await;
            assert_eq!(line["client"], world.gateway.client_address().to_string());
        }
        world.gateway.await_message("forwarding headers").await;
        assert_eq!(world.gateway.count_messages("forwarding headers"), 1);
    });
}

#[test]
fn connections_to_an_upstream_are_kept() {
    story(async {
        let world = World::start().await;
        for _ in 0..20 {
            world.gateway.get("/public/page").send().await.is(200);
        }
        assert!(world.upstream.connections() <= 3, "{}", world.upstream.connections());
    });
}
