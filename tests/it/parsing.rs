//! Messages with more than one reading.

use crate::support::gateway::Gateway;
use crate::support::reply::Reply;
use crate::support::{Mint, World, story};

/// What Pingora cannot parse is a `bad_request` whatever else it is.
#[track_caller]
fn refused(answer: Option<Reply>, reason: &str, what: &str) {
    let Some(answer) = answer else { panic!("no answer: {what}") };
    answer.refused_for_one_of(400, &[reason, "bad_request"]);
    assert!(!format!("{answer:?}").to_ascii_lowercase().contains("pingora"), "{what}: {answer:?}");
}

/// Below a public rule, so that nothing but the path can be the reason.
const AMBIGUOUS: &[&[u8]] = &[
    b"/public/../secret",
    b"/public/..",
    b"/public/./a",
    b"/public/.",
    b"/public/%2e%2e/secret",
    b"/public/%2E%2e/secret",
    b"/public/.%2e/secret",
    b"/public/%2e/a",
    b"/public//a",
    b"//public/a",
    b"/public/a%2fb",
    b"/public/a%2Fb",
    b"/public/..%2fsecret",
    b"/public/a%5cb",
    b"/public/a\\b",
    b"/public/..\\secret",
    b"/public/a%00b",
    b"/public/a%0ab",
    b"/public/a%0d%0aX:b",
    b"/public/a%7fb",
    b"/public/a;b",
    b"/public/..;/secret",
    b"/public/a%3bb",
    b"/public/a\x01b",
    b"/public/a\x7fb",
    b"/public/\xc3\xa4",
    b"/public/\xff",
    b"/public/%c0%ae%c0%ae/secret",
    b"/public/%ff",
    b"/public/%",
    b"/public/%2",
    b"/public/%zz",
    b"/public/%u002e",
    b"/public/%252e%252e/secret",
    b"/public/a#/../secret",
];

