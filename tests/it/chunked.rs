//! Bodies in chunks: one reading, or none.

use crate::support::upstream::Answer;
use crate::support::{World, story};

/// A request that some would find behind the body, and others within it.
const SMUGGLED: &str = "GET /api/report HTTP/1.1\r\nHost: a\r\n\r\n";

/// Chunks that no two parsers need agree on.
const FAULTY: &[&str] = &[
    "2;\nxx\r\n0\r\n\r\n",
    "2;a=\nxx\r\n0\r\n\r\n",
    "3 \r\nabc\r\n0\r\n\r\n",
    "3\t \r\nabc\r\n0\r\n\r\n",
    "3;a\rb\r\nabc\r\n0\r\n\r\n",
    "3;a\0\r\nabc\r\n0\r\n\r\n",
    "3\nabc\r\n0\r\n\r\n",
    "3\rabc\r\n0\r\n\r\n",
    "3\r\nabc\n0\r\n\r\n",
    "3\r\nabcd\r\n0\r\n\r\n",
    "0x3\r\nabc\r\n0\r\n\r\n",
    "-3\r\nabc\r\n0\r\n\r\n",
    "g\r\n0\r\n\r\n",
    "00000000000000003\r\nabc\r\n0\r\n\r\n",
    "\r\n",
    "0\r\nX-T: a\n\r\n",
    "0\r\n\n",
    "0\r\n X-T: a\r\n\r\n",
];

#[test]
fn a_body_with_more_than_one_reading_is_refused_with_its_head() {
    story(async {
        let world = World::lease().await;
        let head = world.gateway.bytes("POST", "/public/a", &[("Transfer-Encoding", "chunked")]);
        for body in FAULTY {
            let mut wire = world.gateway.connect().await;
            wire.send(format!("{head}{body}{SMUGGLED}")).await;
            let answer = wire.reply("POST").await.expect(body);
            assert_eq!(answer.header("connection"), "close", "{body:?}");
            answer.refused(400, "bad_request");
            assert_eq!(wire.rest().await, b"", "{body:?}");
        }
        world.saw_nothing();
    });
}

#[test]
fn a_body_that_turns_out_to_have_more_than_one_reading_is_broken_off() {
    story(async {
        // Not leased: the upstream has seen a part of each.
        let world = World::start().await;
        let head = world.gateway.bytes("POST", "/public/a", &[("Transfer-Encoding", "chunked")]);
        for body in FAULTY {
            let mut wire = world.gateway.connect().await;
            wire.send(format!("{head}5\r\nfirst\r\n")).await;
            world.upstream.await_request(|request| request.body == b"first").await;
            wire.send(format!("{body}{SMUGGLED}")).await;
            let answer = wire.reply("POST").await.expect(body);
            assert_eq!(answer.header("connection"), "close", "{body:?}");
            answer.refused(400, "bad_request");
            assert_eq!(wire.rest().await, b"", "{body:?}");
            let seen = world.upstream.only_request();
            assert_eq!((seen.target(), seen.complete), ("/public/a", false), "{body:?}");
            assert_eq!(seen.body, b"first", "{body:?}");
        }
        let line = world.gateway.await_access(|line| line["outcome"] == "bad_request").await;
        assert!(line["error"].as_str().is_some_and(|error| error.contains("chunks")), "{line}");
    });
}

#[test]
fn a_body_with_one_reading_passes_however_it_comes() {
    story(async {
        let world = World::lease().await;
        world.upstream.answer(Answer::Echo);
        let head = world.gateway.bytes("POST", "/public/a", &[("Transfer-Encoding", "chunked")]);
        let mut wire = world.gateway.connect().await;
        for (body, meant) in [
            ("0\r\n\r\n", ""),
            ("3\r\nabc\r\n0\r\n\r\n", "abc"),
            (
                "3;a=b;c=\"d e\"\r\nabc\r\nA ;x\r\n0\r\n\r\n0\r\n\r\n\r\n000;y\r\n\r\n",
                "abc0\r\n\r\n0\r\n\r\n",
            ),
            ("1\r\n\n\r\n0\r\nX-T: a\r\nX-U:\r\n\r\n", "\n"),
        ] {
            let mut pass = async |parts: &[&str]| {
                for part in parts {
                    wire.send(part).await;
                }
                let answer = wire.reply("POST").await.expect(body);
                assert_eq!(answer.is(200).header("connection"), "keep-alive", "{body:?}");
                assert_eq!(answer.text(), meant);
                assert_eq!(world.upstream.only_request().body, meant.as_bytes());
            };
            pass(&[&format!("{head}{body}")]).await;
            for at in 1..body.len() {
                let (first, second) = body.split_at(at);
                pass(&[&head, first, second]).await;
            }
        }
    });
}

#[test]
fn a_body_of_known_length_may_look_like_anything() {
    story(async {
        let world = World::lease().await;
        world.upstream.answer(Answer::Echo);
        let mut wire = world.gateway.connect().await;
        for body in FAULTY.iter().chain(&["0\r\n\r\n", "0\r\n\r\nGET"]) {
            let length = body.len().to_string();
            let head = world.gateway.bytes("POST", "/public/a", &[("Content-Length", &length)]);
            wire.send(format!("{head}{body}")).await;
            let answer = wire.reply("POST").await.expect(body);
            assert_eq!(answer.is(200).header("connection"), "keep-alive", "{body:?}");
            assert_eq!(world.upstream.only_request().body, body.as_bytes());
        }
    });
}
