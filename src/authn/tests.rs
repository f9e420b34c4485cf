//! The attacks of RFC 8725 and of the last years' advisories, each with the refusal it gets and
//! without causing a fetch; and what is accepted.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::testing::{
    ED25519, ISSUER, P256, P384, RSA, START_SECS, ScriptedKeys, Signer, claims, clock, encode, jwks,
};
use super::*;
use crate::clock::{Clock as _, ManualClock};

mod attacks;
mod explained;
mod wycheproof;

struct World {
    authenticator: Arc<Authenticator>,
    keys: Arc<ScriptedKeys>,
    clock: Arc<ManualClock>,
}

impl World {
    async fn new(change: impl FnOnce(&mut IssuerSettings)) -> Self {
        let keys = ScriptedKeys::new([Some(jwks(&[&RSA, &P256, &P384, &ED25519]))]);
        let mut issuer = IssuerSettings::new(ISSUER);
        issuer.audiences = Audiences::List(vec!["gateway".into()]);
        change(&mut issuer);
        Self::with(vec![issuer], keys).await
    }

    async fn with(issuers: Vec<IssuerSettings>, keys: Arc<ScriptedKeys>) -> Self {
        let (clock, shared) = clock();
        let source = Arc::clone(&keys);
        let authenticator =
            Authenticator::with_key_sources(issuers, &shared, |_| Some(Arc::clone(&source) as _))
                .expect("authenticator");
        let authenticator = Arc::new(authenticator);
        for issuer in &authenticator.issuers {
            issuer.keys.refresh().await;
        }
        Self { authenticator, keys, clock }
    }

    async fn verify(&self, token: &str) -> Result<Verified, TokenError> {
        let bearer = Bearer::parse(token.as_bytes())?;
        self.authenticator.verify(bearer, self.clock.now()).await
    }
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = claims();
    change(&mut claims);
    claims
}

#[tokio::test]
async fn an_access_token_becomes_a_principal() {
    let world = World::new(|_| ()).await;
    let verified = world.verify(&P256.token(&claims())).await.expect("verified");
    assert_eq!(verified.principal.user(), "user:281");
    assert_eq!(verified.principal.issuer(), ISSUER);
    assert!(verified.principal.audiences().eq(["gateway", "77"]));
    assert_eq!(verified.principal.issued_at_millis(), Some(START_SECS * 1_000));
    assert_eq!(verified.belief.expires_unix_millis, (START_SECS + 3_600) * 1_000);
    assert_eq!(verified.belief.generation, world.authenticator.generation());
}

#[tokio::test]
async fn every_algorithm_verifies() {
    let world = World::new(|_| ()).await;
    for algorithm in Algorithm::ALL {
        let signer: &Signer = match algorithm {
            Algorithm::ES256 => &P256,
            Algorithm::ES384 => &P384,
            Algorithm::EdDSA => &ED25519,
            _ => &RSA,
        };
        let mut header = signer.header();
        header["alg"] = json!(algorithm.name());
        let payload = claims().to_string();
        let token = signer.sign_as(algorithm, &header.to_string(), payload.as_bytes());
        assert!(world.verify(&token).await.is_ok(), "{algorithm:?}");
    }
}

#[tokio::test]
async fn tokens_of_other_providers_are_accepted() {
    let world = World::new(|issuer| {
        issuer.claim_headers =
            vec![(http::HeaderName::from_static("x-user-email"), "email".to_owned())];
    })
    .await;
    let at_jwt = json!({"alg": "ES256", "kid": "p256", "typ": "at+jwt"}).to_string();
    let payload = changed(|claims| {
        claims["aud"] = json!("gateway");
        claims["scope"] = json!("openid read");
        claims["exp"] = json!(1_790_000_010.5);
        claims["email"] = json!("anne@example.com");
        claims["act"] = json!({"sub": "admin"});
    });
    let token = P256.sign(&at_jwt, payload.to_string().as_bytes());
    let verified = world.verify(&token).await.expect("verified");
    assert!(verified.principal.has_all_scopes(&["read"]));
    assert!(verified.principal.is_delegated());
    assert_eq!(verified.principal.claim_headers()[0].1, "anne@example.com");
    assert_eq!(verified.belief.expires_unix_millis, START_SECS * 1_000 + 10_500);
}

