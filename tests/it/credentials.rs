//! Tokens where a browser can put them, and what is left of them behind the gateway.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::support::upstream::{Answer, Received};
use crate::support::websocket::{Frame, HANDSHAKE, TEXT, masked};
use crate::support::world::{Builder, ORIGIN, story_rules, with};
use crate::support::{Mint, World, story};

const SOURCES: &str = "authorization, cookie:sid, query:access_token, websocket_protocol";

/// Tokens are looked for in four places; one rule is public and gets credentials.
fn build() -> Builder {
    let zitadel = json!([{"path": "/both/*path", "method": "*", "feature": "authenticated",
        "target": "zitadel"}]);
    World::build()
        .without_redis()
        .set("credentials.sources", SOURCES)
        .rules(with(story_rules(), zitadel))
}

/// As the subprotocol that Kubernetes knows.
pub fn protocol(token: &str) -> String {
    format!("base64url.bearer.authorization.k8s.io.{}", URL_SAFE_NO_PAD.encode(token))
}

/// The same request with its token in each of the places: target and headers.
fn in_each_place(path: &str, token: &str) -> Vec<(String, Vec<(&'static str, String)>)> {
    let handshake = HANDSHAKE.map(|(name, value)| (name, value.to_owned()));
    let offered = ("Sec-WebSocket-Protocol", format!("{}, chat", protocol(token)));
    let kept = |cookie: &str| ("Cookie", format!("theme=dark{cookie}; lang=en"));
    vec![
        (format!("{path}?page=2"), vec![("Authorization", format!("Bearer   {token}")), kept("")]),
        (format!("{path}?page=2"), vec![kept(&format!("; sid={token}"))]),
        (format!("{path}?access_token={token}&page=2"), vec![kept("")]),
        (format!("{path}?page=2&%61ccess_token={token}"), vec![kept("")]),
        (format!("{path}?page=2"), [&handshake[..], &[offered, kept("")]].concat()),
    ]
}

fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// Nothing of a token in target and headers, and everything else of the request.
#[track_caller]
fn is_clean(seen: &Received, token: &str, path: &str) {
    let text = format!("{seen:?}");
    assert!(!text.contains(token) && !text.contains(&protocol(token)), "{text}");
    assert_eq!(seen.target(), format!("{path}?page=2"), "{text}");
    assert_eq!(seen.headers_named("cookie"), ["theme=dark; lang=en"], "{text}");
    let handshake = seen.header("upgrade").map(|_| "chat");
    assert_eq!(seen.header("sec-websocket-protocol"), handshake, "{text}");
}

#[test]
fn a_token_is_found_in_each_place_and_goes_no_further() {
    story(async {
        let world = build().start().await;
        let user = world.viewer("ann").await;
        let token = world.token(&user).jwt();
        for (path, is_public) in [("/api/report", false), ("/public/page", true)] {
            for (target, headers) in in_each_place(path, &token) {
                let request = world.gateway.bytes("GET", &target, &borrowed(&headers));
                let answer = world.gateway.raw(request).await.unwrap();
                answer.is(200);
                let seen = world.upstream.only_request();
                is_clean(&seen, &token, path);
                let known = (!is_public).then_some(user.as_str());
                assert_eq!(seen.header("x-user-id"), known);
                let by_query = target.contains("ccess_token");
                let policy = if by_query { ("no-referrer", "private") } else { ("", "") };
                let told = (answer.header("referrer-policy"), answer.header("cache-control"));
                assert_eq!(told, policy, "{target}");
            }
        }
        // Where the target is rewritten on its way, it is rewritten without the token.
        let authority = world.gateway.authority();
        for target in [
            format!("/%61pi/report?page=2&access_token={token}"),
            format!("http://{authority}/api/report?access_token={token}&page=2"),
            format!("http://{authority}/%61pi/report?page=2&access_token={token}"),
        ] {
            let cookie = [("Cookie", "theme=dark; lang=en")];
            let request = world.gateway.bytes("GET", &target, &cookie);
            world.gateway.raw(request).await.unwrap().is(200);
            is_clean(&world.upstream.only_request(), &token, "/api/report");
        }
    });
}

#[test]
fn an_upstream_that_gets_credentials_gets_them_in_authorization() {
    story(async {
        let world = build().start().await;
        let token = world.token(&world.viewer("ann").await).jwt();
        for path in ["/both/one", "/management/v1/users"] {
            for (target, headers) in in_each_place(path, &token) {
                let request = world.gateway.bytes("GET", &target, &borrowed(&headers));
                world.gateway.raw(request).await.unwrap().is(200);
                let mut seen = world.zitadel.only_request();
                let authorization = seen.headers_named("authorization").join("|");
                assert_eq!(authorization.replace("  ", ""), format!("Bearer {token}"));
                seen.head.headers.retain(|(name, _)| name != "authorization");
                is_clean(&seen, &token, path);
            }
        }
        // By a public rule, what the gateway would refuse is nothing that it would vouch for.
        let cookie = format!("theme=dark; sid={token}; lang=en");
        for (target, cookie) in [
            ("/management/v1/users?access_token=other&page=2", cookie.as_str()),
            ("/management/v1/users?access_token=a%20b&page=2", "theme=dark; lang=en"),
        ] {
            let request = world.gateway.bytes("GET", target, &[("Cookie", cookie)]);
            world.gateway.raw(request).await.unwrap().is(200);
            let seen = world.zitadel.only_request();
            assert_eq!(seen.header("authorization"), None);
            is_clean(&seen, &token, "/management/v1/users");
        }
        let forged = world.gateway.bytes(
            "POST",
            "/management/v1/users?page=2",
            &[("Cookie", &cookie), ("Origin", "https://evil.example"), ("Content-Length", "0")],
        );
        world.gateway.raw(forged).await.unwrap().is(200);
        assert_eq!(world.zitadel.only_request().header("authorization"), None);
    });
}

#[test]
fn two_tokens_are_refused_and_one_of_them_twice_is_not() {
    story(async {
        let world = build().start().await;
        let user = world.viewer("ann").await;
        let (token, other) = (world.token(&user).jwt(), world.token(&user).claim("n", 1).jwt());
        let bearer = format!("Bearer {token}");
        let cookie = |token: &str| format!("sid={token}");
        let both = |name: &str| format!("/api/report?{name}={other}");
        for (target, headers) in [
            ("/api/report", vec![("Authorization", &bearer), ("Cookie", &cookie(&other))]),
            ("/api/report", vec![("Cookie", &format!("sid={token}; sid={other}"))]),
            ("/api/report", vec![("Cookie", &cookie(&token)), ("Cookie", &format!("SID={other}"))]),
            ("/api/report", vec![("Authorization", &bearer), ("Cookie", &"sid=".to_owned())]),
            (&both("access_token"), vec![("Authorization", &bearer)]),
            (&both("Access.Token"), vec![("Cookie", &cookie(&token))]),
            (&both(&format!("access_token={token};access_token")), vec![]),
        ] {
            let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
            let request = world.gateway.bytes("GET", target, &headers.collect::<Vec<_>>());
            let answer = world.gateway.raw(request).await.unwrap();
            answer.refused(400, "conflicting_credentials");
            world.saw_nothing();
        }
        let same = [("Authorization", bearer.as_str()), ("Cookie", &cookie(&token))];
        let target = format!("/api/report?access_token={token}");
        world.gateway.raw(world.gateway.bytes("GET", &target, &same)).await.unwrap().is(200);
        assert_eq!(world.upstream.only_request().header("cookie"), None);
    });
}

#[test]
fn a_cookie_counts_only_when_no_other_site_can_have_sent_it() {
    story(async {
        let world = build().start().await;
        let token = world.token("ann").jwt();
        let cookie = ("Cookie", format!("sid={token}"));
        let own = format!("http://{}", world.gateway.authority());
        let request = |method: &str, headers: &[(&str, &str)]| {
            let headers = [&[("Cookie", cookie.1.as_str())], headers].concat();
            world.gateway.bytes(method, "/me/page", &headers)
        };
        for origin in ["https://evil.example", "null", "", &format!("{own}0"), "https://127.0.0.1"]
        {
            for method in ["POST", "PUT", "DELETE", "PATCH"] {
                let refused = request(method, &[("Origin", origin), ("Content-Length", "0")]);
                let answer = world.gateway.raw(refused).await.unwrap();
                answer.explained(401, "missing_token", "Origin");
            }
            let handshake = [&HANDSHAKE[..], &[("Origin", origin)]].concat();
            let answer = world.gateway.raw(request("GET", &handshake)).await.unwrap();
            answer.explained(401, "missing_token", "Origin");
        }
        for unvouched in [
            request("POST", &[("Content-Length", "0")]),
            request("GET", &HANDSHAKE),
            request("POST", &[("Origin", ORIGIN), ("Origin", ORIGIN), ("Content-Length", "0")]),
        ] {
            let answer = world.gateway.raw(unvouched).await.unwrap();
            answer.explained(401, "missing_token", "Origin");
        }
        world.saw_nothing();

        for origin in [ORIGIN, &own] {
            let post = request("POST", &[("Origin", origin), ("Content-Length", "0")]);
            world.gateway.raw(post).await.unwrap().is(200);
        }
        for method in ["GET", "HEAD", "OPTIONS"] {
            let safe = request(method, &[("Origin", "https://evil.example")]);
            world.gateway.raw(safe).await.unwrap().is(200);
        }
        assert_eq!(world.upstream.take_requests().len(), 5);
    });
}

#[test]
fn origins_of_everybody_vouch_for_nobody() {
    story(async {
        let world = build().env("ALLOWED_ORIGINS", "*").start().await;
        let cookie = format!("sid={}", world.token("ann").jwt());
        let headers =
            [("Cookie", cookie.as_str()), ("Origin", "https://a.example"), ("Content-Length", "0")];
        let request = world.gateway.bytes("POST", "/me/page", &headers);
        let answer = world.gateway.raw(request).await.unwrap();
        answer.explained(401, "missing_token", "Origin");
        world.saw_nothing();
    });
}

#[test]
fn behind_a_proxy_of_ours_the_own_origin_has_its_scheme() {
    story(async {
        let world = build().env("TRUSTED_PROXIES", "127.0.0.0/8").start().await;
        let cookie = format!("sid={}", world.token("ann").jwt());
        let own = format!("https://{}", world.gateway.authority());
        let post = |scheme: &str| {
            let headers = [
                ("Cookie", cookie.as_str()),
                ("Origin", own.as_str()),
                ("X-Forwarded-Proto", scheme),
                ("Content-Length", "0"),
            ];
            world.gateway.raw(world.gateway.bytes("POST", "/me/page", &headers))
        };
        let answer = post("http").await.unwrap();
        answer.explained(401, "missing_token", "Origin");
        world.saw_nothing();
        post("https").await.unwrap().is(200);
    });
}

/// A handshake that offers these subprotocols is answered with this one.
async fn negotiates(world: &World, path: &str, offered: &str, answered: Option<&str>) {
    let headers = [&HANDSHAKE[..], &[("Sec-WebSocket-Protocol", offered)]].concat();
    let mut wire = world.gateway.connect().await;
    wire.send(world.gateway.bytes("GET", path, &headers)).await;
    let head = wire.head().await;
    assert_eq!(head.status(), 101, "{head:?}");
    assert_eq!(head.header("sec-websocket-protocol"), answered, "{offered}");
    wire.send(masked(TEXT, b"hello")).await;
    let echo = Frame { opcode: TEXT, is_masked: false, payload: b"hello".to_vec() };
    assert_eq!(wire.frame().await, echo);
}

#[test]
fn an_application_chooses_among_the_subprotocols_that_are_its_own() {
    story(async {
        let world = build().start().await;
        let user = world.viewer("ann").await;
        let token = protocol(&world.token(&user).jwt());
        for path in ["/api/socket", "/public/socket"] {
            world.upstream.answer(Answer::WebSocket(Some("chat")));
            let offered = format!("{token}, chat, auth-gateway");
            negotiates(&world, path, &offered, Some("chat")).await;
            let seen = world.upstream.only_request();
            assert_eq!(seen.headers_named("sec-websocket-protocol"), ["chat"]);

            world.upstream.answer(Answer::WebSocket(None));
            let offered = format!("auth-gateway, {token}");
            negotiates(&world, path, &offered, Some("auth-gateway")).await;
            assert_eq!(world.upstream.only_request().header("sec-websocket-protocol"), None);
            negotiates(&world, path, &format!("{token}, chat"), None).await;
            world.upstream.take_requests();

            for alone in [token.clone(), format!("{token}, {token}")] {
                let headers = [&HANDSHAKE[..], &[("Sec-WebSocket-Protocol", &alone)]].concat();
                let request = world.gateway.bytes("GET", path, &headers);
                let answer = world.gateway.raw(request).await.unwrap();
                answer.explained(400, "bad_request", "offer one that the answer can name");
                world.saw_nothing();
            }
        }
        // Without a token the companion is a subprotocol like any other.
        let seen = negotiates(&world, "/public/socket", "auth-gateway", None);
        seen.await;
        let seen = world.upstream.only_request();
        assert_eq!(seen.headers_named("sec-websocket-protocol"), ["auth-gateway"]);
    });
}

#[test]
fn other_names_for_the_subprotocols_can_be_chosen() {
    story(async {
        let world = build()
            .set("credentials.websocket_prefix", "token.")
            .set("credentials.websocket_companion", "plain")
            .start()
            .await;
        world.upstream.answer(Answer::WebSocket(None));
        let token = format!("token.{}", URL_SAFE_NO_PAD.encode(world.token("ann").jwt()));
        negotiates(&world, "/me/socket", &format!("{token}, plain"), Some("plain")).await;
    });
}

#[test]
fn authorization_is_the_only_place_unless_others_are_named() {
    story(async {
        let world = World::lease().await;
        let token = world.token(&World::user("ann")).jwt();
        for (target, headers) in in_each_place("/me/page", &token).into_iter().skip(1) {
            let request = world.gateway.bytes("GET", &target, &borrowed(&headers));
            world.gateway.raw(request).await.unwrap().refused(401, "missing_token");
        }
        world.saw_nothing();
    });
}