#[test]
fn an_ambiguous_path_is_refused_whatever_rule_it_would_meet() {
    story(async {
        let world = World::lease().await;
        for path in AMBIGUOUS {
            let host = world.gateway.authority();
            let end = format!(" HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let request = [b"GET ", *path, end.as_bytes()].concat();
            let answer = world.gateway.raw(request).await;
            refused(answer, "bad_path", &String::from_utf8_lossy(path));
        }
        world.saw_nothing();
    });
}

#[test]
fn what_is_matched_is_what_is_forwarded() {
    story(async {
        let world = World::lease().await;
        let get = async |target: &str| {
            let request = world.gateway.bytes("GET", target, &[]);
            world.gateway.raw(request).await.unwrap()
        };
        get("/%61pi/report").await.refused(401, "missing_token");
        get("/public%2Fa").await.refused(400, "bad_path");
        world.saw_nothing();
        for (sent, forwarded) in [
            ("/%70ublic/%61%7E", "/public/a~"),
            ("/public/a%20b?x=%61&y=/../", "/public/a%20b?x=%61&y=/../"),
            ("/public/a%c3%a4", "/public/a%C3%A4"),
            ("/public/", "/public/"),
            ("/public/a.b/...", "/public/a.b/..."),
        ] {
            get(sent).await.is(200);
            assert_eq!(world.upstream.only_request().target(), forwarded);
        }
        for (request, forwarded) in [
            ("GET /public/a HTTP/1.1\nHost: App.Example.:0080\n\n", "app.example:80"),
            ("GET /public/a HTTP/1.1\nHost: app.example\n\n", "app.example"),
            ("GET http://App.example:81/public/a HTTP/1.0\n\n", "app.example:81"),
        ] {
            send(&world.gateway, request).await.unwrap().is(200);
            let seen = world.upstream.only_request();
            assert_eq!(seen.headers_named("host"), [forwarded], "{request}");
            assert_eq!(seen.headers_named("x-forwarded-host"), [forwarded], "{request}");
        }
    });
}

async fn send(gateway: &Gateway, text: &str) -> Option<Reply> {
    gateway.raw(text.replace('\n', "\r\n").replace("HOST", &gateway.authority())).await
}

#[test]
fn conflicting_framing_is_refused() {
    story(async {
        let world = World::lease().await;
        let start = "POST /public/a HTTP/1.1\nHost: HOST\n";
        let cases = [
            "Content-Length: 3\nTransfer-Encoding: chunked\n\n0\n\n",
            "Transfer-Encoding: chunked\nContent-Length: 3\n\n0\n\n",
            "Content-Length: 3\nContent-Length: 3\n\nabc",
            "Content-Length: 3\nContent-Length: 4\n\nabcd",
            "Content-Length: 3, 3\n\nabc",
            "Content-Length: +3\n\nabc",
            "Content-Length: 0x3\n\nabc",
            "Content-Length: \n\nabc",
            "Content-Length: -1\n\nabc",
            "Transfer-Encoding: xchunked\n\n0\n\n",
            "Transfer-Encoding: gzip\n\n0\n\n",
            "Transfer-Encoding: chunked, identity\n\n0\n\n",
            "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n",
            "Transfer-Encoding: \n\n0\n\n",
            "Content-Length : 3\n\nabc",
            "X-Folded: a\n b\nContent-Length: 0\n\n",
            "Host: other.example\nContent-Length: 0\n\n",
            "Host: HOST\nContent-Length: 0\n\n",
        ];
        for case in cases {
            let answer = send(&world.gateway, &format!("{start}{case}")).await;
            refused(answer, "bad_request", case);
        }
        let old = "POST /public/a HTTP/1.0\nHost: HOST\nTransfer-Encoding: chunked\n\n0\n\n";
        refused(send(&world.gateway, old).await, "bad_request", old);
        world.saw_nothing();
    });
}

#[test]
fn a_request_line_that_is_none_is_refused() {
    story(async {
        let world = World::lease().await;
        for request in [
            "GET /public/a HTTP/1.1\n\n",
            "GET admin HTTP/1.1\nHost: HOST\n\n",
            "GET public/a HTTP/1.1\nHost: HOST\n\n",
            "OPTIONS * HTTP/1.1\nHost: HOST\n\n",
            "GET * HTTP/1.1\nHost: HOST\n\n",
            "GET  /public/a HTTP/1.1\nHost: HOST\n\n",
            "GET /public/a HTTP/1.2\nHost: HOST\n\n",
            "GET http://other.example/public/a HTTP/1.1\nHost: HOST\n\n",
            "GET /public/a HTTP/1.1\nHost: a b\n\n",
            "GET /public/a HTTP/1.1\nHost: user@HOST\n\n",
        ] {
            refused(send(&world.gateway, request).await, "bad_path", request);
        }
        let bare_line_ends =
            format!("GET /public/a HTTP/1.1\nHost: {}\n\n", world.gateway.authority());
        world.gateway.raw(bare_line_ends).await.unwrap().refused(400, "bad_request");
        world.saw_nothing();
    });
}

/// Pingora escapes the space before any hook sees the request; what matters is that the rules and the
/// upstream then see the same bytes.
#[test]
fn a_space_in_the_target_means_the_same_to_rules_and_upstream() {
    story(async {
        let world = World::lease().await;
        let request = "GET /public/a b HTTP/1.1\nHost: HOST\n\n";
        let answer = send(&world.gateway, request).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let seen = world.upstream.take_requests();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].target(), "/public/a%20b");
    });
}

/// Nothing after the first byte may be an HTTP head; some may even be secrets.
const UNREADABLE: &[&str] = &[
    "GET /public/a HTTP/1.1\nHost: a\nBad Header\n\n",
    "GET /public/a HTTP/3.0\nHost: a\n\n",
    "GET /public/a\n\n",
    "GET\n\n",
    "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}",
    "PRI * HTTP/2.0\n\nSM\n\n",
    "Authorization: Bearer s3cret\n\n",
    "POST /public/a HTTP/1.0\nHost: a\nTransfer-Encoding: chunked\n\n0\n\n",
    "GET /public/a HTTP/1.1\nHost: a\nHost: b\n\n",
    "GET /public/a HTTP/1.1\nHost: a\nX-A: \u{1}\n\n",
    "\n\n\r\r",
];

