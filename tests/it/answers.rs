//! What clients get is well formed, whatever the upstream says.

use crate::support::gateway::Wire;
use crate::support::http1::{Head, Response};
use crate::support::upstream::Answer;
use crate::support::{World, story};

/// An upstream that answers with this text, whose lines end as lines on the wire do, and closes.
fn says(text: &str) -> Answer {
    Answer::Bytes(text.replace('\n', "\r\n"))
}

/// A request of this version on a connection of its own.
async fn ask(world: &World, version: &str, more: &str) -> Wire {
    let mut wire = world.gateway.connect().await;
    let host = world.gateway.authority();
    wire.send(format!("GET /public/a HTTP/{version}\r\nHost: {host}\r\n{more}\r\n")).await;
    wire
}

async fn answer(world: &World, version: &str, text: &str) -> Response {
    world.upstream.answer(says(text));
    let mut wire = ask(world, version, "").await;
    let head = wire.head().await;
    Response { head, body: wire.rest().await }
}

/// What a client of today makes of `text`.
async fn passed_on(world: &World, text: &str) -> Head {
    world.upstream.answer(says(text));
    let head = ask(world, "1.1", "").await.head().await;
    assert!(head.start.starts_with("HTTP/1.1 "), "{text}: {head:?}");
    head
}

const CHUNKED: &str = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n1\n!\n0\n\n";

#[test]
fn an_http_1_0_client_gets_no_coding_and_the_end_of_the_connection() {
    story(async {
        let world = World::lease().await;
        for text in [CHUNKED, "HTTP/1.1 200 OK\n\nok!", "HTTP/1.0 200 OK\n\nok!"] {
            for asked in ["", "Connection: keep-alive\r\n"] {
                world.upstream.answer(says(text));
                let mut wire = ask(&world, "1.0", asked).await;
                let head = wire.head().await;
                assert_eq!(head.start, "HTTP/1.1 200 OK", "{text}");
                assert_eq!(head.named("transfer-encoding"), [""; 0], "{text}");
                assert_eq!(head.named("connection"), ["close"], "{text}");
                let body = wire.rest().await;
                // Line ends of the body were made those of the wire.
                assert_eq!(String::from_utf8_lossy(&body), "ok!", "{text}");
            }
        }
    });
}

#[test]
fn an_http_1_0_client_that_asks_for_it_keeps_its_connection() {
    story(async {
        let world = World::lease().await;
        let host = world.gateway.authority();
        let mut wire = world.gateway.connect().await;
        for (asked, told) in [("keep-alive", "keep-alive"), ("close", "close")] {
            let request =
                format!("GET /public/a HTTP/1.0\r\nHost: {host}\r\nConnection: {asked}\r\n\r\n");
            wire.send(request).await;
            let reply = wire.reply("GET").await.unwrap();
            assert_eq!(
                (reply.is(200).header("connection"), reply.text().as_str()),
                (told, "upstream")
            );
        }
        assert!(wire.rest().await.is_empty());
    });
}

#[test]
fn interim_answers_are_for_clients_that_know_them() {
    story(async {
        let world = World::lease().await;
        for interim in ["100 Continue", "102 Processing", "103 Early Hints"] {
            let text = format!(
                "HTTP/1.1 {interim}\nLink: </a>\nConnection: X-Hop\nX-Hop: 1\nContent-Length: 3\n\n\
                 HTTP/1.1 200 OK\nContent-Length: 2\n\nok"
            );
            let old = answer(&world, "1.0", &text).await;
            assert_eq!((old.head.start.as_str(), &*old.body), ("HTTP/1.1 200 OK", &b"ok"[..]));

            let mut wire = ask(&world, "1.1", "").await;
            let head = wire.head().await;
            assert_eq!(head.start, format!("HTTP/1.1 {interim}"));
            assert_eq!(head.headers, [("link".into(), "</a>".into())], "{interim}");
            assert_eq!(wire.head().await.status(), 200);
            wire.expect(b"ok").await;
        }
    });
}

