//! Signing keys made at run time, and their public halves as a JWK set shows them.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What ZITADEL's web keys can sign with, and PS256, which other issuers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA-2048, PKCS #1 v1.5, SHA-256: ZITADEL's default.
    Rs256,
    /// RSA-2048, PKCS #1 v1.5, SHA-384.
    Rs384,
    /// RSA-2048, PKCS #1 v1.5, SHA-512.
    Rs512,
    /// RSA-2048, PSS, SHA-256.
    Ps256,
    /// P-256, SHA-256.
    Es256,
    /// P-384, SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The name in a JOSE header, RFC 7518 section 3.1 and RFC 8037.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::EdDsa => &signature::ED25519,
        }
    }
}

/// The cryptographic library refused; it does not say why.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum KeyError {
    /// No key of this algorithm could be made.
    #[error("generate a key for {}", .0.name())]
    Generate(Algorithm),
    /// A key did not sign.
    #[error("sign with {}", .0.name())]
    Sign(Algorithm),
}

enum Pair {
    Rsa(rsa::KeyPair, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A private key with the name under which its public half is published.
pub(super) struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    pair: Pair,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({}, {})", self.kid, self.algorithm.name())
    }
}

impl SigningKey {
    pub(super) fn generate(kid: String, algorithm: Algorithm) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Generate(algorithm);
        let rsa = |encoding: &'static dyn RsaEncoding| {
            rsa::KeyPair::generate(rsa::KeySize::Rsa2048).map(|pair| Pair::Rsa(pair, encoding))
        };
        let pair = match algorithm {
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
            Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
            Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
            Algorithm::Ps256 => rsa(&signature::RSA_PSS_SHA256),
            Algorithm::Es256 => {
                EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::Ecdsa)
            }
            Algorithm::Es384 => {
                EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).map(Pair::Ecdsa)
            }
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Pair::Ed25519),
        };
        Ok(Self { kid, algorithm, pair: pair.map_err(failed)? })
    }

    /// PKCS #1 in PEM, as ZITADEL writes the keys that it lets be downloaded; of RSA keys only.
    pub(super) fn private_pem(&self) -> Option<String> {
        let Pair::Rsa(pair, _) = &self.pair else { return None };
        let der = pair.as_der().ok()?;
        // RFC 5208: a sequence of version, algorithm, and the PKCS #1 key as an octet string; with
        // 2048 bits, each length before it has two bytes.
        let inner = base64::engine::general_purpose::STANDARD.encode(der.as_ref().get(26..)?);
        let mut pem = "-----BEGIN RSA PRIVATE KEY-----\n".to_owned();
        for line in inner.as_bytes().chunks(64) {
            pem.push_str(std::str::from_utf8(line).ok()?);
            pem.push('\n');
        }
        pem.push_str("-----END RSA PRIVATE KEY-----\n");
        Some(pem)
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Sign(self.algorithm);
        match &self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(failed)?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec()),
        }
    }

    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verification = self.algorithm.verification();
        UnparsedPublicKey::new(verification, self.public_bytes()).verify(message, signature).is_ok()
    }

    /// RFC 7517 members in the order in which ZITADEL writes them.
    pub(super) fn public_jwk(&self) -> Value {
        let (kid, alg) = (&self.kid, self.algorithm.name());
        match &self.pair {
            Pair::Rsa(pair, _) => {
                let public = pair.public_key();
                json!({"use": "sig", "kty": "RSA", "kid": kid, "alg": alg,
                    "n": base64url(public.modulus().big_endian_without_leading_zero()),
                    "e": base64url(public.exponent().big_endian_without_leading_zero())})
            }
            Pair::Ecdsa(_) => {
                let point = self.public_bytes();
                // SEC 1 section 2.3.3: 0x04, then both coordinates at full length.
                let coordinates = point.get(1..).unwrap_or_default();
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                let curve = if self.algorithm == Algorithm::Es384 { "P-384" } else { "P-256" };
                json!({"use": "sig", "kty": "EC", "kid": kid, "crv": curve, "alg": alg,
                    "x": base64url(x), "y": base64url(y)})
            }
            Pair::Ed25519(_) => json!({"use": "sig", "kty": "OKP", "kid": kid, "crv": "Ed25519",
                "alg": alg, "x": base64url(&self.public_bytes())}),
        }
    }

    /// RSA: PKCS #1; EC: the uncompressed point; Ed25519: 32 bytes.
    fn public_bytes(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair, _) => pair.public_key().as_ref().to_vec(),
            Pair::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }
}

pub(super) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_signs_what_its_public_half_verifies() {
        use Algorithm::*;
        for algorithm in [Rs256, Rs384, Rs512, Ps256, Es256, Es384, EdDsa] {
            let key = SigningKey::generate("1".into(), algorithm).unwrap();
            let signature = key.sign(b"message").unwrap();
            assert!(key.signed(b"message", &signature), "{algorithm:?}");
            assert!(!key.signed(b"massage", &signature), "{algorithm:?}");
            let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.public_jwk()).unwrap();
            let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
            let named = algorithm.name().parse().unwrap();
            let text = base64url(&signature);
            let verified = jsonwebtoken::crypto::verify(&text, b"message", &decoding, named);
            assert!(verified.unwrap(), "{algorithm:?} as a JWK");
        }
    }
}
