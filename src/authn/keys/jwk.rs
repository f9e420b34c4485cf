//! One JSON Web Key (RFC 7517, 7518 section 6, 8037), accepted strictly.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::{ed25519, roca};
use crate::authn::algorithm::{Algorithm, AlgorithmSet};
use crate::authn::jwt::is_legal_kid;

/// A public key that may verify signatures.
pub(in crate::authn) struct VerifyingKey {
    kid: Option<String>,
    algorithms: AlgorithmSet,
    material: DecodingKey,
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
    pub(super) fn parse(jwk: &Map<String, Value>) -> Result<Self, Unusable> {
        check_purpose(jwk)?;
        let kid = parse_kid(jwk)?;
        let (of_type, material, fingerprint) = match text(jwk, "kty") {
            Some("RSA") => parse_rsa(jwk)?,
            Some("EC") => parse_ec(jwk)?,
            Some("OKP") => parse_okp(jwk)?,
            _ => return Err(Unusable::Type),
        };
        let algorithms = restrict(of_type, jwk.get("alg"))?;
        Ok(Self { kid, algorithms, material, fingerprint })
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(in crate::authn) fn algorithms(&self) -> AlgorithmSet {
        self.algorithms
    }

    pub(in crate::authn) fn material(&self) -> &DecodingKey {
        &self.material
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
    pub(super) fn serve_also(&mut self, algorithms: AlgorithmSet) {
        self.algorithms = self.algorithms.union(algorithms);
    }
}

fn check_purpose(jwk: &Map<String, Value>) -> Result<(), Unusable> {
    let is_for_signatures = match jwk.get("use") {
        None => true,
        Some(purpose) => purpose == "sig",
    };
    let may_verify = match jwk.get("key_ops") {
        None => true,
        Some(operations) => {
            operations.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"))
        }
    };
    (is_for_signatures && may_verify).then_some(()).ok_or(Unusable::Purpose)
}

fn parse_kid(jwk: &Map<String, Value>) -> Result<Option<String>, Unusable> {
    match jwk.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if is_legal_kid(kid) => Ok(Some(kid.clone())),
        Some(_) => Err(Unusable::Kid),
    }
}

/// The algorithms of the type, or the one that `alg` binds the key to.
fn restrict(of_type: AlgorithmSet, alg: Option<&Value>) -> Result<AlgorithmSet, Unusable> {
    let Some(alg) = alg else {
        return Ok(of_type);
    };
    let algorithm = alg.as_str().and_then(|name| name.parse::<Algorithm>().ok());
    match algorithm {
        Some(algorithm) if of_type.contains(algorithm) => Ok([algorithm].into_iter().collect()),
        _ => Err(Unusable::Algorithm),
    }
}

type Parsed = (AlgorithmSet, DecodingKey, Vec<u8>);

fn parse_rsa(jwk: &Map<String, Value>) -> Result<Parsed, Unusable> {
    let modulus = without_leading_zeros(bytes(jwk, "n")?);
    let exponent = without_leading_zeros(bytes(jwk, "e")?);
    if !is_strong_modulus(&modulus) || !is_sound_exponent(&exponent) {
        return Err(Unusable::Material);
    }
    let key = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
    Ok((AlgorithmSet::RSA, key, [modulus, exponent].concat()))
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

fn parse_ec(jwk: &Map<String, Value>) -> Result<Parsed, Unusable> {
    let (algorithm, length, curve): (_, _, &'static dyn VerificationAlgorithm) =
        match text(jwk, "crv") {
            Some("P-256") => (Algorithm::ES256, 32, &ECDSA_P256_SHA256_FIXED),
            Some("P-384") => (Algorithm::ES384, 48, &ECDSA_P384_SHA384_FIXED),
            _ => return Err(Unusable::Type),
        };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err(Unusable::Material);
    }
    // SEC 1 section 2.3.3: uncompressed point.
    let point = [&[4], x.as_slice(), &y].concat();
    ParsedPublicKey::new(curve, &point).map_err(|_| Unusable::Material)?;
    Ok(([algorithm].into_iter().collect(), DecodingKey::from_ec_der(&point), point))
}

fn parse_okp(jwk: &Map<String, Value>) -> Result<Parsed, Unusable> {
    if text(jwk, "crv") != Some("Ed25519") {
        return Err(Unusable::Type);
    }
    let point = bytes(jwk, "x")?;
    let encoded: &[u8; 32] = point.as_slice().try_into().map_err(|_| Unusable::Material)?;
    if ed25519::is_of_small_order(encoded) {
        return Err(Unusable::Material);
    }
    Ok(([Algorithm::EdDSA].into_iter().collect(), DecodingKey::from_ed_der(&point), point))
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Unusable> {
    let encoded = text(jwk, name).ok_or(Unusable::Material)?;
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Unusable::Material)
}

/// Some issuers write numbers as signed ones, with a zero in front.
fn without_leading_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}
