//! Keys as issuers really serve them, and tokens that look signed by a newer one.

use std::time::Instant;

use auth_gateway::dev::issuer::Algorithm;
use futures::future::join_all;

use crate::support::attack::Parts;
use crate::support::gateway::Gateway;
use crate::support::{Mint, World, story};

#[test]
fn one_kid_may_mean_a_key_of_each_type() {
    story(async {
        let world = World::build().without_redis();
        let services = world.services().await;
        let kid = services.issuer.active_kid().unwrap();
        let others = [Algorithm::Es256, Algorithm::EdDsa];
        for algorithm in others {
            services.issuer.publish_key_as(&kid, algorithm).unwrap();
        }
        let gateway = Gateway::start(&world.plan(&services)).await;
        for algorithm in others.into_iter().chain([Algorithm::Rs256]) {
            let token = services.issuer.token("ann").alg(algorithm).jwt();
            let answer = gateway.get("/me/page").bearer(&token).send().await;
            assert_eq!(answer.status, 200, "{algorithm:?}: {answer:?}");
        }
        assert_eq!(services.upstream.take_requests().len(), 3);
        assert_eq!(services.issuer.hits().keys, 1);
    });
}

#[test]
fn an_issuer_that_was_rebuilt_is_believed_at_its_first_token() {
    story(async {
        let world = World::build().without_redis().start().await;
        let (issuer, old) = (&world.issuer, world.token("ann").jwt());
        world.gateway.get("/me/page").bearer(&old).send().await.is(200);
        let kid = issuer.active_kid().unwrap();
        issuer.remove_key(&kid);
        issuer.publish_key_as(&kid, Algorithm::Rs256).unwrap();
        let new = world.token("ann").jwt();
        world.gateway.get("/me/page").bearer(&new).send().await.is(200);
        assert_eq!(world.upstream.take_requests().len(), 2);
        // Its key is withdrawn, so that nothing of it is remembered.
        let answer = world.gateway.get("/me/page").bearer(&old).send().await;
        answer.refused(401, "bad_signature");
        world.saw_nothing();
    });
}

#[test]
fn a_flood_of_forged_signatures_asks_the_issuer_once_in_five_seconds() {
    story(async {
        let world = World::build().without_redis().start().await;
        let (before, began) = (world.issuer.hits().keys, Instant::now());
        let forge = |user: usize| {
            let mut parts = Parts::of(&world.token(&format!("forged-{user}")).jwt());
            parts.signature[9] ^= 1;
            parts.token()
        };
        for batch in 0..10 {
            let forged = (0..20).map(async |number| {
                let token = forge(batch * 20 + number);
                let answer = world.gateway.get("/me/page").bearer(&token).send().await;
                answer.refused(401, "bad_signature");
            });
            join_all(forged).await;
            world.saw_nothing();
            // A token that nobody has seen, in the middle of it.
            let good = world.token("ann").claim("batch", batch).jwt();
            world.gateway.get("/me/page").bearer(&good).send().await.is(200);
            assert_eq!(world.upstream.take_requests().len(), 1);
        }
        let most = 1 + began.elapsed().as_secs() / 5;
        let asked = world.issuer.hits().keys - before;
        assert!((1..=most).contains(&asked), "{asked} fetches, {most} at most");
    });
}
