//! Key sets as issuers really serve them, hostile ones among them.

use super::*;
use crate::authn::Algorithm;
use crate::authn::testing::encode;
use crate::telemetry::testing::Log;

/// The public key under another kid.
fn named(signer: &Signer, kid: &str) -> Value {
    with(signer, "kid", json!(kid))
}

fn with(signer: &Signer, name: &str, value: Value) -> Value {
    let mut jwk = signer.jwk();
    jwk[name] = value;
    jwk
}

fn set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

impl World {
    async fn serving(keys: &[Value]) -> Self {
        let world = Self::new([Some(set(keys))]);
        world.keys.refresh().await;
        world
    }

    /// Signed by `signer`, which calls itself `kid`.
    async fn verify_as(&self, signer: &Signer, kid: Option<&str>) -> Result<u64, TokenError> {
        let mut header = signer.header();
        match kid {
            Some(kid) => header["kid"] = json!(kid),
            None => _ = header.as_object_mut().expect("object").remove("kid"),
        }
        self.verify_token(&signer.sign(&header.to_string(), claims().to_string().as_bytes())).await
    }

    async fn verify_token(&self, token: &str) -> Result<u64, TokenError> {
        let jws = Jws::parse(token).expect("token");
        self.keys.verify(&jws, self.clock.now()).await
    }
}

#[tokio::test]
async fn one_kid_may_mean_a_key_of_each_type() {
    let signers = [&*RSA, &*P256, &*P384, &*ED25519];
    let world = World::serving(&signers.map(|signer| named(signer, "1"))).await;
    for signer in signers {
        assert!(world.verify_as(signer, Some("1")).await.is_ok(), "{}", signer.kid);
    }
    assert_eq!(world.verify_as(&p256("1"), Some("1")).await, Err(TokenError::BadSignature));
}

