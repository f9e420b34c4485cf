use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::testing::site::Site;
use super::super::testing::{
    ED25519, ISSUER, P256, P384, RSA, ScriptedKeys, Signer, claims, clock, jwks, p256,
};
use super::super::{Authenticator, Bearer, IssuerSettings, SettingsError, TokenError};
use super::discovery::Discovery;
use super::fetch::{FetchError, KeySource, client};
use super::jwks::{JwksError, KeySet};
use super::*;
use crate::clock::{Clock as _, ManualClock};

mod served;

struct World {
    keys: Arc<IssuerKeys>,
    source: Arc<ScriptedKeys>,
    events: Arc<KeyEvents>,
    clock: Arc<ManualClock>,
}

impl World {
    fn new(documents: impl IntoIterator<Item = Option<String>>) -> Self {
        let (clock, shared) = clock();
        let source = ScriptedKeys::new(documents);
        let events = Arc::new(KeyEvents::new(1));
        let life = KeyLife { soft: Duration::from_mins(5), hard: Duration::from_hours(24) };
        let keys = IssuerKeys::new(
            ISSUER.into(),
            Arc::clone(&source) as _,
            life,
            shared,
            Arc::clone(&events),
        );
        Self { keys: Arc::new(keys), source, events, clock }
    }

    async fn loaded(signers: &[&Signer]) -> Self {
        let world = Self::new([Some(jwks(signers))]);
        world.keys.refresh().await;
        world
    }

    async fn verify(&self, signer: &Signer) -> Result<u64, TokenError> {
        let token = signer.token(&claims());
        let jws = Jws::parse(&token).expect("token");
        self.keys.verify(&jws, self.clock.now()).await
    }

