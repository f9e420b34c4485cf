//! Whether issuers answer as configured, asked by an operator before clients depend on it.

use super::keys::KeyReport;
use super::keys::fetch::FetchError;
use super::{Authenticator, Issuer};

/// A question to one issuer.
#[derive(Clone, Copy, Debug)]
pub struct IssuerProbe<'a>(&'a Issuer);

impl Authenticator {
    /// One for each issuer, in the order of the configuration.
    pub fn probes(&self) -> impl Iterator<Item = IssuerProbe<'_>> {
        self.issuers.iter().map(IssuerProbe)
    }
}

impl IssuerProbe<'_> {
    /// The issuer's URL.
    pub fn issuer(&self) -> &str {
        &self.0.realm.issuer
    }

    /// Loads discovery document and keys.
    pub async fn keys(&self) -> Result<KeyReport, FetchError> {
        self.0.keys.load().await?;
        Ok(self.0.keys.report())
    }

    /// Asks about a token that nobody has issued, which shows whether our client is known; `None` where
    /// opaque tokens are not asked about.
    pub async fn introspection(&self) -> Option<Result<(), String>> {
        let introspection = self.0.introspection.as_ref()?;
        Some(introspection.ask_once("auth-gateway-check").await.map(drop))
    }
}
