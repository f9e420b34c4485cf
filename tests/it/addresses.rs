//! Upstreams whose name has several addresses, not all of which take connections.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4};

use futures::future::join_all;

use crate::support::gateway::Gateway;
use crate::support::names::{Names, Swallower};
use crate::support::process::free_port;
use crate::support::tls::{Front, Identity};
use crate::support::upstream::{Answer, Upstream};
use crate::support::world::Builder;
use crate::support::{SOON, World, eventually, story};

/// Where the usual upstream listens.
const FIRST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const BOTH: [IpAddr; 2] = [IpAddr::V4(FIRST), IpAddr::V4(SECOND)];

const FAILURES: &str = "auth_gateway_upstream_connect_failures_total";
const AVOIDED: &str = "it is avoided while others work";
const WORKS_AGAIN: &str = "works again";

const WEBSOCKET: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];

/// A world whose application is found by a name with both addresses. The files of the names have to
/// live as long as the gateway.
async fn world() -> (World, Names) {
    let builder = World::build().without_redis().set("limits.client.limit", 1_000_000);
    // So that only an address's own silence ends an attempt, however slow the machine is.
    let builder = builder.set("upstreams.app.connect_timeout", "5s");
    named_world(builder, "two.test", &BOTH).await
}

async fn named_world(builder: Builder, name: &str, addresses: &[IpAddr]) -> (World, Names) {
    let services = builder.services().await;
    let names = Names::of(name, addresses);
    let url = format!("http://{name}:{}", services.upstream.port());
    let plan = names.known_to(builder.plan(&services)).env("UPSTREAM_URL", url);
    (World { gateway: Gateway::start(&plan).await, services, plan }, names)
}

/// A world whose application is found by HTTPS at both addresses of a name. What takes connections
/// there is the story's; the file of the names has to live as long as the gateway.
async fn secure_world(identity: &Identity) -> (World, Names, [SocketAddrV4; 2]) {
    let builder = World::build().without_redis().set("upstreams.app.connect_timeout", "4s");
    let services = builder.services().await;
    let names = Names::of("two.test", &BOTH);
    let port = free_port();
    let plan = identity.trusted_by(names.known_to(builder.plan(&services)));
    let plan = plan.env("UPSTREAM_URL", format!("https://two.test:{port}"));
    let world = World { gateway: Gateway::start(&plan).await, services, plan };
    (world, names, [FIRST, SECOND].map(|address| SocketAddrV4::new(address, port)))
}

/// The second address of the world's application.
fn second(world: &World) -> SocketAddrV4 {
    SocketAddrV4::new(SECOND, world.upstream.port())
}

/// Waits until the name is known: until something answers, or nobody does for a reason of his own.
async fn served(world: &World) {
    eventually("a first answer", SOON, async || {
        (world.gateway.get("/public/first").send().await.status == 200).then_some(())
    })
    .await;
    world.upstream.take_requests();
}

async fn opens_a_websocket(world: &World) {
    let mut wire = world.gateway.connect().await;
    wire.send(world.gateway.bytes("GET", "/public/socket", &WEBSOCKET)).await;
    assert_eq!(wire.head().await.status(), 101);
    wire.send("hello").await;
    wire.expect(b"hello").await;
}

async fn is_refused_whatever_is_sent(world: &World) {
    world.gateway.get("/public/page").send().await.refused(502, "upstream_failed");
    let posted = world.gateway.post("/public/page").body("once").send().await;
    posted.refused(502, "upstream_failed");
    let handshake = world.gateway.bytes("GET", "/public/socket", &WEBSOCKET);
    world.gateway.raw(handshake).await.unwrap().refused(502, "upstream_failed");
    world.saw_nothing();
}

#[test]
fn an_address_that_refuses_costs_no_request_and_none_is_sent_twice() {
    story(async {
        let (world, _names) = world().await;
        served(&world).await;
        // Each request makes a connection of its own.
        world.upstream.answer(Answer::status(200).with_header("Connection", "close"));
        join_all((0..20).map(async |client| {
            for number in 0..50 {
                let path = format!("/public/{client}/{number}");
                world.gateway.get(&path).send().await.is(200);
                world.gateway.post(&path).body("once").send().await.is(200);
            }
        }))
        .await;
        let seen = world.upstream.take_requests();
        let which = seen.iter().map(|request| (request.method(), request.target()));
        assert_eq!((seen.len(), which.collect::<BTreeSet<_>>().len()), (2_000, 2_000));
        let posts = seen.iter().filter(|request| request.method() == "POST");
        assert!(posts.clone().all(|post| post.body == b"once") && posts.count() == 1_000);

        assert!(world.gateway.metric(FAILURES, &[("upstream", "app")]).await.unwrap() >= 1.0);
        assert_eq!(world.gateway.count_messages(AVOIDED), 1, "told once, not per request");
        let line = world
            .gateway
            .await_log(|line| line["message"].as_str().unwrap().ends_with(AVOIDED))
            .await;
        assert_eq!(
            (&line["upstream"], &line["address"]),
            (&"app".into(), &second(&world).to_string().into())
        );
    });
}

