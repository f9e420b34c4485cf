//! Clients and upstreams that are slow, on purpose or not.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::interval;

use crate::support::reply::Reply;
use crate::support::upstream::Answer;
use crate::support::{SOON, World, eventually, story};

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
        let id = refusal.refused(408, "slow_request").header("x-request-id").to_owned();
        assert!(wire.rest().await.is_empty());
        world.upstream.saw_nothing();
        let labels = [("reason", "slow_request"), ("rule", "none")];
        assert_eq!(world.gateway.metric("auth_gateway_rejections_total", &labels).await, Some(1.0));
        let line = world.gateway.await_access(|line| line["request_id"] == id.as_str()).await;
        assert_eq!((&line["outcome"], &line["status"]), (&"slow_request".into(), &408.into()));
        assert!(line["duration_us"].as_u64().is_some_and(|micros| micros >= 300_000), "{line}");
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

#[test]
fn a_client_that_reads_slowly_but_steadily_is_served() {
    story(async {
        let world = World::build().set("server.write_timeout", "1s").start().await;
        world.upstream.answer(Answer::Whole(200, Vec::new(), vec![b'x'; 48 << 20]));
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        let gateway = SocketAddr::from((Ipv4Addr::LOCALHOST, world.gateway.port()));
        let mut client = socket.connect(gateway).await.unwrap();
        let request = world.gateway.bytes("GET", "/public/page", &[]);
        client.write_all(request.as_bytes()).await.unwrap();
        // The gateway's socket is not writable again before a good deal more has been read.
        let mut pace = interval(Duration::from_millis(50));
        let mut part = vec![0; 16 * 1024];
        for _ in 0..64 {
            pace.tick().await;
            client.read_exact(&mut part).await.unwrap();
        }
        assert!(world.gateway.access_lines().iter().all(|line| line["path"] != "/public/page"));
    });
}

/// An upstream that accepts connections and reads nothing.
fn deaf_upstream() -> (TcpListener, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let listener = socket.listen(16).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn an_upstream_that_takes_nothing_of_a_body_is_left() {
    story(async {
        let (_deaf, url) = deaf_upstream();
        let world = World::build()
            .env("UPSTREAM_URL", &url)
            .set("server.max_body_bytes", 64 << 20)
            .set("server.read_timeout", PATIENCE)
            .set("upstreams.app.write_timeout", PATIENCE)
            .set("upstreams.app.read_timeout", PATIENCE)
            .start()
            .await;
        let mut wire = world.gateway.connect().await;
        let length = (48 << 20).to_string();
        let head = world.gateway.bytes("POST", "/public/page", &[("Content-Length", &length)]);
        let upload = tokio::spawn(async move {
            wire.send(head).await;
            wire.send(vec![b'x'; 48 << 20]).await;
        });
        let line = world.gateway.await_access(|line| line["path"] == "/public/page").await;
        assert_eq!((&line["status"], &line["outcome"]), (&504.into(), &"upstream_timeout".into()));
        upload.await.unwrap();
        eventually("nothing is in flight", SOON, async || {
            let in_flight = world.gateway.metric("auth_gateway_requests_in_flight", &[]).await;
            (in_flight == Some(0.0)).then_some(())
        })
        .await;
    });
}

const CONTINUE: [(&str, &str); 2] = [("Content-Length", "5"), ("Expect", "100-continue")];

/// Posts these bytes of a body under these headers, and no more: the answer.
async fn post(world: &World, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut wire = world.gateway.connect().await;
    wire.send(world.gateway.bytes("POST", "/public/page", headers) + body).await;
    wire.reply("POST").await.unwrap()
}

#[test]
fn a_client_that_waits_for_the_upstream_s_word_is_not_blamed() {
    story(async {
        let (_deaf, url) = deaf_upstream();
        let slow = World::build().set("upstreams.app.read_timeout", PATIENCE);
        let world = slow.env("UPSTREAM_URL", &url).start().await;
        post(&world, &CONTINUE, "").await.refused(504, "upstream_timeout");
    });
}

#[test]
fn a_client_that_was_told_to_go_on_and_does_not_is_refused() {
    story(async {
        let world = World::build().set("server.read_timeout", PATIENCE).start().await;
        // The 100 before is no answer.
        post(&world, &CONTINUE, "").await.refused(408, "slow_request");
    });
}

#[test]
fn an_unasked_continue_does_not_move_the_blame() {
    story(async {
        let world = World::build().set("upstreams.app.read_timeout", PATIENCE).start().await;
        world.upstream.hold();
        // The body is there before the 100.
        post(&world, &CONTINUE, "12345").await.refused(504, "upstream_timeout");
    });
}

#[test]
fn a_client_that_does_not_finish_after_its_answer_blames_nobody() {
    story(async {
        let world = World::build().set("server.read_timeout", PATIENCE).start().await;
        world.upstream.answer(Answer::AtOnce);
        let mut wire = world.gateway.connect().await;
        wire.send(world.gateway.bytes("POST", "/public/page", &[("Content-Length", "5")])).await;
        wire.reply("POST").await.unwrap().is(200);
        assert!(wire.rest().await.is_empty());
        let line = world.gateway.await_access(|line| line["path"] == "/public/page").await;
        assert_eq!((&line["status"], &line["outcome"]), (&200.into(), &"admitted".into()));
    });
}
