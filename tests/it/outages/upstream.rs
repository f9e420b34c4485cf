//! The upstream is away, slow, or breaks off.

use std::sync::Arc;

use http::Method;
use serde_json::json;

use crate::support::reply::Reply;
use crate::support::upstream::Answer;
use crate::support::world::{story_rules, with};
use crate::support::{SOON, World, story};

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
