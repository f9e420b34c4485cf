//! One JSON Web Key (RFC 7517, 7518 section 6, 8037), accepted strictly.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::signature::Verifier as _;

use super::prepared::{NotAKey, Prepared};
use super::{ed25519, roca};
use crate::authn::algorithm::{Algorithm, AlgorithmSet};
use crate::authn::json::{Object, Value};
use crate::authn::jwt::Jws;
use crate::authn::{TokenError, kid};

/// A public key that may verify signatures.
pub(in crate::authn) struct VerifyingKey {
    kid: Option<String>,
    algorithms: AlgorithmSet,
    /// One for each of the algorithms.
    prepared: Vec<Prepared>,
    /// Public bytes, to tell whether a kid still means the same key.
    fingerprint: Vec<u8>,
}

/// Why a key of a set is not used; the others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    /// `use` or `key_ops` say that it is for something else.
    #[error("not a key for signatures")]
    Purpose,
    /// `kty` or `crv` is one that we do not verify with.
    #[error("unsupported type or curve")]
    Type,
    /// `alg` is unknown or contradicts the type.
    #[error("algorithm does not fit the type")]
    Algorithm,
    /// A number is missing, not canonical base64url, of wrong length, weak, or no point of the curve.
    #[error("unusable key material")]
    Material,
    /// `kid` is no text of up to 256 characters.
    #[error("unusable kid")]
    Kid,
    /// Each of them would be tried for a token.
    #[error("too many keys of one kid and algorithm")]
    Namesakes,
}

impl VerifyingKey {
    pub(super) fn parse(jwk: &Object<'_>) -> Result<Self, Unusable> {
        check_purpose(jwk)?;
        let kid = kid::parse(jwk.get("kid")).map_err(|_| Unusable::Kid)?;
        let numbers = match text(jwk, "kty") {
            Some("RSA") => parse_rsa(jwk)?,
            Some("EC") => parse_ec(jwk)?,
            Some("OKP") => parse_okp(jwk)?,
            _ => return Err(Unusable::Type),
        };
        let algorithms = restrict(numbers.algorithms(), jwk.get("alg"))?;
        let prepared = numbers.prepare(algorithms)?;
        Ok(Self { kid, algorithms, prepared, fingerprint: numbers.into_fingerprint() })
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(in crate::authn) fn algorithms(&self) -> AlgorithmSet {
        self.algorithms
    }

    /// Verifies a signature, which must be by one of the key's algorithms.
    pub(in crate::authn) fn verify(&self, jws: &Jws<'_>) -> Result<(), TokenError> {
        let algorithm = jws.header.algorithm;
        let prepared = self.prepared.iter().find(|prepared| prepared.is_for(algorithm));
        let prepared = prepared.ok_or(TokenError::AlgorithmNotAllowed)?;
        prepared.verify(jws.message(), jws.signature()).map_err(|_| TokenError::BadSignature)
    }

    /// Whether both are one key, for whatever algorithms each is listed.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.kid == other.kid && self.has_material_of(other)
    }

    pub(super) fn has_material_of(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }

    /// Whether every token that this key verifies, the other verifies too.
    pub(super) fn is_covered_by(&self, other: &Self) -> bool {
        self.is_same(other) && self.algorithms.is_within(other.algorithms)
    }

    /// Whether a token may name either.
    pub(super) fn is_confusable_with(&self, other: &Self) -> bool {
        self.kid == other.kid && self.algorithms.overlaps(other.algorithms)
    }

    /// Takes over what the same key is listed for elsewhere (RFC 7517 section 4.4 binds an entry to
    /// one algorithm).
    pub(super) fn serve_also(&mut self, same: Self) {
        self.algorithms = self.algorithms.union(same.algorithms);
        self.prepared.extend(same.prepared);
    }
}

fn check_purpose(jwk: &Object<'_>) -> Result<(), Unusable> {
    let is_for_signatures = match jwk.get("use") {
        None => true,
        Some(purpose) => purpose.as_str() == Some("sig"),
    };
    let may_verify = match jwk.get("key_ops") {
        None => true,
        Some(operations) => {
            let is_verify = |one: &Value<'_>| one.as_str() == Some("verify");
            operations.as_array().is_some_and(|all| all.iter().any(is_verify))
        }
    };
    (is_for_signatures && may_verify).then_some(()).ok_or(Unusable::Purpose)
}

