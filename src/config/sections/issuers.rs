//! `issuers`: whose tokens are believed, and how.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::authn::{Algorithm, Audiences, IntrospectionSettings, IssuerSettings};
use crate::config::problems::Problems;
use crate::config::values::{http_url, optional};
use crate::secret::Secret;
use crate::span::Span;

/// One token issuer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuerSection {
    url: String,
    discovery_url: String,
    audience: Vec<String>,
    clients: Vec<String>,
    algorithms: Vec<String>,
    clock_skew: Span,
    user: String,
    refresh_keys: Span,
    keep_keys: Span,
    introspection: IntrospectionSection,
}

/// How opaque tokens of an issuer are verified.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct IntrospectionSection {
    client_id: String,
    client_secret: String,
    timeout: Span,
    cache_ttl: Span,
}

pub(super) fn read(
    sections: &[IssuerSection],
    problems: &mut Problems,
) -> Option<Vec<IssuerSettings>> {
    let mut issuers = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        issuers.extend(section.read(&format!("issuers[{index}]"), problems));
    }
    (issuers.len() == sections.len()).then_some(issuers)
}

impl IssuerSection {
    fn read(&self, key: &str, problems: &mut Problems) -> Option<IssuerSettings> {
        let url = http_url(&format!("{key}.url"), &self.url, problems);
        let discovery_url = optional(&self.discovery_url)
            .map(|text| http_url(&format!("{key}.discovery_url"), text, problems));
        let audiences = problems.take(format!("{key}.audience"), audiences(&self.audience));
        let algorithms = algorithms(&format!("{key}.algorithms"), &self.algorithms, problems);
        let introspection = self.introspection.read(&format!("{key}.introspection"), problems);
        url?;
        Some(IssuerSettings {
            url: self.url.clone(),
            discovery_url: match discovery_url {
                Some(url) => Some(url?),
                None => None,
            },
            audiences: audiences?,
            clients: self.clients.clone(),
            algorithms,
            skew: self.clock_skew.0,
            user_template: optional(&self.user).map(ToOwned::to_owned),
            introspection,
            claim_headers: Vec::new(),
            soft_ttl: self.refresh_keys.0,
            hard_ttl: self.keep_keys.0,
        })
    }
}

fn audiences(accepted: &[String]) -> Result<Audiences, &'static str> {
    match accepted {
        [only] if only == "any" => Ok(Audiences::Any),
        [] => Err("is empty; name the accepted audiences, or write any to accept all"),
        list if list.iter().any(|one| one == "any") => Err("any stands alone, not in a list"),
        list => Ok(Audiences::List(list.to_vec())),
    }
}

fn algorithms(key: &str, names: &[String], problems: &mut Problems) -> Vec<Algorithm> {
    if names.is_empty() {
        problems.add(key, "is empty; name the accepted signature algorithms");
    }
    let parsed = names
        .iter()
        .map(|name| name.parse::<Algorithm>().map_err(|error| format!("{name:?}: {error}")));
    parsed.filter_map(|algorithm| problems.take(key, algorithm)).collect()
}

impl IntrospectionSection {
    fn read(&self, key: &str, problems: &mut Problems) -> Option<IntrospectionSettings> {
        problems.refuse_zero(key, &[("timeout", self.timeout)]);
        let client_id = optional(&self.client_id)?;
        let Some(secret) = optional(&self.client_secret) else {
            let message = "is required with a client_id (ZITADEL_CLIENT_SECRET)";
            problems.add(format!("{key}.client_secret"), message);
            return None;
        };
        let mut settings = IntrospectionSettings::new(client_id, Secret::new(secret));
        settings.timeout = self.timeout.0;
        settings.ttl = self.cache_ttl.0;
        Some(settings)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::problems;

    #[test]
    fn every_mistake_of_an_issuer_is_told() {
        let told = problems("issuers: [{url: x, discovery_url: y, audience: '', algorithms: RS1}]");
        let keys: Vec<_> = told.lines().filter_map(|line| line.split(": ").next()).collect();
        let names = ["url", "discovery_url", "audience", "algorithms"];
        assert_eq!(keys, names.map(|name| format!("issuers[0].{name}")), "{told}");
        let told = problems("issuers: [{algorithms: ''}]");
        assert!(told.starts_with("issuers[0].algorithms: is empty"), "{told}");
    }

    #[test]
    fn introspection_cannot_take_no_time() {
        let told = problems("issuers: [{introspection: {timeout: 0s}}]");
        assert_eq!(told, "issuers[0].introspection.timeout: must not be zero");
    }
}