#[test]
fn a_head_that_cannot_be_parsed_is_answered_counted_and_told() {
    story(async {
        let world = World::start().await;
        for head in UNREADABLE {
            refused(send(&world.gateway, head).await, "bad_request", head);
        }
        let many = vec![("X-A", "s3cret"); 300];
        let answer = world.gateway.raw(world.gateway.bytes("GET", "/public/a", &many)).await;
        answer.unwrap().refused(431, "headers_too_large");
        let bodied = format!("GET /public/a HTTP/1.1\nBad Header\n\n{}", "s3cret\n".repeat(300));
        refused(send(&world.gateway, &bodied).await, "bad_request", "300 lines behind a bad head");
        let connect =
            send(&world.gateway, "CONNECT s3cret:443 HTTP/1.1\nHost: s3cret:443\n\n").await;
        connect.unwrap().refused(405, "method_not_allowed");
        world.saw_nothing();

        let count = |word: &'static str| {
            let labels = [("reason", word), ("rule", "none")];
            let gateway = &world.gateway;
            async move { gateway.metric("auth_gateway_rejections_total", &labels).await }
        };
        assert_eq!(
            count("bad_request").await,
            Some(f64::from(u8::try_from(UNREADABLE.len() + 1).unwrap()))
        );
        assert_eq!(count("headers_too_large").await, Some(1.0));
        assert_eq!(count("method_not_allowed").await, Some(1.0));
        let line = world.gateway.await_access(|line| line["status"] == 405).await;
        assert_eq!(
            (&line["method"], &line["path"], &line["host"]),
            (&"-".into(), &"-".into(), &"".into())
        );
        assert_eq!(line["client"], world.gateway.client_address().to_string());
        assert!(line["received"].as_u64().is_some_and(|bytes| bytes > 40), "{line}");
        let lines = world.gateway.access_lines();
        let told = |word: &str| lines.iter().filter(|line| line["outcome"] == word).count();
        assert_eq!((told("bad_request"), told("headers_too_large")), (UNREADABLE.len() + 1, 1));
        assert!(!world.gateway.output().contains("s3cret"));
    });
}

#[test]
fn a_chunk_that_is_none_never_makes_a_second_request() {
    story(async {
        // Not leased: what the upstream is sent may arrive after the story.
        let world = World::start().await;
        let start = "POST /public/a HTTP/1.1\nHost: HOST\nTransfer-Encoding: chunked\n\n";
        let smuggled = "GET /api/report HTTP/1.1\nHost: HOST\n\n";
        for chunk in ["0x1\na\n0\n\n", "-1\na\n0\n\n", "1;\u{1}\na\n0\n\n", "g\n", "\n"] {
            // The upstream may have seen the headers, and then the connection ends.
            let _ = send(&world.gateway, &format!("{start}{chunk}{smuggled}")).await;
        }
        let seen = world.upstream.take_requests();
        assert!(seen.iter().all(|request| request.target() == "/public/a"), "{seen:#?}");
    });
}