/// The algorithms of the type, or the one that `alg` binds the key to.
fn restrict(of_type: AlgorithmSet, alg: Option<&Value<'_>>) -> Result<AlgorithmSet, Unusable> {
    let Some(alg) = alg else {
        return Ok(of_type);
    };
    let algorithm = alg.as_str().and_then(|name| name.parse::<Algorithm>().ok());
    match algorithm {
        Some(algorithm) if of_type.contains(algorithm) => Ok([algorithm].into_iter().collect()),
        _ => Err(Unusable::Algorithm),
    }
}

/// What a key is made of.
enum Numbers {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    Point(Algorithm, Vec<u8>),
}

impl Numbers {
    /// What such a key can verify.
    fn algorithms(&self) -> AlgorithmSet {
        match self {
            Self::Rsa { .. } => AlgorithmSet::RSA,
            Self::Point(algorithm, _) => [*algorithm].into_iter().collect(),
        }
    }

    fn prepare(&self, algorithms: AlgorithmSet) -> Result<Vec<Prepared>, Unusable> {
        let prepared = match self {
            Self::Rsa { modulus, exponent } => Prepared::rsa(modulus, exponent, algorithms),
            Self::Point(algorithm, point) => Prepared::point(point, *algorithm),
        };
        prepared.map_err(|NotAKey| Unusable::Material)
    }

    fn into_fingerprint(self) -> Vec<u8> {
        match self {
            Self::Rsa { modulus, exponent } => [modulus, exponent].concat(),
            Self::Point(_, point) => point,
        }
    }
}

fn parse_rsa(jwk: &Object<'_>) -> Result<Numbers, Unusable> {
    let modulus = without_leading_zeros(bytes(jwk, "n")?);
    let exponent = without_leading_zeros(bytes(jwk, "e")?);
    if !is_strong_modulus(&modulus) || !is_sound_exponent(&exponent) {
        return Err(Unusable::Material);
    }
    Ok(Numbers::Rsa { modulus, exponent })
}

fn is_strong_modulus(modulus: &[u8]) -> bool {
    let (Some(first), Some(last)) = (modulus.first(), modulus.last()) else {
        return false;
    };
    let bits = modulus.len() * 8 - first.leading_zeros() as usize;
    (2048..=8192).contains(&bits) && last % 2 == 1 && !roca::is_fingerprinted(modulus)
}

/// Odd, at least 3 and at most 32 bits, as the verifier limits it.
fn is_sound_exponent(exponent: &[u8]) -> bool {
    match exponent {
        [] => false,
        [only] => *only >= 3 && only % 2 == 1,
        [.., last] => exponent.len() <= 4 && last % 2 == 1,
    }
}

fn parse_ec(jwk: &Object<'_>) -> Result<Numbers, Unusable> {
    let (algorithm, length) = match text(jwk, "crv") {
        Some("P-256") => (Algorithm::ES256, 32),
        Some("P-384") => (Algorithm::ES384, 48),
        _ => return Err(Unusable::Type),
    };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err(Unusable::Material);
    }
    // SEC 1 section 2.3.3: uncompressed point.
    Ok(Numbers::Point(algorithm, [&[4], x.as_slice(), &y].concat()))
}

fn parse_okp(jwk: &Object<'_>) -> Result<Numbers, Unusable> {
    if text(jwk, "crv") != Some("Ed25519") {
        return Err(Unusable::Type);
    }
    let point = bytes(jwk, "x")?;
    let encoded: &[u8; 32] = point.as_slice().try_into().map_err(|_| Unusable::Material)?;
    if ed25519::is_of_small_order(encoded) {
        return Err(Unusable::Material);
    }
    Ok(Numbers::Point(Algorithm::EdDSA, point))
}

fn text<'a>(jwk: &'a Object<'_>, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

fn bytes(jwk: &Object<'_>, name: &str) -> Result<Vec<u8>, Unusable> {
    let encoded = text(jwk, name).ok_or(Unusable::Material)?;
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Unusable::Material)
}

/// Some issuers write numbers as signed ones, with a zero in front.
fn without_leading_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}