#[tokio::test]
async fn a_token_without_kid_is_accepted_when_one_key_fits() {
    let world = World::new(|_| ()).await;
    let token = P256.sign(r#"{"alg":"ES256"}"#, claims().to_string().as_bytes());
    assert!(world.verify(&token).await.is_ok());
    world.keys.then(Some(jwks(&[&P256, &super::testing::p256("second")])));
    world.authenticator.issuers[0].keys.refresh().await;
    assert_eq!(world.verify(&token).await.err(), Some(TokenError::UnknownKey));
    assert_eq!(world.keys.loads(), 2);
}

#[tokio::test]
async fn a_token_dies_with_its_expiry() {
    let world = World::new(|_| ()).await;
    let token = P256.token(&claims());
    world.clock.advance(Duration::from_secs(3_599));
    assert!(world.verify(&token).await.is_ok());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.verify(&token).await.err(), Some(TokenError::Expired));
}

#[tokio::test]
async fn a_clock_behind_the_issuers_is_tolerated_up_to_the_skew() {
    let world = World::new(|_| ()).await;
    let from = |secs: u64| P256.token(&changed(|claims| claims["iat"] = json!(START_SECS + secs)));
    assert!(world.verify(&from(30)).await.is_ok());
    assert_eq!(world.verify(&from(31)).await.err(), Some(TokenError::NotYetValid));
}

#[tokio::test]
async fn two_issuers_have_separate_keys_and_users() {
    let keys = [&*RSA, &*P256].map(|key| ScriptedKeys::new([Some(jwks(&[key]))]));
    let first = IssuerSettings::new(ISSUER);
    let mut second = IssuerSettings::new("https://acme.example");
    second.user_template = Some("user:acme|{sub}".into());
    let (clock, shared) = clock();
    let authenticator = Authenticator::with_key_sources(vec![first, second], &shared, |issuer| {
        let index = usize::from(issuer.url != ISSUER);
        Some(Arc::clone(&keys[index]) as _)
    })
    .expect("authenticator");
    let were_loaded = authenticator.keys_were_loaded();
    for issuer in &authenticator.issuers {
        assert!(!*were_loaded.borrow());
        issuer.keys.refresh().await;
    }
    assert!(*were_loaded.borrow());

    let acme = changed(|claims| claims["iss"] = json!("https://acme.example"));
    let verify = async |token: &str| {
        let bearer = Bearer::parse(token.as_bytes()).expect("bearer");
        authenticator.verify(bearer, clock.now()).await.map(|verified| verified.principal)
    };
    assert_eq!(verify(&RSA.token(&claims())).await.expect("first").user(), "user:281");
    let principal = verify(&P256.token(&acme)).await.expect("second");
    assert_eq!((principal.issuer_index(), principal.user()), (1, "user:acme|281"));
    // The second issuer's key does not speak for the first, and the other way round.
    assert_eq!(verify(&P256.token(&claims())).await.err(), Some(TokenError::UnknownKey));
    assert_eq!(verify(&RSA.token(&acme)).await.err(), Some(TokenError::UnknownKey));
    let posing = changed(|claims| claims["sub"] = json!("acme|281"));
    assert_eq!(verify(&RSA.token(&posing)).await.err(), Some(TokenError::MalformedToken));
}

#[tokio::test]
async fn an_opaque_token_needs_introspection() {
    let world = World::new(|_| ()).await;
    assert_eq!(world.verify("b3BhcXVl").await.err(), Some(TokenError::NotIntrospected));
    assert_eq!(world.keys.loads(), 1);
}

#[tokio::test]
async fn algorithms_can_be_restricted_per_issuer() {
    let world = World::new(|issuer| issuer.algorithms = vec![Algorithm::RS256]).await;
    assert!(world.verify(&RSA.token(&claims())).await.is_ok());
    let refusal = world.verify(&P256.token(&claims())).await.err();
    assert_eq!(refusal, Some(TokenError::AlgorithmNotAllowed));
}

/// Any change of one character of a token is refused, whatever it hits.
#[tokio::test]
async fn no_bit_of_a_token_is_without_meaning() {
    let world = World::new(|_| ()).await;
    let token = P256.token(&claims());
    for position in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("ASCII");
        assert!(world.verify(&changed).await.is_err(), "position {position}");
    }
    for end in 0..token.len() {
        assert!(world.verify(&token[..end]).await.is_err(), "cut at {end}");
    }
}

fn forged(header: &str) -> String {
    format!("{}.{}.{}", encode(header), encode(claims().to_string()), encode([7; 64]))
}