/// As on most desktops, for an application that listens on one of them.
#[test]
fn localhost_may_be_an_address_of_each_family() {
    story(async {
        let localhost = [Ipv6Addr::LOCALHOST.into(), FIRST.into()];
        let (world, _names) = named_world(World::build(), "localhost", &localhost).await;
        served(&world).await;
        world.upstream.answer(Answer::status(200).with_header("Connection", "close"));
        for _ in 0..10 {
            world.gateway.post("/public/page").body("once").send().await.is(200);
        }
        assert_eq!(world.upstream.take_requests().len(), 10);
    });
}

#[test]
fn an_address_that_works_again_is_used_again() {
    story(async {
        let (world, _names) = world().await;
        served(&world).await;
        eventually("an address is avoided", SOON, async || {
            world.gateway.get("/public/page").send().await.is(200);
            (world.gateway.count_messages(AVOIDED) == 1).then_some(())
        })
        .await;
        let other = Upstream::start_at(second(&world)).await;
        eventually("it is known to work", SOON, async || {
            (world.gateway.count_messages(WORKS_AGAIN) == 1).then_some(())
        })
        .await;
        other.take_requests();
        world.upstream.take_requests();
        for _ in 0..10 {
            world.gateway.get("/public/page").send().await.is(200);
        }
        assert_eq!((world.upstream.take_requests().len(), other.take_requests().len()), (5, 5));
    });
}

#[test]
fn an_application_that_moves_to_its_other_address_is_followed() {
    story(async {
        let (world, _names) = world().await;
        served(&world).await;
        for _ in 0..3 {
            let other = Upstream::start_at(second(&world)).await;
            world.upstream.down().await;
            world.gateway.post("/public/page").body("once").send().await.is(200);
            assert_eq!(other.take_requests().last().unwrap().method(), "POST");
            world.upstream.up().await;
            other.down().await;
            world.gateway.post("/public/page").body("once").send().await.is(200);
            assert_eq!(world.upstream.only_request().body, b"once");
        }
    });
}

#[test]
fn a_name_whose_addresses_have_gone_is_looked_up_again_at_once() {
    story(async {
        let builder = World::build().without_redis().set("upstreams.app.resolve_interval", "1h");
        let (world, names) = named_world(builder, "two.test", &[FIRST.into()]).await;
        served(&world).await;
        let moved = Upstream::start_at(second(&world)).await;
        world.upstream.down().await;
        names.change("two.test", &[SECOND.into()]);
        world.gateway.get("/public/page").send().await.refused(502, "upstream_failed");
        world.saw_nothing();
        moved.saw_nothing();
        served(&world).await;
        moved.await_request(|request| request.complete).await;
    });
}

#[test]
fn servers_that_the_gateway_asks_may_have_a_dead_address_too() {
    story(async {
        let builder = World::build();
        let services = builder.services().await;
        // The dead one is tried first.
        let names = Names::of("two.test", &[SECOND.into(), FIRST.into()]);
        let by_name = |url: &str| url.replace("127.0.0.1", "two.test");
        let plan = names.known_to(builder.plan(&services));
        let plan = plan.env("OPENFGA_URL", by_name(&services.openfga.url()));
        let plan = plan.env("REDIS_URL", by_name(&services.redis.as_ref().unwrap().url()));
        let world = World { gateway: Gateway::start(&plan).await, services, plan };
        for _ in 0..10 {
            let user = world.viewer("ann").await;
            world.gateway.get("/api/report").bearer(world.token(&user)).send().await.is(200);
        }
        eventually("Redis is connected", SOON, async || {
            let connected = world.gateway.metric("auth_gateway_redis_connected", &[]).await;
            (connected == Some(1.0)).then_some(())
        })
        .await;
    });
}

#[test]
fn a_websocket_opens_past_an_address_that_refuses() {
    story(async {
        let (world, _names) = world().await;
        served(&world).await;
        world.upstream.answer(Answer::UpgradeAndEcho);
        for _ in 0..10 {
            opens_a_websocket(&world).await;
        }
        assert_eq!(world.upstream.take_requests().len(), 10);
    });
}

