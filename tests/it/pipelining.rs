//! Clients that send their next request before the last one is answered.

use crate::support::upstream::Answer;
use crate::support::{Mint, World, story};

/// The gateway has looked at what was sent before.
async fn is_noticed(world: &World) {
    for _ in 0..3 {
        world.gateway.get("/health").send().await.is(200);
    }
}

/// What the gateway has read behind a request is lost with the connection, and the answer says so.
#[test]
fn an_answer_after_which_a_request_is_lost_says_close() {
    story(async {
        let world = World::lease().await;
        let gateway = &world.gateway;
        let get = gateway.bytes("GET", "/public/a", &[]);
        let sized = gateway.bytes("POST", "/public/a", &[("Content-Length", "3")]);
        let chunked = gateway.bytes("POST", "/public/a", &[("Transfer-Encoding", "chunked")]);
        let in_chunks = |end| {
            let coding = [("Transfer-Encoding", "chunked")];
            gateway.bytes("POST", "/public/second", &coding) + end
        };
        let seconds =
            [gateway.bytes("GET", "/public/second", &[]), in_chunks("0\r\n\r\n"), in_chunks("4")];
        let denied = gateway.bytes("GET", "/nowhere", &[]);
        let denied_post = gateway.bytes("POST", "/nowhere", &[("Content-Length", "3")]);
        for (first, status) in [
            (get, 200),
            (sized + "abc", 200),
            (chunked.clone() + "3\r\nabc\r\n0\r\n\r\n", 200),
            (chunked + "0\r\nX-T: a\r\n\r\n", 200),
            (denied, 403),
            (denied_post + "abc", 403),
            (gateway.bytes("GET", "/health", &[]), 200),
        ] {
            for second in &seconds {
                let mut wire = gateway.connect().await;
                wire.send(first.clone() + second).await;
                let reply = wire.reply("GET").await.unwrap();
                assert_eq!(reply.is(status).header("connection"), "close", "{first}{second}");
                assert!(wire.rest().await.is_empty(), "{first}{second}");
            }

            // Alone, it leaves the connection open.
            let mut wire = gateway.connect().await;
            wire.send(&first).await;
            let reply = wire.reply("GET").await.unwrap();
            assert_eq!(reply.is(status).header("connection"), "keep-alive", "{first}");
            wire.send(&first).await;
            wire.reply("GET").await.unwrap().is(status);
        }
        let seen = world.upstream.take_requests();
        assert!(seen.iter().all(|request| request.target() == "/public/a"), "{seen:#?}");
    });
}

#[test]
fn a_request_that_comes_while_another_waits_is_the_next_one() {
    story(async {
        let world = World::lease().await;
        let user = world.viewer("ann").await;
        let bearer = format!("Bearer {}", world.token(&user).jwt());
        let authorised = [("Authorization", bearer.as_str()), ("Content-Length", "3")];
        world.upstream.hold();
        let mut wire = world.gateway.connect().await;
        wire.send(world.gateway.bytes("GET", "/api/first", &authorised[..1])).await;
        world.upstream.await_request(|request| request.target() == "/api/first").await;
        wire.send(world.gateway.bytes("GET", "/api/second", &[])).await;
        wire.send(world.gateway.bytes("POST", "/public/third", &authorised) + "abc").await;
        is_noticed(&world).await;
        world.upstream.release();
        let reply = wire.reply("GET").await.unwrap();
        assert_eq!(reply.is(200).header("connection"), "keep-alive");
        // Not on the first one's token.
        let second = wire.reply("GET").await.unwrap();
        second.refused(401, "missing_token");
        if second.header("connection") == "keep-alive" {
            wire.reply("POST").await.unwrap().is(200);
        }
        let seen = world.upstream.take_requests();
        assert!(seen.iter().all(|request| request.target() != "/api/second"), "{seen:#?}");
    });
}

#[test]
fn an_answer_is_not_cut_by_the_next_request() {
    story(async {
        let world = World::lease().await;
        let feed = world.upstream.answer_in_chunks();
        let mut wire = world.gateway.connect().await;
        wire.send(world.gateway.bytes("GET", "/public/a", &[])).await;
        feed.send(b"one".to_vec()).unwrap();
        assert_eq!(wire.head().await.header("connection"), Some("keep-alive"));
        wire.expect(b"3\r\none\r\n").await;
        wire.send(world.gateway.bytes("GET", "/public/b", &[])).await;
        is_noticed(&world).await;
        world.upstream.answer(Answer::status(200));
        feed.send(b"two".to_vec()).unwrap();
        drop(feed);
        wire.expect(b"3\r\ntwo\r\n0\r\n\r\n").await;
        wire.reply("GET").await.unwrap().is(200);
        assert_eq!(world.upstream.take_requests().len(), 2);
    });
}

#[test]
fn a_frame_that_comes_before_the_switch_goes_through_the_tunnel() {
    story(async {
        let world = World::lease().await;
        world.upstream.answer(Answer::UpgradeAndEcho);
        world.upstream.hold();
        let upgrade = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
        ];
        let mut wire = world.gateway.connect().await;
        wire.send(world.gateway.bytes("GET", "/public/socket", &upgrade)).await;
        world.upstream.await_request(|request| request.target() == "/public/socket").await;
        wire.send("early").await;
        is_noticed(&world).await;
        world.upstream.release();
        let head = wire.head().await;
        assert_eq!((head.status(), head.header("connection")), (101, Some("Upgrade")));
        wire.send("late").await;
        wire.expect(b"earlylate").await;
        world.upstream.take_requests();
    });
}
