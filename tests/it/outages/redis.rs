//! Redis is away, and what replicas share while it is there.

use crate::support::redis::Redis;
use crate::support::{Mint, SOON, World, eventually, story};

/// Sends until the limit of five speaks; all before it are served.
async fn limit_of_five_holds(world: &World, user: &str) {
    let token = world.token(user).jwt();
    let mut statuses = Vec::new();
    for _ in 0..11 {
        statuses.push(world.gateway.get("/me/page").bearer(&token).send().await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
}

#[test]
fn limits_go_on_without_redis_from_the_start() {
    story(async {
        let redis = Redis::not_started();
        let limit = World::build().without_redis().env("PRINCIPAL_LIMIT", "5");
        let world = limit.env("REDIS_URL", &redis.url()).start().await;
        limit_of_five_holds(&world, "ann").await;
        world.gateway.await_message("Rate limiting skipped").await;
        assert_eq!(world.gateway.metric("auth_gateway_redis_connected", &[]).await, Some(0.0));

        redis.up().await;
        eventually("Redis is found", SOON, async || {
            let connected = world.gateway.metric("auth_gateway_redis_connected", &[]).await;
            (connected == Some(1.0)).then_some(())
        })
        .await;
        limit_of_five_holds(&world, "bob").await;
        assert_eq!(world.gateway.count_messages("Rate limiting skipped"), 1);
    });
}

#[test]
fn limits_go_on_while_redis_is_away() {
    story(async {
        let world = World::build().env("PRINCIPAL_LIMIT", "5").start().await;
        let connected = async |wanted: f64| {
            eventually("the gauge follows", SOON, async || {
                let now = world.gateway.metric("auth_gateway_redis_connected", &[]).await;
                (now == Some(wanted)).then_some(())
            })
            .await;
        };
        connected(1.0).await;
        limit_of_five_holds(&world, "ann").await;
        world.redis().down();
        limit_of_five_holds(&world, "bob").await;
        connected(0.0).await;
        limit_of_five_holds(&world, "cid").await;
        assert_eq!(world.gateway.count_messages("Rate limiting skipped"), 1);
        world.redis().up().await;
        connected(1.0).await;
        limit_of_five_holds(&world, "dan").await;

        world.redis().freeze();
        limit_of_five_holds(&world, "eve").await;
        connected(0.0).await;
        world.redis().thaw();
        connected(1.0).await;
    });
}

#[test]
fn two_gateways_share_a_limit() {
    story(async {
        let world = World::build().env("PRINCIPAL_LIMIT", "200").start().await;
        let second = world.another_gateway().await;
        let token = world.token("ann").jwt();
        for _ in 0..200 {
            world.gateway.get("/me/page").bearer(&token).send().await;
        }
        // Counts travel in the background; the other gateway has admitted none of its own yet.
        eventually("the second gateway knows", SOON, async || {
            let answer = second.get("/me/page").bearer(&token).send().await;
            (answer.status == 429).then_some(())
        })
        .await;
        let admitted = world.upstream.take_requests().len();
        // Alone it would have admitted 200 more.
        assert!((200..400).contains(&admitted), "{admitted}");
    });
}