#[test]
fn an_address_that_swallows_is_overtaken_and_then_avoided() {
    story(async {
        let (world, _names) = world().await;
        let _silent = Swallower::listen(SECOND, world.upstream.port()).await;
        served(&world).await;
        world.upstream.answer(Answer::status(200).with_header("Connection", "close"));
        for _ in 0..20 {
            world.gateway.get("/public/page").send().await.is(200);
            world.gateway.post("/public/page").body("once").send().await.is(200);
        }
        assert_eq!(world.upstream.take_requests().len(), 40);
        assert_eq!(world.gateway.count_messages(AVOIDED), 1);
        world.upstream.answer(Answer::UpgradeAndEcho);
        opens_a_websocket(&world).await;
    });
}

#[test]
fn when_all_addresses_refuse_the_upstream_has_failed() {
    story(async {
        let (world, _names) = world().await;
        served(&world).await;
        world.upstream.down().await;
        is_refused_whatever_is_sent(&world).await;
        world.upstream.up().await;
        world.gateway.post("/public/page").body("once").send().await.is(200);
    });
}

#[test]
fn when_all_addresses_swallow_the_upstream_has_failed() {
    story(async {
        let builder = World::build().without_redis();
        let (world, _names) = named_world(builder, "two.test", &BOTH).await;
        served(&world).await;
        world.upstream.down().await;
        let port = world.upstream.port();
        let _silent = tokio::join!(Swallower::listen(FIRST, port), Swallower::listen(SECOND, port));
        is_refused_whatever_is_sent(&world).await;
    });
}

/// Requests over HTTPS past an address where the handshake fails.
async fn a_failed_handshake_costs_nothing(
    identity: &Identity,
    broken: impl AsyncFnOnce(SocketAddrV4) -> Front,
) {
    let (world, _names, [first, second]) = secure_world(identity).await;
    let _working = Front::start(first, identity, &world.upstream).await;
    served(&world).await;
    let _broken = broken(second).await;
    world.upstream.answer(Answer::status(200).with_header("Connection", "close"));
    for _ in 0..10 {
        world.gateway.post("/public/page").body("once").send().await.is(200);
    }
    assert_eq!(world.upstream.take_requests().len(), 10);
    // Probes make the whole connection: the address stays avoided, and is told of once.
    eventually("a probe fails", SOON, async || {
        let failures = world.gateway.metric(FAILURES, &[("upstream", "app")]).await;
        failures.is_some_and(|failures| failures >= 2.0).then_some(())
    })
    .await;
    assert_eq!(world.gateway.count_messages(AVOIDED), 1);
    world.upstream.answer(Answer::UpgradeAndEcho);
    opens_a_websocket(&world).await;
}

#[test]
fn a_handshake_that_comes_to_nothing_costs_no_request() {
    story(async {
        let (identity, stranger) = (Identity::of("two.test"), Identity::of("other.test"));
        let elsewhere = Upstream::start().await;
        a_failed_handshake_costs_nothing(&identity, Front::start_closing).await;
        a_failed_handshake_costs_nothing(&identity, Front::start_frozen).await;
        let as_stranger = async |at| Front::start(at, &stranger, &elsewhere).await;
        a_failed_handshake_costs_nothing(&identity, as_stranger).await;
        elsewhere.saw_nothing();
    });
}

#[test]
fn when_all_handshakes_fail_the_upstream_has_failed() {
    story(async {
        let (identity, stranger) = (Identity::of("two.test"), Identity::of("other.test"));
        let (world, _names, [first, second]) = secure_world(&identity).await;
        let working = Front::start(first, &identity, &world.upstream).await;
        world.upstream.answer(Answer::status(200).with_header("Connection", "close"));
        served(&world).await;
        working.stop().await;
        let _frozen = Front::start_frozen(second).await;
        let closing = Front::start_closing(first).await;
        is_refused_whatever_is_sent(&world).await;
        closing.stop().await;
        let _stranger = Front::start(first, &stranger, &world.upstream).await;
        is_refused_whatever_is_sent(&world).await;
    });
}

#[test]
fn an_only_address_that_swallows_has_failed_too() {
    story(async {
        let world = World::start().await;
        world.upstream.down().await;
        let _silent = Swallower::listen(FIRST, world.upstream.port()).await;
        is_refused_whatever_is_sent(&world).await;
    });
}

#[test]
fn a_request_is_not_repeated_once_something_of_an_answer_has_come() {
    story(async {
        let world = World::start().await;
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
        for begun in ["HTTP/1.1 20", interim] {
            world.upstream.answer(Answer::status(200));
            world.gateway.get("/public/page").send().await.is(200);
            world.upstream.take_requests();
            world.upstream.answer(Answer::Bytes(begun.into()));
            let answer = world.gateway.get("/public/page").send().await;
            answer.refused(502, "upstream_failed");
            assert_eq!(world.upstream.take_requests().len(), 1, "{begun}");
        }
    });
}
