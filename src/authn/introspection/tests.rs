use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::testing::site::Site;
use super::super::testing::{P256, START_SECS, claims, clock, jwks};
use super::super::{
    Audiences, Authenticator, Bearer, IntrospectionSettings, IssuerSettings, TokenCache,
    TokenError, Verified,
};
use crate::clock::{Clock as _, ManualClock};
use crate::secret::Secret;

mod faults;
mod key;

const TOKEN: &str = "b3BhcXVl";

struct World {
    site: Site,
    authenticator: Arc<Authenticator>,
    clock: Arc<ManualClock>,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut IntrospectionSettings)) -> Self {
        let site = Site::issuer(&jwks(&[&P256])).await;
        let mut client = IntrospectionSettings::new("api:app", Secret::new("se cret/+ü"));
        // Far above what loopback needs on a busy machine.
        client.timeout = Duration::from_secs(30);
        change(&mut client);
        let mut issuer = IssuerSettings::new(&site.url);
        issuer.audiences = Audiences::List(vec!["gateway".into()]);
        issuer.introspection = Some(client);
        let (clock, shared) = clock();
        let authenticator = Authenticator::new(vec![issuer], &shared).expect("authenticator");
        let world = Self { site, authenticator: Arc::new(authenticator), clock };
        world.says(&world.active());
        world
    }

    fn active(&self) -> Value {
        let mut answer = claims();
        answer["iss"] = json!(self.site.url);
        answer["active"] = json!(true);
        answer["token_type"] = json!("Bearer");
        answer
    }

    fn says(&self, answer: &Value) {
        self.site.on("/introspect", 200, &answer.to_string());
    }

    async fn verify(&self, token: &str) -> Result<Verified, TokenError> {
        let bearer = Bearer::parse(token.as_bytes())?;
        self.authenticator.verify(bearer, self.clock.now()).await
    }

    fn calls(&self) -> usize {
        self.site.requests("/introspect").len()
    }
}

#[tokio::test]
async fn an_active_token_becomes_a_principal() {
    let world = World::new().await;
    let verified = world.verify(TOKEN).await.expect("verified");
    assert_eq!(verified.principal.user(), "user:281");
    assert_eq!(verified.belief.expires_unix_millis, (START_SECS + 3_600) * 1_000);
    let in_30_s = world.clock.now().mono_millis_after(Duration::from_secs(30));
    assert_eq!(verified.belief.until_mono_millis, in_30_s);
    let seen = world.site.requests("/introspect").remove(0);
    assert_eq!(seen.body, "token=b3BhcXVl&token_type_hint=access_token");
    // "api%3Aapp:se+cret%2F%2B%C3%BC", form-encoded before base64.
    assert_eq!(seen.headers["authorization"], "Basic YXBpJTNBYXBwOnNlK2NyZXQlMkYlMkIlQzMlQkM=");
}

#[tokio::test]
async fn an_answer_is_believed_no_longer_than_the_token_lives() {
    let world = World::new().await;
    let mut answer = world.active();
    answer["exp"] = json!(START_SECS + 7);
    world.says(&answer);
    let verified = world.verify(TOKEN).await.expect("verified");
    assert_eq!(verified.belief.expires_unix_millis, (START_SECS + 7) * 1_000);
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_does_not_let_a_revoked_token_live_on() {
    let world = World::new().await;
    let remembered = TokenCache::default();
    let verified = world.verify(TOKEN).await.expect("verified");
    remembered.insert(TOKEN, verified.belief, (), 0);
    world.says(&json!({"active": false}));
    world.clock.step_wall(-3_600_000);
    let is_remembered = |after| {
        world.clock.advance(Duration::from_millis(after));
        let generation = world.authenticator.generation();
        remembered.get(TOKEN, world.clock.now(), generation).is_some()
    };
    assert!(is_remembered(29_999));
    assert!(!is_remembered(1));
    assert_eq!(world.verify(TOKEN).await.err(), Some(TokenError::Inactive));
}

#[tokio::test]
async fn an_answer_without_issuer_and_expiry_is_accepted() {
    let world = World::new().await;
    world.says(&json!({"active": true, "sub": "281", "aud": "gateway"}));
    assert!(world.verify(TOKEN).await.is_ok());
}

#[tokio::test]
async fn an_active_answer_is_checked_like_a_jwt() {
    for (name, value, refusal) in [
        ("active", json!(false), TokenError::Inactive),
        ("iss", json!("https://other.example"), TokenError::WrongIssuer),
        ("iss", json!(1), TokenError::MalformedToken),
        ("aud", json!(["other"]), TokenError::WrongAudience),
        ("aud", json!([]), TokenError::WrongAudience),
        ("exp", json!(START_SECS), TokenError::Expired),
        ("exp", json!("1"), TokenError::MalformedToken),
        ("nbf", json!(START_SECS + 31), TokenError::NotYetValid),
        ("sub", json!("*"), TokenError::MalformedToken),
        ("sub", json!(null), TokenError::MalformedToken),
        ("token_type", json!("DPoP"), TokenError::WrongTokenKind),
        ("token_type", json!("refresh_token"), TokenError::WrongTokenKind),
        ("cnf", json!({"jkt": "x"}), TokenError::WrongTokenKind),
    ] {
        let world = World::new().await;
        let mut answer = world.active();
        answer[name] = value;
        world.says(&answer);
        assert_eq!(world.verify(TOKEN).await.err(), Some(refusal), "{answer}");
    }
}

#[tokio::test]
async fn a_refused_token_is_not_asked_about_again_for_five_seconds() {
    let world = World::new().await;
    world.says(&json!({"active": false}));
    for _ in 0..10 {
        assert_eq!(world.verify(TOKEN).await.err(), Some(TokenError::Inactive));
    }
    assert_eq!(world.calls(), 1);
    world.says(&world.active());
    world.clock.advance(Duration::from_secs(5));
    assert!(world.verify(TOKEN).await.is_ok());
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn an_issuer_without_an_endpoint_is_unavailable() {
    let world = World::new().await;
    world.site.discovery(&json!({"introspection_endpoint": "ftp://x"}));
    assert_eq!(world.verify(TOKEN).await.err(), Some(TokenError::IntrospectionUnavailable));
    let document =
        json!({"issuer": world.site.url, "jwks_uri": format!("{}/keys", world.site.url)});
    world.site.on("/.well-known/openid-configuration", 200, &document.to_string());
    assert_eq!(world.verify(TOKEN).await.err(), Some(TokenError::IntrospectionUnavailable));
    assert_eq!(world.calls(), 0);
}

#[tokio::test]
async fn a_slow_endpoint_is_given_up_at_the_deadline() {
    let world = World::with(|client| client.timeout = Duration::from_millis(50)).await;
    world.site.close();
    assert_eq!(world.verify(TOKEN).await.err(), Some(TokenError::IntrospectionUnavailable));
}

#[tokio::test]
async fn concurrent_questions_about_one_token_are_one_call() {
    let world = World::new().await;
    let all = (0..500).map(|_| world.verify(TOKEN));
    assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn followers_are_served_when_the_first_client_goes_away() {
    let world = Arc::new(World::new().await);
    world.site.close();
    let leader = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.verify(TOKEN).await }
    });
    while world.site.requests("/.well-known/openid-configuration").is_empty() {
        tokio::task::yield_now().await;
    }
    leader.abort();
    assert!(leader.await.is_err());
    world.site.open();
    assert!(world.verify(TOKEN).await.is_ok());
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn no_more_than_256_calls_are_in_flight() {
    let world = Arc::new(World::new().await);
    world.site.close();
    let waiting: Vec<_> = (0..256)
        .map(|index| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.verify(&format!("token{index}")).await })
        })
        .collect();
    let introspection = world.authenticator.issuers[0].introspection.as_ref().expect("configured");
    while introspection.permits.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.verify(TOKEN).await.err(), Some(TokenError::IntrospectionUnavailable));
    world.site.open();
    for call in waiting {
        assert_eq!(call.await.expect("task").err(), None);
    }
    assert!(world.verify(TOKEN).await.is_ok());
}

