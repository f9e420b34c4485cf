//! `openfga`: the server that decides, and how its answers are kept.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::authz::AuthzSettings;
use crate::authz::client::OpenFgaSettings;
use crate::config::problems::Problems;
use crate::config::values::{header_text, http_url, optional};
use crate::secret::Secret;
use crate::span::Span;

/// The OpenFGA server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenFgaSection {
    url: String,
    pub(super) store_id: String,
    authorization_model_id: String,
    api_token: String,
    timeout: Span,
    #[schemars(range(min = 1, max = 65536))]
    max_concurrent_checks: usize,
    model_refresh: Span,
    #[schemars(range(min = 1, max = 100_000_000))]
    cache_entries: usize,
    allow_ttl: Span,
    deny_ttl: Span,
    stale_if_error: Span,
}

/// The OpenFGA server.
#[derive(Debug)]
pub struct OpenFga {
    /// How to reach it.
    pub client: OpenFgaSettings,
    /// How its answers are kept.
    pub authz: AuthzSettings,
    /// A fixed model; the latest when absent.
    pub model_id: Option<String>,
    /// Time between look-ups of the latest model.
    pub model_refresh: Duration,
}

impl OpenFgaSection {
    pub(super) fn read(&self, problems: &mut Problems) -> Option<OpenFga> {
        let url = http_url("openfga.url", &self.url, problems);
        if url.as_ref().is_some_and(|url| url.query().is_some() || url.fragment().is_some()) {
            problems.add("openfga.url", format!("{:?} must end before ? and #", self.url));
        }
        if !is_id(&self.store_id) {
            let message = format!(
                "{:?} is not a store id; it is what POST /stores answered as id",
                self.store_id
            );
            problems.add("openfga.store_id", message);
        }
        let api_token = header_text("openfga.api_token", &self.api_token, problems);
        problems.refuse_zero("openfga", &[("timeout", self.timeout)]);
        Some(OpenFga {
            client: OpenFgaSettings {
                url: url?,
                store_id: self.store_id.clone(),
                api_token: api_token.map(Secret::new),
                timeout: self.timeout.0,
            },
            authz: AuthzSettings {
                cache_entries: self.cache_entries,
                allow_ttl: self.allow_ttl.0,
                deny_ttl: self.deny_ttl.0,
                stale_if_error: self.stale_if_error.0,
                max_concurrent: self.max_concurrent_checks,
            },
            model_id: optional(&self.authorization_model_id).map(ToOwned::to_owned),
            model_refresh: self.model_refresh.0.max(Duration::from_secs(1)),
        })
    }
}

/// OpenFGA's ids, and the placeholders of its documentation.
pub(super) fn is_id(text: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !text.is_empty() && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use crate::config::testing::problems;

    #[test]
    fn what_openfga_cannot_be_asked_with_is_told() {
        let told = problems("openfga: {url: 'http://x/?a', api_token: 'tökén', timeout: 0s}");
        let keys: Vec<_> = told.lines().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(keys, ["openfga.url", "openfga.api_token", "openfga.timeout"], "{told}");
        assert!(!told.contains("tökén"), "{told}");
    }

    #[test]
    fn a_bad_store_id_is_told_once() {
        let redis = "redis: {url: 'redis://redis/'}\n";
        let told = problems(&format!("{redis}openfga: {{store_id: a b}}"));
        assert!(told.starts_with("openfga.store_id: ") && told.lines().count() == 1, "{told}");
    }
}