#[tokio::test]
async fn a_key_that_is_listed_twice_is_one_key() {
    let world = World::serving(&[P256.jwk(), P256.jwk()]).await;
    assert!(world.verify(&P256).await.is_ok());
    assert!(world.verify_as(&P256, None).await.is_ok());
    // With and without a kid, or under two: the material is what a token without one needs.
    let mut nameless = P256.jwk();
    nameless.as_object_mut().expect("object").remove("kid");
    let world = World::serving(&[nameless, P256.jwk(), named(&P256, "2")]).await;
    for kid in [Some("p256"), Some("2"), None] {
        assert!(world.verify_as(&P256, kid).await.is_ok(), "{kid:?}");
    }
    assert_eq!(world.verify_as(&P256, Some("3")).await, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn one_key_may_be_listed_for_two_algorithms() {
    let bound = |alg: &str| with(&RSA, "alg", json!(alg));
    let world = World::serving(&[bound("RS256"), bound("PS256")]).await;
    let token = |algorithm: Algorithm| {
        let header = json!({"alg": algorithm.name(), "kid": "rsa"}).to_string();
        RSA.sign_as(algorithm, &header, claims().to_string().as_bytes())
    };
    for algorithm in [Algorithm::RS256, Algorithm::PS256] {
        assert!(world.verify_token(&token(algorithm)).await.is_ok(), "{algorithm:?}");
    }
    let other = world.verify_token(&token(Algorithm::RS512)).await;
    assert_eq!(other, Err(TokenError::AlgorithmNotAllowed));
}

#[tokio::test]
async fn of_two_keys_with_one_name_either_verifies_and_no_other() {
    let pairs = ["1"; 6].map(p256);
    let world = World::serving(&pairs.each_ref().map(Signer::jwk)).await;
    for signer in &pairs[..4] {
        assert!(world.verify(signer).await.is_ok());
    }
    // Beyond a few, a token would cost too much.
    for signer in &pairs[4..] {
        assert_eq!(world.verify(signer).await, Err(TokenError::BadSignature));
    }
    // Without the name nothing tells which one is meant.
    assert_eq!(world.verify_as(&pairs[0], None).await, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn an_entry_that_cannot_be_used_is_left_out_and_told_of_once() {
    let log = Log::capture();
    let odd = with(&P384, "crv", json!("secp256k1"));
    let world = World::serving(&[odd.clone(), P256.jwk()]).await;
    world.keys.refresh().await;
    assert!(world.verify(&P256).await.is_ok());
    let line = "key left out of the key set";
    assert_eq!(log.lines(line), 1, "{}", log.text());
    assert!(log.text().contains(r#""kid":"p384","reason":"unsupported type or curve""#));
    world.source.then(Some(set(&[odd, P256.jwk(), with(&ED25519, "use", json!("enc"))])));
    world.keys.refresh().await;
    world.keys.refresh().await;
    assert_eq!(log.lines(line), 2, "{}", log.text());
    // Where nothing is left, the failure says why.
    world.source.then(Some(set(&[with(&ED25519, "use", json!("enc"))])));
    world.keys.refresh().await;
    let cause = r#"the key set has no usable key; \"ed25519\": not a key for signatures"#;
    assert!(log.text().contains(cause), "{}", log.text());
}

#[test]
fn points_of_small_order_are_no_keys() {
    let hex = |text: &str| -> Vec<u8> {
        let pairs = text.as_bytes().chunks(2);
        pairs.map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap()).collect()
    };
    let between =
        |first: &str, middle: &str, last: &str| hex(&[first, &middle.repeat(30), last].concat());
    let points = [
        between("00", "00", "00"),
        between("01", "00", "00"),
        hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        between("ec", "ff", "7f"),
        between("ed", "ff", "7f"),
        between("ee", "ff", "7f"),
    ];
    for point in points {
        for sign in [0, 0x80] {
            let mut point = point.clone();
            point[31] |= sign;
            check_jwk("small order", &with(&ED25519, "x", json!(encode(&point))), false);
            // The sign is no part of y; any other bit makes it another point.
            point[5] ^= 1;
            check_jwk("another point", &with(&ED25519, "x", json!(encode(point))), true);
        }
    }
}

/// Anybody can sign for the identity: R is the identity too, and s is zero.
#[tokio::test]
async fn a_signature_that_needs_no_secret_verifies_nothing() {
    let identity = encode([[1].as_slice(), &[0; 31]].concat());
    let forged = encode([[1].as_slice(), &[0; 63]].concat());
    let weak = with(&ED25519, "x", json!(identity));
    let header = json!({"alg": "EdDSA", "kid": "ed25519"}).to_string();
    let token = format!("{}.{}.{forged}", encode(header), encode(claims().to_string()));
    let world = World::serving(&[weak.clone(), P256.jwk()]).await;
    assert_eq!(world.verify_token(&token).await, Err(TokenError::UnknownKey));
    let world = World::serving(&[weak]).await;
    assert_eq!(world.verify_token(&token).await, Err(TokenError::KeysUnavailable));
}

#[tokio::test]
async fn new_material_under_an_old_kid_is_fetched_at_the_first_token() {
    let world = World::loaded(&[&P256]).await;
    let rebuilt = p256("p256");
    world.source.then(Some(jwks(&[&rebuilt])));
    let all = (0..100).map(|_| world.verify(&rebuilt));
    assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
    assert_eq!((world.source.loads(), world.events.generation()), (2, 2));
    assert_eq!(world.verify(&P256).await, Err(TokenError::BadSignature));
    // Also where the issuer changed the type, and where it never names its keys.
    world.clock.advance(COOL_DOWN);
    world.source.then(Some(set(&[named(&ED25519, "p256")])));
    assert!(world.verify_as(&ED25519, Some("p256")).await.is_ok());
    world.clock.advance(COOL_DOWN);
    world.source.then(Some(jwks(&[&RSA])));
    assert_eq!(world.verify_as(&P384, None).await, Err(TokenError::UnknownKey));
    assert_eq!(world.source.loads(), 3);
}

#[tokio::test]
async fn a_flood_of_bad_signatures_causes_one_fetch_per_cool_down_and_hinders_nobody() {
    let world = World::loaded(&[&P256, &RSA]).await;
    let forger = p256("p256");
    for expected in [2, 3, 4] {
        for _ in 0..100 {
            assert_eq!(world.verify(&forger).await, Err(TokenError::BadSignature));
            assert_eq!(
                world.verify_as(&ED25519, Some("rsa")).await,
                Err(TokenError::AlgorithmNotAllowed)
            );
            assert_eq!(world.verify(&p256("random")).await, Err(TokenError::UnknownKey));
        }
        world.clock.advance(Duration::from_millis(4_999));
        assert_eq!(world.verify(&forger).await, Err(TokenError::BadSignature));
        assert_eq!(world.source.loads(), expected);
        world.clock.advance(Duration::from_millis(1));
    }
    // While a fetch that a forged token has caused is under way, a good one is not kept.
    let good = tokio::select! {
        biased;
        _ = world.verify(&forger) => None,
        good = world.verify(&P256) => Some(good),
    };
    assert!(good.is_some_and(|good| good.is_ok()));
    assert_eq!(world.events.generation(), 1);
}

/// The key is there and speaks against the token; an outage is no reason to hope for another.
#[tokio::test]
async fn a_bad_signature_is_one_during_an_outage_too() {
    let world = World::loaded(&[&P256]).await;
    world.source.then(None);
    for _ in 0..3 {
        assert_eq!(world.verify(&p256("p256")).await, Err(TokenError::BadSignature));
    }
    assert_eq!(world.source.loads(), 2);
    assert!(world.verify(&P256).await.is_ok());
}