#[test]
fn sizes_have_limits() {
    story(async {
        let world = World::lease().await;
        let gateway = &world.gateway;
        let get = async |target: &str, headers: &[(&str, &str)]| {
            gateway.raw(gateway.bytes("GET", target, headers)).await.unwrap()
        };
        let many = |count: usize| vec![("X-A", "b"); count];
        get("/public/a", &many(99)).await.is(200);
        get("/public/a", &[("X-A", &"a".repeat(30_000))]).await.is(200);
        get(&format!("/public/{}", "a".repeat(8_000)), &[]).await.is(200);
        assert_eq!(world.upstream.take_requests().len(), 3);

        get("/public/a", &many(100)).await.refused(431, "headers_too_large");
        for count in [200, 255, 256, 257, 300, 2_000] {
            get("/public/a", &many(count)).await.refused(431, "headers_too_large");
        }
        let large = "a".repeat(60_000);
        get("/public/a", &[("X-A", &large)]).await.refused(431, "headers_too_large");
        // What is far too large is not read to its end; who goes on sending may miss the answer.
        let huge = "a".repeat(400_000);
        let cut = gateway.raw(gateway.bytes("GET", "/public/a", &[("X-A", &huge)])).await;
        assert!(cut.is_none_or(|answer| answer.status == 431));
        let long = format!("/public/a?{}", "a".repeat(8_200));
        get(&long, &[]).await.refused(414, "uri_too_long");
        world.saw_nothing();
    });
}

#[test]
fn methods_that_no_rule_can_want_are_refused() {
    story(async {
        let world = World::lease().await;
        let trace = world.gateway.bytes("TRACE", "/public/a", &[("Authorization", "Bearer x")]);
        let answer = world.gateway.raw(trace).await.unwrap();
        assert_eq!(answer.status, 405, "{answer:?}");
        assert!(!answer.text().contains("Bearer"));
        let connect =
            format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", world.upstream.authority());
        world.gateway.raw(connect).await.unwrap().refused(405, "method_not_allowed");
        // Not GET, but some applications would take it for that.
        for method in ["get", "Get", "head"] {
            let request = world.gateway.bytes(method, "/public/a", &[]);
            assert_eq!(world.gateway.raw(request).await.unwrap().status, 405, "{method}");
        }
        world.saw_nothing();
    });
}

#[test]
fn an_upgrade_is_authenticated_like_any_request() {
    story(async {
        let world = World::lease().await;
        let websocket = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
        ];
        let h2c = [
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
        ];
        let other = [("Connection", "Upgrade"), ("Upgrade", "anything")];
        for headers in [&websocket[..], &h2c[..], &other[..]] {
            let answer =
                world.gateway.raw(world.gateway.bytes("GET", "/api/report", headers)).await;
            answer.unwrap().refused(401, "missing_token");
            // What follows an upgrade that was not granted is no tunnel.
            let mut wire = world.gateway.connect().await;
            wire.send(world.gateway.bytes("GET", "/nowhere", headers)).await;
            wire.reply("GET").await.unwrap().refused(403, "no_rule");
        }
        world.saw_nothing();
    });
}

#[test]
fn a_client_cannot_nominate_our_headers_for_removal() {
    story(async {
        let world = World::lease().await;
        let user = world.viewer("ann").await;
        let bearer = format!("Bearer {}", world.token(&user).jwt());
        for nominated in ["X-User-ID, Authorization", "x-user-id", "Via, X-Request-ID, X-USER-ID"] {
            let headers = [("Authorization", bearer.as_str()), ("Connection", nominated)];
            let request = world.gateway.bytes("GET", "/api/report", &headers);
            world.gateway.raw(request).await.unwrap().is(200);
            let seen = world.upstream.only_request();
            assert_eq!(seen.headers_named("x-user-id"), [user.as_str()], "{nominated}");
            assert!(seen.header("x-request-id").is_some() && seen.header("via").is_some());
        }
        let headers = [("Connection", "Authorization")];
        let request = world.gateway.bytes("GET", "/api/report", &headers);
        world.gateway.raw(request).await.unwrap().refused(401, "missing_token");
        // Nominating what the gateway itself relies on is refused, or has no effect.
        let headers = [("Authorization", bearer.as_str()), ("Connection", "Host, X-Forwarded-For")];
        let request = world.gateway.bytes("GET", "/api/report", &headers);
        let answer = world.gateway.raw(request).await.unwrap();
        assert!(matches!(answer.status, 200 | 400), "{answer:?}");
        for seen in world.upstream.take_requests() {
            assert!(seen.header("x-forwarded-for").is_some() && seen.header("host").is_some());
        }
    });
}

