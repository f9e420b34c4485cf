//! The keys of an issuer: all of them published, one of them signing.

use serde_json::Value;

use super::keys::{Algorithm, KeyError, SigningKey};
use super::numeric_id;

#[derive(Debug, Default)]
pub(super) struct KeyRing {
    keys: Vec<SigningKey>,
    active: Option<String>,
}

impl KeyRing {
    /// The first key that is published signs; later ones wait to be activated.
    pub(super) fn publish(&mut self, algorithm: Algorithm) -> Result<String, KeyError> {
        let kid = numeric_id();
        self.publish_as(&kid, algorithm)?;
        Ok(kid)
    }

    pub(super) fn publish_as(&mut self, kid: &str, algorithm: Algorithm) -> Result<(), KeyError> {
        self.keys.push(SigningKey::generate(kid.to_owned(), algorithm)?);
        self.active.get_or_insert_with(|| kid.to_owned());
        Ok(())
    }

    pub(super) fn activate(&mut self, kid: &str) -> bool {
        let known = self.find(kid).is_some();
        if known {
            self.active = Some(kid.to_owned());
        }
        known
    }

    /// Without its active key the issuer signs with none until another is activated.
    pub(super) fn remove(&mut self, kid: &str) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.kid() != kid);
        self.active.take_if(|active| active == kid);
        self.keys.len() < before
    }

    pub(super) fn find(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid() == kid)
    }

    pub(super) fn active(&self) -> Option<&SigningKey> {
        self.active.as_deref().and_then(|kid| self.find(kid))
    }

    pub(super) fn newest(&self, algorithm: Algorithm) -> Option<&SigningKey> {
        self.keys.iter().rev().find(|key| key.algorithm() == algorithm)
    }

    pub(super) fn public_jwks(&self) -> Vec<Value> {
        self.keys.iter().map(SigningKey::public_jwk).collect()
    }
}