#[test]
fn headers_for_the_gateway_alone_do_not_reach_the_client() {
    story(async {
        let world = World::lease().await;
        let text = "HTTP/1.1 200 OK\nConnection: Upgrade, Keep-Alive, X-Hop\nUpgrade: h2,h2c\n\
                    Keep-Alive: timeout=600, max=100\nX-Hop: 1\nProxy-Connection: keep-alive\n\
                    TE: trailers\nTrailer: X-T\nProxy-Authenticate: Basic\nX-App: tea\n\
                    Transfer-Encoding: chunked\n\n2\nok\n0\nX-T: 1\n\n";
        let head = passed_on(&world, text).await;
        for name in [
            "upgrade",
            "keep-alive",
            "x-hop",
            "proxy-connection",
            "te",
            "trailer",
            "proxy-authenticate",
        ] {
            assert_eq!(head.header(name), None, "{head:?}");
        }
        assert_eq!(head.named("connection"), ["keep-alive"]);
        assert_eq!(head.header("x-app"), Some("tea"));

        let text = "HTTP/1.1 200 OK\nConnection: close, Content-Length, Set-Cookie, Cache-Control\n\
                    Set-Cookie: a=1\nCache-Control: private\nContent-Length: 2\n\nok";
        let head = passed_on(&world, text).await;
        assert_eq!(head.header("set-cookie"), Some("a=1"));
        assert_eq!(head.header("cache-control"), Some("private"));
        assert_eq!(head.header("content-length"), Some("2"));
    });
}

#[test]
fn an_answer_s_length_is_told_once() {
    story(async {
        let world = World::lease().await;
        for lengths in ["Content-Length: 2, 2", "Content-Length: 2\nContent-Length: 2"] {
            let text = format!("HTTP/1.1 200 OK\n{lengths}\n\nok");
            world.upstream.answer(says(&text));
            let mut wire = ask(&world, "1.1", "").await;
            let head = wire.head().await;
            assert_eq!(head.named("content-length"), ["2"], "{lengths}");
            wire.expect(b"ok").await;
        }
        // Which of two framings is meant, the upstream has said (RFC 9112 section 6.3).
        let text = "HTTP/1.1 200 OK\nContent-Length: 9\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n";
        let head = passed_on(&world, text).await;
        assert_eq!(head.header("content-length"), None);
        assert_eq!(head.named("transfer-encoding"), ["chunked"]);
    });
}

#[test]
fn an_answer_without_a_body_has_no_framing_of_one() {
    story(async {
        let world = World::lease().await;
        for framing in ["Content-Length: 4", "Transfer-Encoding: chunked"] {
            let head = passed_on(&world, &format!("HTTP/1.1 204 No Content\n{framing}\n\n")).await;
            assert_eq!(head.header("content-length"), None);
            assert_eq!(head.header("transfer-encoding"), None);
            assert_eq!(head.named("connection"), ["keep-alive"]);
        }
        let head = passed_on(&world, "HTTP/1.1 304 Not Modified\nContent-Length: 4\n\n").await;
        assert_eq!(head.header("content-length"), Some("4"));
        // A body that must not be there is not passed on, and does not become another answer.
        for text in [
            "HTTP/1.1 204 No Content\n\nHTTP/1.1 200 OK\nContent-Length: 1\n\nx",
            "HTTP/1.1 304 Not Modified\nContent-Length: 4\n\nbody",
        ] {
            world.upstream.answer(says(text));
            let mut wire = ask(&world, "1.1", "").await;
            assert_ne!(wire.head().await.status(), 200);
            world.upstream.answer(Answer::status(200));
            wire.send(world.gateway.bytes("GET", "/public/b", &[])).await;
            assert_eq!(wire.reply("GET").await.unwrap().is(200).text(), "upstream", "{text}");
        }
        // Nor the body of an answer to HEAD.
        world.upstream.answer(says("HTTP/1.1 200 OK\nContent-Length: 4\n\nbody"));
        let mut wire = world.gateway.connect().await;
        wire.send(world.gateway.bytes("HEAD", "/public/a", &[])).await;
        assert_eq!(wire.head().await.header("content-length"), Some("4"));
        world.upstream.answer(Answer::status(200));
        wire.send(world.gateway.bytes("GET", "/public/b", &[])).await;
        assert_eq!(wire.reply("GET").await.unwrap().is(200).text(), "upstream");
    });
}

