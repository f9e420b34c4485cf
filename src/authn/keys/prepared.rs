//! Public keys that were set up once for all signatures to come.
//!
//! `jsonwebtoken`'s own verifiers set the key up anew for every signature, which for RSA takes a
//! quarter as long as the signature itself. This is one more verifier for it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use jsonwebtoken::crypto::JwtVerifier;
use jsonwebtoken::signature::{Error, Verifier};

use crate::authn::algorithm::{Algorithm, AlgorithmSet};

/// The library finds no key in the numbers.
pub(super) struct NotAKey;

/// A key ready to verify signatures of one algorithm.
pub(super) struct Prepared {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl Prepared {
    /// An RSA key, for each of the algorithms.
    pub(super) fn rsa(n: &[u8], e: &[u8], algorithms: AlgorithmSet) -> Result<Vec<Self>, NotAKey> {
        let components = RsaPublicKeyComponents { n, e };
        let wanted = Algorithm::ALL.into_iter().filter(|one| algorithms.contains(*one));
        let prepared = wanted.filter_map(|algorithm| {
            let key = components.to_parsed_public_key(rsa_parameters(algorithm)?);
            Some(key.map(|key| Self { algorithm, key }).map_err(|_| NotAKey))
        });
        prepared.collect()
    }

    /// A key of a curve that has one algorithm, by its encoded point.
    pub(super) fn point(point: &[u8], algorithm: Algorithm) -> Result<Vec<Self>, NotAKey> {
        let curve: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED,
            Algorithm::EdDSA => &ED25519,
            _ => return Err(NotAKey),
        };
        let key = ParsedPublicKey::new(curve, point).map_err(|_| NotAKey)?;
        Ok(vec![Self { algorithm, key }])
    }

    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithm == algorithm
    }
}

impl Verifier<Vec<u8>> for Prepared {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        self.key.verify_sig(message, signature).map_err(|_| Error::new())
    }
}

impl JwtVerifier for Prepared {
    fn algorithm(&self) -> jsonwebtoken::Algorithm {
        self.algorithm.verifier()
    }
}

const fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
        Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA => return None,
    })
}
