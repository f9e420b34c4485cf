//! WebSockets last no longer than the token that opened them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::gateway::Wire;
use crate::support::upstream::Answer;
use crate::support::websocket::{CLOSE, HANDSHAKE, TEXT, masked, unmasked};
use crate::support::world::Builder;
use crate::support::{Mint, SOON, World, eventually, story};

fn build() -> Builder {
    World::build().without_redis().set("streams.expiry_grace", "0s")
}

/// A token's end that a slow machine still sees as the future.
fn soon() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 5
}

/// An open WebSocket of a caller with this token.
async fn open(world: &World, token: &str) -> Wire {
    let bearer = format!("Bearer {token}");
    let headers = [&HANDSHAKE[..], &[("Authorization", bearer.as_str())]].concat();
    let mut wire = world.gateway.connect().await;
    wire.send(world.gateway.bytes("GET", "/me/socket", &headers)).await;
    assert_eq!(wire.head().await.status(), 101);
    wire
}

#[test]
fn a_token_that_expires_closes_its_websocket_at_both_ends() {
    story(async {
        let world = build().start().await;
        world.upstream.answer(Answer::WebSocket(None));
        for mint in [Mint::jwt, Mint::opaque_token] {
            let token = mint(world.token("ann").claim("exp", soon()));
            let mut wire = open(&world, &token).await;
            wire.send(masked(TEXT, b"hello")).await;
            assert_eq!(wire.frame().await.payload, b"hello");

            let end = wire.frame().await;
            assert_eq!(end.close(), Some((1008, "token expired".to_owned())), "{end:?}");
            let told = world.upstream.await_frame(|frame| frame.opcode == CLOSE).await;
            assert!(told.is_masked);
            assert_eq!(told.close(), end.close());

            wire.send(masked(CLOSE, &1008_u16.to_be_bytes())).await;
            assert_eq!(wire.rest().await, b"");
            let expired =
                |line: &serde_json::Value| line["error"] == "the caller's token has expired";
            let line = world.gateway.await_access(expired).await;
            assert_eq!((&line["status"], &line["outcome"]), (&101.into(), &"admitted".into()));
        }
    });
}

#[test]
fn what_is_on_its_way_when_a_token_expires_arrives_first() {
    story(async {
        let world = build().start().await;
        world.upstream.answer(Answer::UpgradeAndEcho);
        let mut wire = open(&world, &world.token("ann").claim("exp", soon()).jwt()).await;
        // The upstream sends back what it gets, so this begins a frame in each direction.
        let frame = unmasked(TEXT, b"one message");
        wire.send(&frame[..5]).await;
        wire.expect(&frame[..5]).await;
        let end = soon() * 1000;
        eventually("the token has expired", SOON, async || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
            (now > u128::from(end)).then_some(())
        })
        .await;
        wire.send(&frame[5..]).await;
        wire.expect(&frame[5..]).await;
        let end = wire.frame().await;
        assert_eq!(end.close(), Some((1008, "token expired".to_owned())), "{end:?}");
    });
}

#[test]
fn a_websocket_may_outlast_its_token_where_that_is_wanted() {
    story(async {
        let world = build().set("streams.close_on_expiry", false).start().await;
        world.upstream.answer(Answer::WebSocket(None));
        let token = world.token("ann").claim("exp", soon()).jwt();
        let mut wire = open(&world, &token).await;
        eventually("the token is refused", SOON, async || {
            let answer = world.gateway.get("/me/page").bearer(&token).send().await;
            (answer.reason() == "expired").then_some(())
        })
        .await;
        wire.send(masked(TEXT, b"still here")).await;
        assert_eq!(wire.frame().await.payload, b"still here");
    });
}