    /// Lets a task that was started run to its end.
    async fn settle(&self) {
        drop(self.keys.fetching.lock().await);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_keys_nothing_can_be_verified_and_loading_is_retried_every_second() {
    let world = World::new([None, Some("{}".into()), Some(jwks(&[&P256]))]);
    for _ in 0..2 {
        assert_eq!(world.keys.refresh().await, Duration::from_secs(1));
        assert_eq!(world.verify(&P256).await, Err(TokenError::KeysUnavailable));
        assert!(!*world.events.subscribe().borrow());
    }
    world.keys.refresh().await;
    assert!(*world.events.subscribe().borrow());
    assert!(world.verify(&P256).await.is_ok());
    assert_eq!(world.source.loads(), 3);
}

#[tokio::test]
async fn a_refresh_is_due_at_the_soft_limit_give_or_take_a_tenth() {
    let world = World::loaded(&[&P256]).await;
    for _ in 0..50 {
        let pause = world.keys.refresh().await;
        assert!((270.0..=330.0).contains(&pause.as_secs_f64()), "{pause:?}");
    }
    world.source.then(None);
    assert!(world.keys.refresh().await < Duration::from_secs(17));
}

#[tokio::test]
async fn the_last_good_keys_serve_through_an_outage_until_the_hard_limit() {
    let world = World::loaded(&[&P256]).await;
    world.source.then(None);
    world.clock.advance(Duration::from_hours(24));
    // Age has nothing to do with what the wall clock says.
    world.clock.step_wall(-3_600_000);
    world.keys.refresh().await;
    // What is verified in the last moment is believed for no longer than the key.
    assert_eq!(world.verify(&P256).await, Ok(world.clock.now().mono_millis()));
    assert!(world.keys.are_believed(world.clock.now()));
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.verify(&P256).await, Err(TokenError::KeysUnavailable));
    assert!(!world.keys.are_believed(world.clock.now()));
    world.source.then(Some(jwks(&[&P256])));
    world.keys.refresh().await;
    assert!(world.verify(&P256).await.is_ok());
    assert!(world.keys.are_believed(world.clock.now()));
}

#[tokio::test]
async fn a_bad_document_never_replaces_a_good_key_set() {
    let mut private = P384.jwk();
    private["d"] = json!("AAAA");
    let secret = json!({"kty": "oct", "k": "AAAA", "kid": "s"});
    let documents = [
        String::new(),
        "{}".into(),
        "<html>maintenance</html>".into(),
        r#"{"keys":[]}"#.into(),
        r#"{"keys":{}}"#.into(),
        r#"{"keys":["x"]}"#.into(),
        json!({"keys": [P384.jwk(), private]}).to_string(),
        json!({"keys": [P384.jwk(), secret]}).to_string(),
        json!({"keys": vec![P384.jwk(); 65]}).to_string(),
        format!(r#"{{"keys":[{0}],"keys":[{0}]}}"#, P384.jwk()),
    ];
    let world = World::loaded(&[&P256]).await;
    for document in documents {
        world.source.then(Some(document.clone()));
        world.keys.refresh().await;
        assert!(world.verify(&P256).await.is_ok(), "{document}");
    }
    assert_eq!(world.events.generation(), 1);
}

#[tokio::test]
async fn a_rotation_is_followed_at_the_first_new_token() {
    let world = World::loaded(&[&P256]).await;
    world.source.then(Some(jwks(&[&P384])));
    assert!(world.verify(&P384).await.is_ok());
    assert_eq!(world.source.loads(), 2);
}

#[tokio::test]
async fn a_thousand_tokens_of_one_new_key_cause_one_fetch() {
    let world = World::loaded(&[&P256]).await;
    world.source.then(Some(jwks(&[&P256, &ED25519])));
    let all = (0..1_000).map(|_| world.verify(&ED25519));
    let results = futures::future::join_all(all).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(world.source.loads(), 2);
}

#[tokio::test]
async fn unknown_kids_cause_one_fetch_per_cool_down() {
    let world = World::loaded(&[&P256]).await;
    for expected in [2, 3, 4] {
        for _ in 0..100 {
            assert_eq!(world.verify(&p256("random")).await, Err(TokenError::UnknownKey));
        }
        world.clock.advance(Duration::from_millis(4_999));
        assert_eq!(world.verify(&P384).await, Err(TokenError::UnknownKey));
        assert_eq!(world.source.loads(), expected);
        world.clock.advance(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn an_unknown_key_during_an_outage_is_no_verdict() {
    let world = World::loaded(&[&P256]).await;
    world.source.then(None);
    assert_eq!(world.verify(&P384).await, Err(TokenError::KeysUnavailable));
    // The cool-down holds after failures too.
    world.source.then(Some(jwks(&[&P256, &P384])));
    assert_eq!(world.verify(&P384).await, Err(TokenError::KeysUnavailable));
    assert_eq!(world.source.loads(), 2);
    world.clock.advance(Duration::from_secs(5));
    assert!(world.verify(&P384).await.is_ok());
}

#[tokio::test]
async fn the_fetch_outlives_the_request_that_caused_it() {
    let world = World::loaded(&[&P256]).await;
    world.source.then(Some(jwks(&[&P256, &P384])));
    let cancelled = tokio::select! {
        biased;
        _ = world.verify(&P384) => false,
        () = tokio::task::yield_now() => true,
    };
    assert!(cancelled);
    world.settle().await;
    assert!(world.verify(&P384).await.is_ok());
    assert_eq!(world.source.loads(), 2);
}

#[tokio::test]
async fn only_a_withdrawn_or_changed_key_ends_a_generation() {
    let world = World::loaded(&[&P256]).await;
    let generation = |signers: Vec<Value>| {
        world.source.then(Some(json!({"keys": signers}).to_string()));
        async {
            world.keys.refresh().await;
            world.events.generation()
        }
    };
    assert_eq!(generation(vec![P256.jwk()]).await, 1);
    assert_eq!(generation(vec![P384.jwk(), P256.jwk()]).await, 1);
    assert_eq!(generation(vec![P384.jwk()]).await, 2);
    assert_eq!(generation(vec![P384.jwk(), P256.jwk()]).await, 2);
    let renamed = p256("p256");
    assert_eq!(generation(vec![P384.jwk(), renamed.jwk()]).await, 3);
    let mut bound = P384.jwk();
    assert_eq!(generation(vec![bound.clone(), renamed.jwk(), RSA.jwk()]).await, 3);
    // What an entry is listed for may grow, and what is taken away is withdrawn.
    bound["alg"] = json!("ES384");
    let mut rsa = RSA.jwk();
    rsa["alg"] = json!("RS256");
    assert_eq!(generation(vec![bound, renamed.jwk(), rsa]).await, 4);
    assert_eq!(generation(vec![P384.jwk(), renamed.jwk(), RSA.jwk()]).await, 4);
    assert_eq!(world.verify(&P256).await, Err(TokenError::BadSignature));
}

#[tokio::test]
async fn the_loop_loads_and_stops_when_told() {
    let world = World::new([Some(jwks(&[&P256]))]);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&world.keys).refresh_loop(stopped));
    let mut ready = world.events.subscribe();
    ready.wait_for(|ready| *ready).await.expect("ready");
    stop.send_replace(true);
    running.await.expect("loop");
    assert_eq!(world.source.loads(), 1);
}

#[track_caller]
fn check_jwk(name: &str, jwk: &Value, is_usable: bool) {
    let document = json!({"keys": [jwk]}).to_string();
    match KeySet::parse(document.as_bytes()) {
        Ok(set) => assert!(is_usable && set.len() == 1, "{name}: {jwk}"),
        Err(JwksError::NoUsableKey(left_out)) => {
            assert!(!is_usable && left_out.len() == 1, "{name}: {jwk}");
        }
        Err(error) => panic!("{name}: {jwk}: {error}"),
    }
}

#[test]
fn usable_keys_are_accepted() {
    for signer in [&*RSA, &*P256, &*P384, &*ED25519] {
        check_jwk("as is", &signer.jwk(), true);
        for (name, value) in [
            ("use", Value::Null),
            ("key_ops", json!(["verify"])),
            ("key_ops", json!(["sign", "verify"])),
            ("x5c", json!(["MIIB"])),
            ("unknown", json!({"a": 1})),
        ] {
            let mut jwk = signer.jwk();
            if value.is_null() {
                jwk.as_object_mut().expect("object").remove(name);
            } else {
                jwk[name] = value;
            }
            check_jwk(name, &jwk, true);
        }
    }
    let mut bound = RSA.jwk();
    bound["alg"] = json!("PS384");
    check_jwk("bound", &bound, true);
}

#[test]
fn keys_for_another_purpose_or_of_weak_material_are_left_out() {
    let cases = [
        (&*P256, "use", json!("enc")),
        (&*P256, "use", json!(1)),
        (&*P256, "key_ops", json!(["sign"])),
        (&*P256, "key_ops", json!([])),
        (&*P256, "key_ops", json!("verify")),
        (&*P256, "kty", json!("RSA")),
        (&*P256, "kty", json!("OKP")),
        (&*P256, "crv", json!("P-384")),
        (&*P256, "crv", json!("P-521")),
        (&*P256, "crv", json!("secp256k1")),
        (&*P256, "alg", json!("ES384")),
        (&*P256, "alg", json!("RS256")),
        (&*P256, "alg", json!("none")),
        (&*P256, "alg", json!("HS256")),
        (&*P256, "alg", json!(1)),
        (&*P256, "kid", json!(1)),
        (&*P256, "kid", json!("")),
        (&*P256, "kid", json!("k".repeat(257))),
        (&*P256, "x", json!("AAAA")),
        (&*P256, "y", Value::Null),
        (&*P256, "y", json!("!")),
        (&*P256, "y", P256.jwk()["x"].clone()),
        (&*P384, "x", P384.jwk()["y"].clone()),
        (&*P256, "x", json!(super::super::testing::encode([0xff; 32]))),
        (&*ED25519, "crv", json!("Ed448")),
        (&*ED25519, "crv", json!("X25519")),
        (&*ED25519, "x", json!("AAAA")),
        (&*ED25519, "alg", json!("ES256")),
        (&*RSA, "alg", json!("RSA-OAEP")),
        (&*RSA, "alg", json!("ES256")),
        (&*RSA, "n", json!("AQAB")),
        (&*RSA, "n", json!(super::super::testing::encode([0xff; 128]))),
        (&*RSA, "n", json!(super::super::testing::encode([0xff; 1025]))),
        (&*RSA, "n", json!(super::super::testing::encode([0xfe; 256]))),
        (&*RSA, "e", json!("AQ")),
        (&*RSA, "e", json!("Ag")),
        (&*RSA, "e", json!("")),
        (&*RSA, "e", json!("AAAA")),
        (&*RSA, "e", json!("AQABAQAB")),
        (&*RSA, "e", json!(65_537)),
    ];
    for (signer, name, value) in cases {
        let mut jwk = signer.jwk();
        jwk[name] = value;
        check_jwk(name, &jwk, false);
    }
}

#[test]
fn one_unusable_key_does_not_spoil_the_others() {
    let mut other = P384.jwk();
    other["use"] = json!("enc");
    let document = json!({"keys": [other, P256.jwk()]}).to_string();
    assert_eq!(KeySet::parse(document.as_bytes()).expect("key set").len(), 1);
}

fn discovery(settings: &IssuerSettings) -> Result<Discovery, SettingsError> {
    Discovery::new(settings, client().expect("client"))
}

async fn load(settings: &IssuerSettings) -> Result<usize, FetchError> {
    let (clock, _) = clock();
    let discovery = discovery(settings).expect("settings");
    discovery.load(clock.now()).await.map(|set| set.len())
}

#[tokio::test]
async fn keys_are_discovered_over_http() {
    let site = Site::issuer(&jwks(&[&RSA, &P256])).await;
    let discovery = discovery(&IssuerSettings::new(&site.url)).expect("settings");
    let (clock, _) = clock();
    assert_eq!(discovery.load(clock.now()).await.expect("keys").len(), 2);
    // The endpoints are known now; keys are fetched anew each time.
    assert_eq!(discovery.load(clock.now()).await.expect("keys").len(), 2);
    assert_eq!(site.requests("/.well-known/openid-configuration").len(), 1);
    assert_eq!(site.requests("/keys").len(), 2);
    clock.advance(Duration::from_mins(10));
    discovery.load(clock.now()).await.expect("keys");
    assert_eq!(site.requests("/.well-known/openid-configuration").len(), 2);
}

#[tokio::test]
async fn a_key_set_that_moved_is_found_again() {
    let site = Site::issuer(&jwks(&[&P256])).await;
    let discovery = discovery(&IssuerSettings::new(&site.url)).expect("settings");
    let (clock, _) = clock();
    discovery.load(clock.now()).await.expect("keys");
    site.on("/keys", 410, "");
    site.on("/keys2", 200, &jwks(&[&P256]));
    site.discovery(&json!({"jwks_uri": format!("{}/keys2", site.url)}));
    assert!(matches!(discovery.load(clock.now()).await, Err(FetchError::Status(410))));
    assert!(discovery.load(clock.now()).await.is_ok());
}

#[tokio::test]
async fn a_document_of_another_issuer_is_refused() {
    let site = Site::issuer(&jwks(&[&P256])).await;
    for issuer in [format!("{}/", site.url), "https://other.example".into()] {
        site.discovery(&json!({"issuer": issuer}));
        let error = load(&IssuerSettings::new(&site.url)).await;
        assert!(matches!(error, Err(FetchError::IssuerMismatch(found)) if found == issuer));
    }
    assert!(site.requests("/keys").is_empty());
}

#[tokio::test]
async fn redirects_errors_and_oversized_documents_are_refused() {
    let site = Site::issuer(&jwks(&[&P256])).await;
    site.on("/elsewhere", 200, &jwks(&[&P256]));
    for status in [301, 302, 307, 404, 500, 204] {
        site.on("/keys", status, "");
        let error = load(&IssuerSettings::new(&site.url)).await;
        assert!(matches!(error, Err(FetchError::Status(found)) if found == status), "{error:?}");
    }
    assert!(site.requests("/elsewhere").is_empty());
    let padded = format!("{}{}", jwks(&[&P256]), " ".repeat(256 * 1024));
    site.on("/keys", 200, &padded);
    assert!(matches!(load(&IssuerSettings::new(&site.url)).await, Err(FetchError::Body(_))));
    site.on("/.well-known/openid-configuration", 200, "<html></html>");
    assert!(matches!(load(&IssuerSettings::new(&site.url)).await, Err(FetchError::NotDiscovery)));
}

/// Whether an authenticator believes a token of the issuer at the site after a look at its keys.
async fn believes(authenticator: &Authenticator, site: &Site, now: Now) -> bool {
    authenticator.issuers[0].keys.refresh().await;
    let mut claims = claims();
    claims["iss"] = json!(site.url);
    claims["exp"] = json!(now.unix_secs() + 60);
    let token = P256.token(&claims);
    let bearer = Bearer::parse(token.as_bytes()).expect("bearer");
    authenticator.verify(bearer, now).await.is_ok()
}

#[tokio::test]
async fn an_odd_document_is_none_and_leaves_the_keys_that_are_there() {
    const JSON: (&str, &str) = ("content-type", "application/json");
    let site = Site::issuer(&jwks(&[&P256])).await;
    let (clock, shared) = clock();
    let new = || Authenticator::new(vec![IssuerSettings::new(&site.url)], &shared).expect("new");
    let loaded = new();
    assert!(believes(&loaded, &site, clock.now()).await);
    let keys = jwks(&[&P256, &P384]);
    let discovery = json!({"issuer": site.url, "jwks_uri": format!("{}/keys", site.url)});
    let discovery = discovery.to_string();
    for (path, good) in [("/keys", &keys), ("/.well-known/openid-configuration", &discovery)] {
        let mut odd: Vec<(u16, Vec<_>, String)> = vec![
            (200, vec![JSON, ("content-length", "100000")], good.clone()),
            (200, vec![JSON], format!("[{good}]")),
            (200, vec![JSON], format!("{good}{good}")),
            (200, vec![JSON], good.trim_end_matches('}').to_owned()),
            (200, vec![JSON], "null".into()),
            (200, vec![JSON], String::new()),
            (200, vec![JSON], format!("{}{good}", " ".repeat(256 * 1024))),
            (200, vec![("content-type", "text/html")], "<html>Sign in</html>".into()),
        ];
        for status in [201, 202, 203, 204, 206, 226, 301, 302, 304, 307, 400, 401, 404, 429, 500] {
            odd.push((status, vec![JSON], good.clone()));
        }
        for (status, headers, body) in odd {
            site.says(path, status, &headers, &body);
            let told = format!("{path} {status} {headers:?} {body:.60}");
            assert!(!believes(&new(), &site, clock.now()).await, "{told}");
            clock.advance(Duration::from_mins(10));
            assert!(believes(&loaded, &site, clock.now()).await, "{told}");
        }
        site.on(path, 200, good);
        assert!(believes(&new(), &site, clock.now()).await, "{path}");
    }
    assert_eq!(loaded.generation(), 1);
    assert!(site.requests("/elsewhere").is_empty(), "no redirect is followed");
}

#[tokio::test]
async fn a_connection_that_fails_is_told_by_what_the_system_says() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    drop(listener);
    let error = load(&IssuerSettings::new(&url)).await.expect_err("nobody there").to_string();
    let expected = format!("no answer from {url}/.well-known/openid-configuration: ");
    assert!(error.starts_with(&expected) && error.contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn an_issuer_can_be_reached_at_another_address() {
    let site = Site::issuer(&jwks(&[&P256])).await;
    site.discovery(&json!({
        "issuer": ISSUER,
        "jwks_uri": format!("{ISSUER}/keys?v=1"),
        "introspection_endpoint": format!("{ISSUER}/introspect"),
    }));
    let mut settings = IssuerSettings::new(ISSUER);
    let document = format!("{}/.well-known/openid-configuration", site.url);
    settings.discovery_url = Some(document.parse().expect("url"));
    assert_eq!(load(&settings).await.expect("keys"), 1);
    let seen = site.requests("/keys");
    assert_eq!(seen[0].headers[http::header::HOST], "issuer.example");
}

#[tokio::test]
async fn endpoints_of_an_issuer_with_tls_must_have_it_too() {
    let site = Site::issuer(&jwks(&[&P256])).await;
    let mut settings = IssuerSettings::new(ISSUER);
    let document = format!("{}/.well-known/openid-configuration", site.url);
    settings.discovery_url = Some(document.parse().expect("url"));
    for uri in
        ["http://issuer.example/keys", "ftp://issuer.example", "https://u:p@issuer.example", "x"]
    {
        site.discovery(&json!({"issuer": ISSUER, "jwks_uri": uri}));
        let error = load(&settings).await;
        assert!(matches!(error, Err(FetchError::Endpoint("jwks_uri"))), "{uri}: {error:?}");
    }
}

#[tokio::test]
async fn a_whole_authenticator_loads_over_http_and_becomes_ready() {
    let site = Site::issuer(&jwks(&[&P256])).await;
    let (clock, shared) = clock();
    let issuers = vec![IssuerSettings::new(&site.url)];
    let authenticator = Arc::new(Authenticator::new(issuers, &shared).expect("authenticator"));
    let mut claims = claims();
    claims["iss"] = json!(site.url);
    let token = P256.token(&claims);
    let bearer = Bearer::parse(token.as_bytes()).expect("bearer");
    let early = authenticator.verify(bearer, clock.now()).await;
    assert_eq!(early.err(), Some(TokenError::KeysUnavailable));
    let (_stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&authenticator).refresh_loop(stopped));
    authenticator.keys_were_loaded().wait_for(|loaded| *loaded).await.expect("ready");
    assert!(authenticator.verify(bearer, clock.now()).await.is_ok());
    running.abort();
}
