//! A client with a key instead of a secret.

use super::*;
use crate::authn::ClientKey;
use crate::dev::issuer::{Issuer, Settings};

/// The developers' issuer, which verifies what is signed.
struct Proven {
    issuer: Issuer,
    authenticator: Authenticator,
    clock: Arc<ManualClock>,
}

impl Proven {
    async fn new() -> Self {
        let (clock, shared) = clock();
        let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let issuer = Issuer::start(listen, Settings::default(), Arc::clone(&shared)).await.unwrap();
        let key = ClientKey::parse(&issuer.client_key().unwrap().to_string()).unwrap();
        let mut settings = IssuerSettings::new(issuer.url());
        let mut client = IntrospectionSettings::with_key(key);
        client.timeout = Duration::from_secs(30);
        settings.introspection = Some(client);
        let authenticator = Authenticator::new(vec![settings], &shared).unwrap();
        Self { issuer, authenticator, clock }
    }

    async fn verify_a_new_token(&self) -> Result<Verified, TokenError> {
        let token = self.issuer.token("ann").opaque().unwrap();
        let bearer = Bearer::parse(token.as_bytes())?;
        self.authenticator.verify(bearer, self.clock.now()).await
    }
}

#[tokio::test]
async fn one_proof_serves_many_calls_and_is_replaced_before_it_ends() {
    let proven = Proven::new().await;
    for _ in 0..3 {
        assert!(proven.verify_a_new_token().await.is_ok());
    }
    assert_eq!(proven.issuer.hits().assertions, 1);
    proven.clock.advance(Duration::from_millis(25 * 60_000 - 1));
    assert!(proven.verify_a_new_token().await.is_ok());
    assert_eq!(proven.issuer.hits().assertions, 1);
    proven.clock.advance(Duration::from_millis(1));
    assert!(proven.verify_a_new_token().await.is_ok());
    assert_eq!(proven.issuer.hits().assertions, 2);
}

#[tokio::test]
async fn a_wall_clock_that_was_set_asks_for_another_proof_and_not_for_one_each_time() {
    let proven = Proven::new().await;
    for (step, proofs) in [(0, 1), (3_600_000, 2), (-7_200_000, 3)] {
        proven.clock.step_wall(step);
        for _ in 0..3 {
            assert!(proven.verify_a_new_token().await.is_ok(), "{step}");
        }
        assert_eq!(proven.issuer.hits().assertions, proofs, "{step}");
    }
    assert_eq!(proven.issuer.hits().introspection, 9);
}

#[tokio::test]
async fn a_key_that_was_taken_back_is_an_outage_and_asked_about_once_more_only() {
    let proven = Proven::new().await;
    assert!(proven.verify_a_new_token().await.is_ok());
    proven.issuer.remove_client_keys();
    let log = crate::telemetry::testing::Log::capture();
    let refused = proven.verify_a_new_token().await.err();
    assert_eq!(refused, Some(TokenError::IntrospectionUnavailable));
    // The proof in use, and a new one.
    assert_eq!(proven.issuer.hits().introspection, 3);
    let text = log.text();
    assert!(text.contains("the endpoint refuses our client and its key, with 401"), "{text}");
    assert!(text.contains("ZITADEL_KEY_FILE"), "{text}");
    assert!(!text.contains("eyJ"), "{text}");
}

#[tokio::test]
async fn what_is_sent_is_a_short_jwt_for_this_issuer_and_no_secret() {
    let (file, _) = crate::dev::issuer::new_client_key("7", "api:app").unwrap();
    let key = ClientKey::parse(&file.to_string()).unwrap();
    let world = World::with(|client| *client = IntrospectionSettings::with_key(key)).await;
    assert!(world.verify(TOKEN).await.is_ok());
    let seen = world.site.requests("/introspect").remove(0);
    assert!(!seen.headers.contains_key("authorization"));
    let form: std::collections::HashMap<_, _> =
        url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect();
    assert_eq!(form["token"], TOKEN);
    assert_eq!(
        form["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    let header = jsonwebtoken::decode_header(&form["client_assertion"]).unwrap();
    assert_eq!((header.alg, header.kid.as_deref()), (jsonwebtoken::Algorithm::RS256, Some("7")));
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(&form["client_assertion"]);
    let claims = claims.unwrap().claims;
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("api:app"), &json!("api:app")));
    assert_eq!(claims["aud"], json!(world.site.url));
    assert_eq!(claims["iat"], json!(START_SECS - 10));
    assert_eq!(claims["exp"], json!(START_SECS - 10 + 1_800));
    assert_eq!(claims["jti"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn an_issuer_that_takes_each_proof_once_gets_a_new_one_each_time() {
    let proven = Proven::new().await;
    proven.issuer.take_each_assertion_once();
    for round in 1..=4 {
        assert!(proven.verify_a_new_token().await.is_ok(), "{round}");
    }
    let hits = proven.issuer.hits();
    // Once it is found out, there is one call for each token.
    assert_eq!((hits.introspection, hits.assertions), (5, 4));
}
