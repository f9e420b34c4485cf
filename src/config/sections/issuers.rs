//! `issuers`: whose tokens are believed, and how.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::authn::{
    Algorithm, Audiences, ClientKey, IntrospectionSettings, IssuerSettings, faults,
};
use crate::config::problems::Problems;
use crate::config::read_text;
use crate::config::values::{header_text, http_url, optional};
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
    key_file: String,
    timeout: Span,
    cache_ttl: Span,
}

pub(super) fn read(sections: &[IssuerSection], problems: &mut Problems) -> Vec<IssuerSettings> {
    let read = sections.iter().enumerate();
    let read = read.map(|(index, section)| section.read(&format!("issuers[{index}]"), problems));
    let issuers: Vec<_> = read.collect();
    for fault in faults(&issuers) {
        let key = format!("issuers[{}].{}", fault.issuer, fault.field);
        if !problems.are_about(&key) {
            problems.add(key, fault.error.to_string());
        }
    }
    issuers
}

impl IssuerSection {
    /// What it means; a part that is wrong is told and left out.
    fn read(&self, key: &str, problems: &mut Problems) -> IssuerSettings {
        http_url(&format!("{key}.url"), &self.url, problems);
        let discovery_url = optional(&self.discovery_url)
            .and_then(|text| http_url(&format!("{key}.discovery_url"), text, problems));
        let audiences = problems.take(format!("{key}.audience"), audiences(&self.audience));
        let algorithms = algorithms(&format!("{key}.algorithms"), &self.algorithms, problems);
        let introspection = self.introspection.read(&format!("{key}.introspection"), problems);
        IssuerSettings {
            url: self.url.clone(),
            discovery_url,
            audiences: audiences.unwrap_or(Audiences::Any),
            clients: self.clients.clone(),
            algorithms,
            skew: self.clock_skew.0,
            user_template: optional(&self.user).map(ToOwned::to_owned),
            introspection,
            claim_headers: Vec::new(),
            soft_ttl: self.refresh_keys.0,
            hard_ttl: self.keep_keys.0,
        }
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
        header_text(&format!("{key}.client_id"), &self.client_id, problems);
        header_text(&format!("{key}.client_secret"), &self.client_secret, problems);
        let mut settings = self.client(key, problems)?;
        settings.timeout = self.timeout.0;
        settings.ttl = self.cache_ttl.0;
        Some(settings)
    }

    /// Who asks, and what proves it; nobody while all three are empty.
    fn client(&self, key: &str, problems: &mut Problems) -> Option<IntrospectionSettings> {
        let (name, message) = match (
            optional(&self.client_id),
            optional(&self.client_secret),
            optional(&self.key_file),
        ) {
            (None, None, None) => return None,
            (Some(id), Some(secret), None) => {
                return Some(IntrospectionSettings::new(id, Secret::new(secret)));
            }
            (id, None, Some(file)) => {
                let client = problems.take(format!("{key}.key_file"), client_key(file))?;
                if id.is_none_or(|id| id == client.client_id()) {
                    return Some(IntrospectionSettings::with_key(client));
                }
                (
                    "client_id",
                    "is another one than the key file's: leave it empty (ZITADEL_CLIENT_ID)",
                )
            }
            (_, Some(_), Some(_)) => {
                ("key_file", "stands in place of client_secret: leave one of them empty")
            }
            (Some(_), None, None) => (
                "client_secret",
                "is required with a client_id (ZITADEL_CLIENT_SECRET), or a key_file (ZITADEL_KEY_FILE)",
            ),
            (None, Some(_), None) => {
                ("client_id", "is required with a client_secret (ZITADEL_CLIENT_ID)")
            }
        };
        problems.require(format!("{key}.{name}"), message);
        None
    }
}

/// Nothing of the file is quoted.
fn client_key(file: &str) -> Result<ClientKey, String> {
    let text = read_text(Path::new(file))
        .map_err(|error| format!("cannot read the file {file:?}: {error}"))?;
    ClientKey::parse(&text).map_err(|error| format!("{file:?} {error}"))
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
    fn issuers_that_do_not_go_together_are_told_beside_other_mistakes() {
        let told = problems(
            "cors: {allowed_origins: nowhere}\n\
             issuers:\n\
             - {url: 'https://a.example/?b', refresh_keys: 48h, user: x, clients: ['']}\n\
             - {url: 'https://c.example', audience: d}\n\
             - {url: 'https://c.example', audience: ['']}\n",
        );
        let keys: Vec<_> = told.lines().filter_map(|line| line.split(": ").next()).collect();
        let expected = [
            "cors.allowed_origins",
            "issuers[0].url",
            "issuers[0].clients",
            "issuers[0].keep_keys",
            "issuers[0].user",
            "issuers[2].audience",
            "issuers[2].url",
            "issuers[2].user",
        ];
        assert_eq!(keys, expected, "{told}");
    }

    #[test]
    fn a_secret_that_no_form_carries_is_told_and_not_shown() {
        let told = problems("issuers: [{introspection: {client_id: a, client_secret: 'gehéim'}}]");
        assert!(told.starts_with("issuers[0].introspection.client_secret: holds"), "{told}");
        assert!(!told.contains("gehéim"), "{told}");
    }

    #[test]
    fn introspection_cannot_take_no_time() {
        let told = problems("issuers: [{introspection: {timeout: 0s}}]");
        assert_eq!(told, "issuers[0].introspection.timeout: must not be zero");
    }

    #[test]
    fn a_client_has_an_id_and_one_proof() {
        let check = |written: &str, told: &str| {
            let found = problems(&format!("issuers: [{{introspection: {{{written}}}}}]"));
            assert_eq!(found, format!("issuers[0].introspection.{told}"), "{written}");
        };
        check(
            "client_id: a",
            "client_secret: is required with a client_id (ZITADEL_CLIENT_SECRET), or a key_file \
             (ZITADEL_KEY_FILE)",
        );
        check(
            "client_secret: b",
            "client_id: is required with a client_secret (ZITADEL_CLIENT_ID)",
        );
        check(
            "client_secret: b, key_file: c",
            "key_file: stands in place of client_secret: leave one of them empty",
        );
        let absent = "key_file: cannot read the file \"/absent/key\": No such file or directory";
        let found = problems("issuers: [{introspection: {key_file: /absent/key}}]");
        assert!(found.starts_with(&format!("issuers[0].introspection.{absent}")), "{found}");
    }

    #[test]
    fn a_key_file_says_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        let (key, _) = crate::dev::issuer::new_client_key("1", "123@gateway").unwrap();
        std::fs::write(&file, format!("\u{feff}{key}")).unwrap();
        let with = |more: &str| {
            problems(&format!("issuers: [{{introspection: {{key_file: {file:?}{more}}}}}]"))
        };
        assert_eq!(with(""), "");
        assert_eq!(with(", client_id: 123@gateway"), "");
        assert!(with(", client_id: other").contains("is another one than the key file's"));
    }
}
