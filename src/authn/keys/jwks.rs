//! A key set (RFC 7517 section 5), as issuers really serve them.
//!
//! A kid may stand for several keys (section 4.5), and one key may be listed several times. What
//! cannot be used is left out; a set is refused whole only when nothing is left of it, or when what it
//! publishes should be known to nobody.

use std::fmt;

use super::jwk::Unusable;
pub(in crate::authn) use super::jwk::VerifyingKey;
use crate::authn::TokenError;
use crate::authn::algorithm::{Algorithm, AlgorithmSet};
use crate::authn::json::{self, Object, Value};

const MAX_KEYS: usize = 64;
const MAX_JWKS_DEPTH: usize = 8;

/// Keys of one kid and algorithm, all of which are tried: an issuer in the middle of being rebuilt
/// has two.
const MAX_NAMESAKES: usize = 4;

/// Characters that are told of the kid of a key that is left out.
const MAX_TOLD_KID: usize = 64;

/// The usable keys of one issuer; never empty.
pub struct KeySet {
    keys: Vec<VerifyingKey>,
    left_out: Vec<LeftOut>,
}

/// An entry of a key set that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub(super) kid: Option<String>,
    pub(super) reason: Unusable,
}

/// Why a document is no key set that we would put in place of another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// No key can verify a signature.
    #[error("the key set has no usable key{}", reasons(.0))]
    NoUsableKey(Vec<LeftOut>),
}

fn reasons(left_out: &[LeftOut]) -> String {
    left_out.iter().flat_map(|entry| ["; ".to_owned(), entry.to_string()]).collect()
}

impl KeySet {
    /// Parses a key set.
    pub fn parse(document: &[u8]) -> Result<Self, JwksError> {
        let object =
            json::parse_object(document, MAX_JWKS_DEPTH).map_err(|_| JwksError::NotAKeySet)?;
        let Some(Value::Array(entries)) = object.get("keys") else {
            return Err(JwksError::NotAKeySet);
        };
        if entries.len() > MAX_KEYS {
            return Err(JwksError::TooManyKeys);
        }
        let mut set = Self { keys: Vec::new(), left_out: Vec::new() };
        for entry in entries {
            let jwk = entry.as_object().ok_or(JwksError::NotAKeySet)?;
            if is_secret(jwk) {
                return Err(JwksError::SecretKey);
            }
            if let Err(reason) = VerifyingKey::parse(jwk).and_then(|key| set.add(key)) {
                set.left_out.push(LeftOut { kid: told_kid(jwk), reason });
            }
        }
        if set.keys.is_empty() { Err(JwksError::NoUsableKey(set.left_out)) } else { Ok(set) }
    }

    fn add(&mut self, key: VerifyingKey) -> Result<(), Unusable> {
        if let Some(known) = self.keys.iter_mut().find(|known| known.is_same(&key)) {
            known.serve_also(key);
            return Ok(());
        }
        let namesakes = self.keys.iter().filter(|known| known.is_confusable_with(&key)).count();
        if key.kid().is_some() && namesakes >= MAX_NAMESAKES {
            return Err(Unusable::Namesakes);
        }
        self.keys.push(key);
        Ok(())
    }

    /// The keys that may have signed a token: those of its kid that fit its algorithm. A token
    /// without a kid is only served when one key alone fits.
    pub(in crate::authn) fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<&VerifyingKey>, TokenError> {
        let named = || self.keys.iter().filter(|key| kid.is_none() || key.kid() == kid);
        let fitting: Vec<_> = named().filter(|key| key.algorithms().contains(algorithm)).collect();
        match (fitting.as_slice(), kid) {
            ([], Some(_)) if named().next().is_some() => Err(TokenError::AlgorithmNotAllowed),
            ([], _) => Err(TokenError::UnknownKey),
            ([one, others @ ..], None) => {
                let is_one = others.iter().all(|other| other.has_material_of(one));
                if is_one { Ok(vec![one]) } else { Err(TokenError::UnknownKey) }
            }
            (_, Some(_)) => Ok(fitting),
        }
    }

    /// The names of all keys that have one.
    pub(super) fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(VerifyingKey::kid)
    }

    /// What the keys of this name verify.
    pub(super) fn algorithms_of(&self, kid: Option<&str>) -> AlgorithmSet {
        let named = self.keys.iter().filter(|key| key.kid() == kid);
        named.fold(AlgorithmSet::default(), |all, key| all.union(key.algorithms()))
    }

    /// Whether every key of this set is in the other too.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.keys.iter().all(|key| other.keys.iter().any(|other| key.is_covered_by(other)))
    }

    /// Entries that cannot be used.
    pub(super) fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(VerifyingKey::kid)).finish()
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kid {
            Some(kid) => write!(f, "{kid:?}: {}", self.reason),
            None => write!(f, "one without kid: {}", self.reason),
        }
    }
}

fn told_kid(jwk: &Object<'_>) -> Option<String> {
    let kid = jwk.get("kid").and_then(Value::as_str)?;
    Some(kid.chars().take(MAX_TOLD_KID).collect())
}

fn is_secret(jwk: &Object<'_>) -> bool {
    jwk.contains_key("d")
        || jwk.contains_key("k")
        || jwk.get("kty").and_then(Value::as_str) == Some("oct")
}