#[test]
fn an_absolute_target_is_the_same_request() {
    story(async {
        let world = World::lease().await;
        let target = |path: &str| format!("http://{}{path}", world.gateway.authority());
        let get = async |path: &str| {
            let request = world.gateway.bytes("GET", &target(path), &[]);
            world.gateway.raw(request).await.unwrap()
        };
        get("/public/a?b=c").await.is(200);
        assert_eq!(world.upstream.only_request().target(), "/public/a?b=c");
        get("/api/report").await.refused(401, "missing_token");
        get("/public/../api/report").await.refused(400, "bad_path");
        world.saw_nothing();
    });
}

#[test]
fn http_1_0_is_served_and_ends_the_connection() {
    story(async {
        let world = World::lease().await;
        let mut wire = world.gateway.connect().await;
        let host = world.gateway.authority();
        wire.send(format!("GET /public/a HTTP/1.0\r\nHost: {host}\r\n\r\n")).await;
        wire.reply("GET").await.unwrap().is(200);
        assert_eq!(wire.rest().await, b"");
        let refused = format!("GET /api/report HTTP/1.0\r\nHost: {host}\r\n\r\n");
        world.gateway.raw(refused).await.unwrap().refused(401, "missing_token");
        assert_eq!(world.upstream.take_requests().len(), 1);
    });
}

#[test]
fn a_pipelined_request_does_not_ride_on_the_first_ones_token() {
    story(async {
        let world = World::lease().await;
        let user = world.viewer("ann").await;
        let bearer = format!("Bearer {}", world.token(&user).jwt());
        let first = world.gateway.bytes("GET", "/api/first", &[("Authorization", &bearer)]);
        let second = world.gateway.bytes("GET", "/api/second", &[]);
        let mut wire = world.gateway.connect().await;
        wire.send(first + &second).await;
        wire.reply("GET").await.unwrap().is(200);
        if let Some(answer) = wire.reply("GET").await {
            answer.refused(401, "missing_token");
        }
        assert_eq!(world.upstream.only_request().target(), "/api/first");
    });
}

#[test]
fn a_rule_for_get_serves_head() {
    story(async {
        let world = World::lease().await;
        let token = world.token(&world.viewer("ann").await).jwt();
        let head = |path: &str| world.gateway.request(reqwest::Method::HEAD, path);
        let answer = head("/api/report").bearer(&token).send().await;
        assert_eq!((answer.is(200).number("content-length"), answer.body.len()), (8, 0));
        assert_eq!(world.upstream.only_request().method(), "HEAD");

        let refused = head("/api/report").send().await;
        assert_eq!((refused.status, refused.body.len()), (401, 0));
        assert_eq!(refused.header("content-type"), "application/problem+json");
        world.saw_nothing();
    });
}

#[test]
fn an_expectation_is_met_only_by_whoever_is_admitted() {
    story(async {
        let world = World::lease().await;
        let expect = [("Expect", "100-continue"), ("Content-Length", "3")];
        let mut wire = world.gateway.connect().await;
        wire.send(world.gateway.bytes("POST", "/me/a", &expect)).await;
        assert_eq!(wire.head().await.status(), 401, "no 100 before the refusal");

        let token = world.token("ann").jwt();
        let bearer = format!("Bearer {token}");
        let headers = [&expect[..], &[("Authorization", bearer.as_str())]].concat();
        let mut wire = world.gateway.connect().await;
        wire.send(world.gateway.bytes("POST", "/me/a", &headers)).await;
        assert_eq!(wire.head().await.status(), 100);
        wire.send("abc").await;
        wire.reply("POST").await.unwrap().is(200);
        assert_eq!(world.upstream.only_request().body, b"abc");

        let other = world.gateway.bytes("GET", "/public/a", &[("Expect", "200-ok")]);
        let answer = world.gateway.raw(other).await.unwrap();
        assert!(matches!(answer.status, 400 | 417), "{answer:?}");
        world.saw_nothing();
    });
}
