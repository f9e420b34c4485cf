//! What a token costs: verified by each algorithm, found in the header, found in the cache.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up should stop")]

use std::hint::black_box;
use std::sync::Arc;

use async_trait::async_trait;
use auth_gateway::authn::{
    Algorithm, Authenticator, Bearer, Belief, FetchError, IssuerSettings, KeySet, KeySource,
    TokenCache, bearer,
};
use auth_gateway::clock::{ManualClock, Now, SharedClock};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures::FutureExt as _;
use http::HeaderMap;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use serde_json::{Value, json};
use tokio::sync::watch;

const ISSUER: &str = "https://issuer.example";
const START_SECS: u64 = 1_790_000_000;

#[derive(Debug)]
struct FixedKeys(String);

#[async_trait]
impl KeySource for FixedKeys {
    async fn load(&self, _: Now) -> Result<KeySet, FetchError> {
        Ok(KeySet::parse(self.0.as_bytes())?)
    }
}

fn signing_key(algorithm: Algorithm) -> (EncodingKey, jsonwebtoken::Algorithm) {
    use jsonwebtoken::Algorithm as Alg;
    let random = SystemRandom::new();
    match algorithm {
        Algorithm::ES256 => {
            let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
            (EncodingKey::from_ec_der(pair.expect("pair").as_ref()), Alg::ES256)
        }
        Algorithm::ES384 => {
            let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random);
            (EncodingKey::from_ec_der(pair.expect("pair").as_ref()), Alg::ES384)
        }
        Algorithm::EdDSA => {
            let pair = Ed25519KeyPair::generate_pkcs8v1(&random).expect("pair");
            (EncodingKey::from_ed_der(pair.as_ref()), Alg::EdDSA)
        }
        rsa => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("pair");
            let der: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS#8");
            let body = STANDARD.encode(der.as_ref());
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
            let key = EncodingKey::from_rsa_pem(pem.as_bytes()).expect("PEM");
            (key, rsa.name().parse().expect("algorithm"))
        }
    }
}

/// A token of the size that ZITADEL makes, and the key set that verifies it.
fn token(algorithm: Algorithm) -> (String, Value) {
    let (key, alg) = signing_key(algorithm);
    let header = json!({"alg": algorithm.name(), "kid": "312345678901234567", "typ": "JWT"});
    let claims = json!({
        "iss": ISSUER, "sub": "281234567890123456", "jti": "V2_281234567890123456-at_281234567890",
        "aud": ["281234567890123456@app", "281234567890123457"], "client_id": "281@app",
        "iat": START_SECS, "nbf": START_SECS, "exp": START_SECS + 43_200,
        "urn:zitadel:iam:org:project:roles": {"admin": {"281234567890": "org.example"}},
    });
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, alg).expect("signature");
    let mut jwk =
        serde_json::to_value(Jwk::from_encoding_key(&key, alg).expect("JWK")).expect("JSON");
    if let Some(jwk) = jwk.as_object_mut() {
        jwk.insert("kid".into(), json!("312345678901234567"));
    }
    (format!("{message}.{signature}"), json!({"keys": [jwk]}))
}

fn authenticator(jwks: &Value) -> Arc<Authenticator> {
    let clock: SharedClock = Arc::new(ManualClock::starting_at(START_SECS * 1_000));
    let authenticator =
        Authenticator::with_key_sources(vec![IssuerSettings::new(ISSUER)], &clock, |_| {
            Some(Arc::new(FixedKeys(jwks.to_string())))
        });
    let authenticator = Arc::new(authenticator.expect("authenticator"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("runtime").block_on(async {
        let (_stop, stopped) = watch::channel(false);
        let running = tokio::spawn(Arc::clone(&authenticator).refresh_loop(stopped));
        authenticator.keys_were_loaded().wait_for(|loaded| *loaded).await.expect("ready");
        running.abort();
    });
    authenticator
}

fn verification(c: &mut Criterion) {
    let mut group = c.benchmark_group("verify");
    let now = Now::at(START_SECS * 1_000, 1);
    for algorithm in [
        Algorithm::RS256,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ] {
        let (token, jwks) = token(algorithm);
        let authenticator = authenticator(&jwks);
        group.bench_function(algorithm.name(), |b| {
            b.iter(|| {
                let bearer = Bearer::parse(black_box(token.as_bytes())).expect("bearer");
                let verified = authenticator.verify(bearer, now).now_or_never();
                verified.expect("no waiting").expect("verified")
            });
        });
    }
    let (token, jwks) = token(Algorithm::ES256);
    let authenticator = authenticator(&jwks);
    let expired = Now::at((START_SECS + 43_200) * 1_000, 1);
    group.bench_function("refused before its signature", |b| {
        b.iter(|| {
            let bearer = Bearer::parse(black_box(token.as_bytes())).expect("bearer");
            authenticator.verify(bearer, expired).now_or_never().expect("no waiting").is_err()
        });
    });
    group.finish();
}

fn hot_path(c: &mut Criterion) {
    let mut group = c.benchmark_group("warm");
    let (token, _) = token(Algorithm::RS256);
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().expect("value"));
    group.bench_function(BenchmarkId::new("find bearer", token.len()), |b| {
        b.iter(|| bearer::find(black_box(&headers), None).expect("bearer").bytes().len());
    });
    let now = Now::at(START_SECS * 1_000, 1);
    for entries in [1_000_usize, 100_000] {
        let cache = TokenCache::new(200_000, 1 << 30);
        // Only the end differs, as it does between signatures.
        let start = token.split_at(token.len() - 40).0;
        let tokens: Vec<String> =
            (0..entries).map(|_| format!("{start}{:040x}", fastrand::u128(..))).collect();
        for token in &tokens {
            let belief = Belief {
                expires_unix_millis: u64::MAX,
                until_mono_millis: u64::MAX,
                generation: 1,
            };
            cache.insert(token, belief, [0_u8; 64], 0);
        }
        let mut next = tokens.iter().cycle();
        group.bench_function(BenchmarkId::new("cache hit", entries), |b| {
            b.iter(|| {
                let token = next.next().map_or("", String::as_str);
                cache.get(black_box(token), now, 1).expect("hit")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, verification, hot_path);
criterion_main!(benches);
