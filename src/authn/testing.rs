//! An issuer for specifications: keys of every type, tokens of any shape, and where keys come
//! from.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::algorithm::Algorithm;
use super::keys::fetch::{FetchError, KeySource};
use super::keys::jwks::{JwksError, KeySet};
use crate::clock::{ManualClock, Now, SharedClock};

pub(super) mod site;

pub(super) const ISSUER: &str = "https://issuer.example";
pub(super) const START_SECS: u64 = 1_790_000_000;

pub(super) fn clock() -> (Arc<ManualClock>, SharedClock) {
    let clock = Arc::new(ManualClock::starting_at(START_SECS * 1_000));
    (Arc::clone(&clock), clock)
}

/// A key pair.
pub(super) struct Signer {
    pub(super) kid: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

pub(super) static RSA: LazyLock<Signer> = LazyLock::new(|| rsa("rsa"));
pub(super) static P256: LazyLock<Signer> = LazyLock::new(|| p256("p256"));
pub(super) static P384: LazyLock<Signer> = LazyLock::new(|| {
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new());
    let key = EncodingKey::from_ec_der(pair.expect("key pair").as_ref());
    Signer { kid: "p384", algorithm: Algorithm::ES384, key }
});
pub(super) static ED25519: LazyLock<Signer> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).expect("key pair");
    let key = EncodingKey::from_ed_der(pair.as_ref());
    Signer { kid: "ed25519", algorithm: Algorithm::EdDSA, key }
});

pub(super) fn p256(kid: &'static str) -> Signer {
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let key = EncodingKey::from_ec_der(pair.expect("key pair").as_ref());
    Signer { kid, algorithm: Algorithm::ES256, key }
}

fn rsa(kid: &'static str) -> Signer {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("key pair");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS#8");
    let body = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let key = EncodingKey::from_rsa_pem(pem.as_bytes()).expect("PEM");
    Signer { kid, algorithm: Algorithm::RS256, key }
}

impl Signer {
    /// The public key, not bound to an algorithm.
    pub(super) fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm.verifier()).expect("JWK");
        let mut jwk = serde_json::to_value(jwk).expect("JSON");
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk.as_object_mut().expect("object").remove("alg");
        jwk
    }

    pub(super) fn header(&self) -> Value {
        json!({"alg": self.algorithm.name(), "kid": self.kid, "typ": "JWT"})
    }

    /// Signs with the algorithm of the key pair.
    pub(super) fn sign(&self, header: &str, payload: &[u8]) -> String {
        self.sign_as(self.algorithm, header, payload)
    }

    pub(super) fn sign_as(&self, algorithm: Algorithm, header: &str, payload: &[u8]) -> String {
        let message = format!("{}.{}", encode(header), encode(payload));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, algorithm.verifier())
                .expect("signature");
        format!("{message}.{signature}")
    }

    /// An access token as ZITADEL makes it.
    pub(super) fn token(&self, claims: &Value) -> String {
        self.sign(&self.header().to_string(), claims.to_string().as_bytes())
    }
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "281", "aud": ["gateway", "77"], "client_id": "gateway", "jti": "V2-1",
        "iat": START_SECS, "nbf": START_SECS, "exp": START_SECS + 3600,
    })
}

pub(super) fn jwks(keys: &[&Signer]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// Hands out what it was told to, the last answer for ever, and counts.
#[derive(Debug, Default)]
pub(super) struct ScriptedKeys {
    answers: Mutex<VecDeque<Option<String>>>,
    loads: AtomicUsize,
}

impl ScriptedKeys {
    pub(super) fn new(documents: impl IntoIterator<Item = Option<String>>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(documents.into_iter().collect()), ..Self::default() })
    }

    pub(super) fn then(&self, document: Option<String>) {
        *self.answers.lock() = VecDeque::from([document]);
    }

    pub(super) fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl KeySource for ScriptedKeys {
    async fn load(&self, _: Now) -> Result<KeySet, FetchError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let document = {
            let mut answers = self.answers.lock();
            if answers.len() > 1 {
                answers.pop_front().flatten()
            } else {
                answers.front().cloned().flatten()
            }
        };
        let document = document.ok_or(FetchError::Status(500))?;
        // Lets others run, as a network would.
        tokio::task::yield_now().await;
        KeySet::parse(document.as_bytes()).map_err(|error: JwksError| error.into())
    }
}