#[tokio::test]
async fn a_refused_answer_is_explained_by_what_it_says() {
    let world = World::new().await;
    for (name, value, expected) in [
        ("active", json!(false), ""),
        ("aud", json!(["other"]), "token says aud 'other'; accepted: 'gateway'"),
        (
            "exp",
            json!(START_SECS - 9),
            "token says it expired 9 s ago: exp 1789999991, now 1790000000",
        ),
        ("sub", json!("*"), "token has a missing or malformed claim: 'sub'"),
        ("token_type", json!("DPoP"), "token shows its kind in its claims: 'token_type'"),
    ] {
        let mut answer = world.active();
        answer[name] = value;
        world.says(&answer);
        let token = format!("opaque-{}", expected.len());
        let refusal = world.verify(&token).await.expect_err("refused");
        let bearer = Bearer::parse(token.as_bytes()).expect("bearer");
        let explain = || world.authenticator.explain(bearer, refusal, world.clock.now());
        assert_eq!(explain().unwrap_or_default(), expected, "{answer}");
        // The second time it is remembered, and so is why.
        assert_eq!(world.verify(&token).await.err(), Some(refusal));
        assert_eq!(explain().unwrap_or_default(), expected, "{answer}");
    }
    let mut answer = world.active();
    answer["iss"] = json!("https://other.example");
    world.says(&answer);
    let bearer = Bearer::parse(b"of-another").expect("bearer");
    let refusal = world.verify("of-another").await.expect_err("refused");
    let told = world.authenticator.explain(bearer, refusal, world.clock.now());
    let expected =
        format!("token says iss 'https://other.example'; accepted: '{}'", world.site.url);
    assert_eq!(told, Some(expected));
}

#[tokio::test]
async fn roles_of_a_strangers_project_do_not_count_in_an_answer_either() {
    let world = World::new().await;
    let bare = "urn:zitadel:iam:org:project:roles";
    let of = |project: &str| format!("urn:zitadel:iam:org:project:{project}:roles");
    let roles = json!({"admin": {"1": "a.example"}, "77:admin": {}});
    for (number, claims) in
        [vec![bare.to_owned()], vec![bare.to_owned(), of("999")], vec![of("999")]]
            .into_iter()
            .enumerate()
    {
        let mut answer = world.active();
        for claim in claims {
            answer[claim] = roles.clone();
        }
        world.says(&answer);
        let verified = world.verify(&format!("stranger-{number}")).await.expect("verified");
        assert!(
            !verified.principal.has_any_role(&["admin", "77:admin", "gateway:admin"]),
            "{answer}"
        );
    }
    let mut answer = world.active();
    answer[of("gateway")] = roles;
    world.says(&answer);
    let verified = world.verify("ours").await.expect("verified");
    assert!(verified.principal.has_any_role(&["admin"]));
    assert!(verified.principal.has_any_role(&["gateway:admin"]));
    assert!(!verified.principal.has_any_role(&["77:admin"]));
}
