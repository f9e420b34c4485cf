//! Opaque tokens that the issuer handed out, and which tokens it took back.

use std::collections::{HashMap, HashSet};

use aws_lc_rs::rand;
use serde_json::{Map, Value};

use super::keys::base64url;

/// Claims as they stand in a token or an introspection answer.
pub(super) type Claims = Map<String, Value>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpaqueKind {
    /// For the clients in its audience.
    AccessToken,
    /// ZITADEL adds whoever asks to its audience, so that it is active for any client.
    PersonalAccessToken,
}

#[derive(Debug, Default)]
pub(super) struct Grants {
    opaque: HashMap<String, (OpaqueKind, Claims)>,
    /// Opaque tokens, and `jti` of JWTs.
    revoked: HashSet<String>,
}

impl Grants {
    /// The text looks like ZITADEL's: an encrypted `tokenID:userID`, base64url.
    pub(super) fn issue(&mut self, kind: OpaqueKind, claims: Claims) -> Option<String> {
        let mut bytes = [0_u8; 53];
        rand::fill(&mut bytes).ok()?;
        let token = base64url(&bytes);
        self.opaque.insert(token.clone(), (kind, claims));
        Some(token)
    }

    pub(super) fn find(&self, token: &str) -> Option<&(OpaqueKind, Claims)> {
        self.opaque.get(token).filter(|_| !self.is_revoked(token))
    }

    pub(super) fn revoke(&mut self, token_or_jti: String) {
        self.revoked.insert(token_or_jti);
    }

    pub(super) fn is_revoked(&self, token_or_jti: &str) -> bool {
        self.revoked.contains(token_or_jti)
    }
}
