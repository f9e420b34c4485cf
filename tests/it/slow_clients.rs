//! Clients that are slow, on purpose or not.

use crate::support::upstream::Answer;
use crate::support::{World, story};

const PATIENCE: &str = "300ms";

#[test]
fn a_head_that_trickles_is_refused_before_it_is_a_request() {
    story(async {
        let world = World::build().set("server.header_timeout", PATIENCE).start().await;
        let mut wire = world.gateway.connect().await;
        for _ in 0..2 {
            wire.send(world.gateway.bytes("GET", "/public/page", &[])).await;
            wire.reply("GET").await.unwrap().is(200);
        }
        world.upstream.take_requests();
        wire.send("GET /public/page HTTP/1.1\r\nHost: a").await;
        let refusal = wire.reply("GET").await.unwrap();
        assert_eq!((refusal.status, refusal.reason().as_str()), (408, "slow_request"));
        assert!(wire.rest().await.is_empty());
        world.upstream.saw_nothing();
        let labels = [("reason", "slow_request"), ("rule", "none")];
        assert_eq!(world.gateway.metric("auth_gateway_rejections_total", &labels).await, Some(1.0));
    });
}

#[test]
fn a_body_that_stops_is_the_client_s_fault() {
    story(async {
        let world = World::build()
            .set("server.read_timeout", PATIENCE)
            // Shorter, but the upstream has not got the request yet.
            .set("upstreams.app.read_timeout", "1ms")
            .start()
            .await;
        world.upstream.answer(Answer::Echo);
        let mut wire = world.gateway.connect().await;
        wire.send(world.gateway.bytes("POST", "/public/page", &[("Content-Length", "10")])).await;
        wire.send("begun").await;
        wire.reply("POST").await.unwrap().refused(408, "slow_request");
        let line = world.gateway.await_access(|line| line["status"] == 408).await;
        assert_eq!(line["outcome"], "slow_request");
        assert_eq!(line["error"], "the client has stopped sending");
        assert!(wire.rest().await.is_empty());
    });
}

#[test]
fn an_idle_connection_is_closed() {
    story(async {
        let world = World::build().set("server.keepalive_timeout", "1s").start().await;
        let mut wire = world.gateway.connect().await;
        wire.send(world.gateway.bytes("GET", "/public/page", &[])).await;
        wire.reply("GET").await.unwrap().is(200);
        assert!(wire.rest().await.is_empty());
        let mut silent = world.gateway.connect().await;
        assert!(silent.rest().await.is_empty());
    });
}

#[test]
fn a_client_that_takes_nothing_does_not_hold_an_answer_for_ever() {
    story(async {
        let world = World::build().set("server.write_timeout", PATIENCE).start().await;
        // More than the sockets in between can hold.
        world.upstream.answer(Answer::Whole(200, Vec::new(), vec![b'x'; 48 << 20]));
        let mut wire = world.gateway.connect().await;
        wire.send(world.gateway.bytes("GET", "/public/page", &[])).await;
        assert_eq!(wire.head().await.status(), 200);
        let line = world.gateway.await_access(|line| line["path"] == "/public/page").await;
        assert_eq!(line["error"], "the client has stopped reading");
        assert!(wire.rest().await.len() < 48 << 20);
    });
}