#[test]
fn an_answer_that_could_be_read_in_two_ways_is_none() {
    story(async {
        let world = World::lease().await;
        for text in [
            "HTTP/1.1 200 OK\nContent-Length: 2, 3\n\nok",
            "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\nok!",
            "HTTP/1.1 200 OK\nContent-Length: +2\n\nok",
            "HTTP/1.1 200 OK\nContent-Length: -2\n\nok",
            "HTTP/1.1 200 OK\nContent-Length: two\n\nok",
            "HTTP/1.1 200 OK\nContent-Length: \n\nok",
            "HTTP/1.1 200 OK\nTransfer-Encoding: identity\nContent-Length: 2\n\nok",
            "HTTP/1.1 200 OK\nTransfer-Encoding: gzip\n\nok",
            "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n2\nok\n0\n\n",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked, identity\n\n2\nok\n0\n\n",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n",
            "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n",
            "HTTP/2.0 200 OK\nContent-Length: 2\n\nok",
            "HTTP/1.1 200 OK\nNo header\nContent-Length: 2\n\nok",
            "HTTP/1.1 200 OK\nX-A: a\u{1}b\nContent-Length: 2\n\nok",
            "HTTP/1.1 200 OK\nX A: b\nContent-Length: 2\n\nok",
            "HTTP/1.1 20 OK\nContent-Length: 2\n\nok",
            "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: h2c\n\n",
            "ok",
        ] {
            world.upstream.answer(says(text));
            let mut wire = ask(&world, "1.1", "").await;
            let reply = wire.reply("GET").await.unwrap_or_else(|| panic!("no answer: {text}"));
            assert_eq!((reply.status, reply.reason().as_str()), (502, "upstream_failed"), "{text}");
            reply.refused(502, "upstream_failed");
            assert!(wire.rest().await.is_empty(), "{text}");
        }
        let identity = "the answer's Transfer-Encoding is not chunked alone";
        let is_told = |line: &serde_json::Value| {
            line["error"].as_str().is_some_and(|error| error.contains(identity))
        };
        let line = world.gateway.await_access(is_told).await;
        assert_eq!(line["outcome"], "upstream_failed");
    });
}

#[test]
fn a_folded_header_becomes_one_line() {
    story(async {
        let world = World::lease().await;
        let head =
            passed_on(&world, "HTTP/1.1 200 OK\nX-A: one\n two\nContent-Length: 2\n\nok").await;
        assert_eq!(head.named("x-a"), ["one two"]);
    });
}

#[test]
fn the_version_of_the_upstream_is_not_the_gateway_s() {
    story(async {
        let world = World::lease().await;
        world.upstream.answer(says("HTTP/1.0 200 OK\nContent-Length: 2\n\nok"));
        let mut wire = ask(&world, "1.1", "").await;
        let head = wire.head().await;
        assert_eq!(head.start, "HTTP/1.1 200 OK");
        assert_eq!(head.named("connection"), ["keep-alive"]);
        wire.expect(b"ok").await;
        // Of unknown length, it is sent in chunks, so that the client's connection can go on.
        world.upstream.answer(says("HTTP/1.0 200 OK\nX-App: tea\n\nok"));
        wire.send(world.gateway.bytes("GET", "/public/a", &[])).await;
        let reply = wire.reply("GET").await.unwrap();
        assert_eq!(reply.is(200).text(), "ok");
        assert_eq!(reply.header("transfer-encoding"), "chunked");
    });
}
