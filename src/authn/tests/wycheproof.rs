//! Project Wycheproof's vectors for JSON Web Signature and JSON Web Key.
//!
//! What we refuse although the vectors call it valid: symmetric keys, an empty payload (it cannot
//! hold claims), curve P-521, and a signature by another algorithm than the key's `alg`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::jwt::Jws;
use super::super::keys::jwks::KeySet;
use super::super::{Bearer, Shape, TokenError};

const SIGNATURE: &str = include_str!("../../../tests/data/wycheproof/json_web_signature_test.json");
const KEY: &str = include_str!("../../../tests/data/wycheproof/json_web_key_test.json");
const CRYPTO: &str = include_str!("../../../tests/data/wycheproof/json_web_crypto_test.json");

/// What the gateway does with a token, without the claims.
fn verify(key_set: &Value, token: &str) -> Result<(), TokenError> {
    let keys =
        KeySet::parse(key_set.to_string().as_bytes()).map_err(|_| TokenError::KeysUnavailable)?;
    if Bearer::parse(token.as_bytes())?.shape()? != Shape::Jwt {
        return Err(TokenError::MalformedToken);
    }
    let jws = Jws::parse(token)?;
    let fitting = keys.find(jws.header.kid.as_deref(), jws.header.algorithm)?;
    let verified = fitting.into_iter().any(|key| key.verify(&jws).is_ok());
    verified.then_some(()).ok_or(TokenError::BadSignature)
}

/// The published key set of a group: its public keys, or its secret ones where it has no others.
fn key_set(group: &Value) -> Value {
    let keys = group.get("public").unwrap_or(&group["private"]);
    if keys.get("keys").is_some() { keys.clone() } else { serde_json::json!({"keys": [keys]}) }
}

/// Runs a file; returns how many cases ran and the ids of valid ones that were refused.
#[track_caller]
fn run(file: &str) -> (usize, BTreeSet<u64>) {
    let file: Value = serde_json::from_str(file).expect("vectors");
    let (mut cases, mut refused) = (0, BTreeSet::new());
    for group in file["testGroups"].as_array().expect("groups") {
        let keys = key_set(group);
        for test in group["tests"].as_array().expect("tests") {
            let Some(token) = test.get("jws") else {
                continue;
            };
            let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
            let id = test["tcId"].as_u64().expect("id");
            let outcome = verify(&keys, &token);
            cases += 1;
            match test["result"].as_str() {
                Some("invalid") => assert!(outcome.is_err(), "case {id}: {}", test["comment"]),
                Some("valid") if outcome.is_err() => _ = refused.insert(id),
                _ => {}
            }
        }
    }
    (cases, refused)
}

#[test]
fn signature_vectors_are_told_apart() {
    let (cases, refused) = run(SIGNATURE);
    assert_eq!(cases, 267);
    let symmetric = [1, 348, 352, 357, 358, 372, 373, 376];
    let empty_payload = [259, 264, 268, 325];
    let (other_algorithm, p521) = (346, 351);
    let expected = symmetric.into_iter().chain(empty_payload).chain([other_algorithm, p521]);
    assert_eq!(refused, expected.collect());
}

#[test]
fn key_vectors_are_told_apart() {
    let (cases, refused) = run(KEY);
    assert_eq!(cases, 17);
    // Symmetric keys.
    assert_eq!(refused, BTreeSet::from([13, 15]));
}

#[test]
fn crypto_vectors_are_told_apart() {
    let (cases, refused) = run(CRYPTO);
    assert_eq!(cases, 33);
    // Symmetric keys.
    assert_eq!(refused, BTreeSet::from([1, 48]));
}
