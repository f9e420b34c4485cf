//! A key set (RFC 7517 section 5): accepted as a whole or not at all.

use serde_json::{Map, Value};

pub(in crate::authn) use super::jwk::VerifyingKey;
use crate::authn::algorithm::Algorithm;
use crate::authn::json;

const MAX_KEYS: usize = 64;
const MAX_JWKS_DEPTH: usize = 8;

/// The usable keys of one issuer; never empty.
pub struct KeySet {
    keys: Vec<VerifyingKey>,
}

/// Why a document is no key set that we would put in place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Not a JSON object with a `keys` array of objects.
    #[error("not a JSON Web Key Set")]
    NotAKeySet,
    /// More keys than any issuer needs.
    #[error("more than 64 keys")]
    TooManyKeys,
    /// A private or symmetric key was published, so that nothing here can be trusted.
    #[error("the key set contains secret keys")]
    SecretKey,
    /// Two usable keys have one name.
    #[error("two keys have the same kid")]
    DuplicateKid,
    /// No key can verify a signature.
    #[error("the key set has no usable key")]
    NoUsableKey,
}

impl KeySet {
    /// Parses a key set; a key that cannot be used is left out with a warning.
    pub fn parse(document: &[u8]) -> Result<Self, JwksError> {
        let object =
            json::parse_object(document, MAX_JWKS_DEPTH).map_err(|_| JwksError::NotAKeySet)?;
        let Some(Value::Array(entries)) = object.get("keys") else {
            return Err(JwksError::NotAKeySet);
        };
        if entries.len() > MAX_KEYS {
            return Err(JwksError::TooManyKeys);
        }
        let mut keys: Vec<VerifyingKey> = Vec::new();
        for entry in entries {
            let jwk = entry.as_object().ok_or(JwksError::NotAKeySet)?;
            if is_secret(jwk) {
                return Err(JwksError::SecretKey);
            }
            match VerifyingKey::parse(jwk) {
                Ok(key) if has_kid(&keys, key.kid()) => return Err(JwksError::DuplicateKid),
                Ok(key) => keys.push(key),
                Err(reason) => {
                    let kid = jwk.get("kid").and_then(Value::as_str);
                    tracing::warn!(kid, %reason, "key left out of the key set");
                }
            }
        }
        if keys.is_empty() { Err(JwksError::NoUsableKey) } else { Ok(Self { keys }) }
    }

    /// The key of this name. A token without a name is only served when one key alone fits its
    /// algorithm.
    pub(in crate::authn) fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Option<&VerifyingKey> {
        if kid.is_some() {
            return self.keys.iter().find(|key| key.kid() == kid);
        }
        let mut fitting = self.keys.iter().filter(|key| key.algorithms().contains(algorithm));
        fitting.next().filter(|_| fitting.next().is_none())
    }

    /// Whether every key of this set is in the other too.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.keys.iter().all(|key| other.keys.iter().any(|other| key.is_same(other)))
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(VerifyingKey::kid)).finish()
    }
}

fn is_secret(jwk: &Map<String, Value>) -> bool {
    jwk.contains_key("d") || jwk.contains_key("k") || jwk.get("kty").is_some_and(|kty| kty == "oct")
}

fn has_kid(keys: &[VerifyingKey], kid: Option<&str>) -> bool {
    kid.is_some() && keys.iter().any(|key| key.kid() == kid)
}
