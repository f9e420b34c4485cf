//! `limits`: how often one may call, by name.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::problems::Problems;
use crate::rate_limit::{KeyKind, Limit, LimitError};
use crate::span::Span;

/// What a limit may be, in words.
pub(in crate::config) const ALLOWANCE: &str = "a number from 1 to 1000000000, or off";
/// What a limit may count by.
pub(in crate::config) const KEY: &str = "^(client_ip|principal|rule|header:.+)$";

const CLIENT: &str = "client";
const PRINCIPAL: &str = "principal";
const FAILED_AUTHENTICATIONS: &str = "failed_authentications";

/// One named limit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitSection {
    #[schemars(extend("pattern" = KEY))]
    key: String,
    limit: Amount,
    window: Span,
}

/// Requests per window, or `off`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Amount {
    Requests(#[schemars(range(min = 1, max = 1_000_000_000))] u32),
    Off(Off),
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Off {
    Off,
}

/// All limits.
#[derive(Debug)]
pub struct Limits {
    /// By address, before any cryptography.
    pub client: Limit,
    /// By principal, after authentication.
    pub principal: Limit,
    /// Refused tokens, by address.
    pub failed_authentications: Limit,
    /// Those that only rules name.
    pub further: Vec<Limit>,
}

impl Limits {
    /// Those that every request is counted against first.
    pub fn iter(&self) -> impl Iterator<Item = &Limit> {
        [&self.client, &self.principal, &self.failed_authentications]
            .into_iter()
            .chain(&self.further)
    }
}

pub(super) fn read(
    sections: &BTreeMap<String, LimitSection>,
    problems: &mut Problems,
) -> Option<Limits> {
    let mut limits: BTreeMap<&str, Limit> = BTreeMap::new();
    for (name, section) in sections {
        limits.extend(section.read(name, problems).map(|limit| (name.as_str(), limit)));
    }
    let mut common = |name: &str| {
        let limit = limits.remove(name);
        if !sections.contains_key(name) {
            problems.require(format!("limits.{name}"), "is missing");
        }
        limit
    };
    let (client, principal) = (common(CLIENT), common(PRINCIPAL));
    let failed_authentications = common(FAILED_AUTHENTICATIONS);
    Some(Limits {
        client: client?,
        principal: principal?,
        failed_authentications: failed_authentications?,
        further: limits.into_values().collect(),
    })
}

impl LimitSection {
    /// Whether public rules cannot name it.
    pub(super) fn counts_principals(&self) -> bool {
        matches!(key_kind(&self.key), Some(KeyKind::Principal))
    }

    fn read(&self, name: &str, problems: &mut Problems) -> Option<Limit> {
        let key = key_kind(&self.key).ok_or_else(|| format!("{:?} is not a header name", self.key));
        let key = problems.take(format!("limits.{name}.key"), key)?;
        let fixed = match name {
            CLIENT | FAILED_AUTHENTICATIONS => Some(KeyKind::ClientIp),
            PRINCIPAL => Some(KeyKind::Principal),
            _ => None,
        };
        if let Some(fixed) = fixed.filter(|fixed| *fixed != key) {
            problems.add(format!("limits.{name}.key"), format!("of this limit is always {fixed}"));
        }
        let limit = match self.limit {
            Amount::Requests(requests) => Limit::new(name, key, requests, self.window.0),
            Amount::Off(Off::Off) => Limit::off(name, key),
        };
        let field = match &limit {
            Err(LimitError::WindowOutOfRange { .. }) => ".window",
            Err(LimitError::RequestsOutOfRange { .. }) => ".limit",
            Err(LimitError::BadName { .. }) | Ok(_) => "",
        };
        problems.take(format!("limits.{name}{field}"), limit)
    }
}

fn key_kind(text: &str) -> Option<KeyKind> {
    match text {
        "client_ip" => Some(KeyKind::ClientIp),
        "principal" => Some(KeyKind::Principal),
        "rule" => Some(KeyKind::Rule),
        _ => text.strip_prefix("header:")?.parse().ok().map(KeyKind::Header),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{environment, problems};
    use crate::config::{Overrides, parse};
    use crate::rate_limit::Allowance;

    #[test]
    fn the_limits_of_every_request_count_what_they_are_named_after() {
        let told = problems("limits: {client: {key: principal}, principal: {key: 'header:x'}}");
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(
            lines,
            [
                "limits.client.key: of this limit is always client_ip",
                "limits.principal.key: of this limit is always principal",
            ]
        );
    }

    #[test]
    fn a_limit_that_cannot_be_counted_is_told() {
        let told = problems(
            "limits: {'a b': {key: rule, limit: 1, window: 60s}, \
             odd: {key: 'header:a b', limit: 1, window: 60s}, \
             short: {key: rule, limit: 1, window: 90ms}}",
        );
        let keys: Vec<_> = told.lines().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(keys, ["limits.a b", "limits.odd.key", "limits.short.window"], "{told}");
    }

    #[test]
    fn a_limit_has_a_number_up_to_a_billion_or_is_off() {
        let allowances = |limit: &str| {
            let lookup = |name: &str| match name {
                "CLIENT_LIMIT" => Some(limit.to_owned()),
                _ => environment(name),
            };
            let settings = parse("", &Overrides::default(), &lookup).unwrap();
            let text = format!("limits: {{client: {{limit: {limit}}}}}");
            let written = parse(&text, &Overrides::default(), &environment).unwrap();
            [settings, written]
                .map(|settings| settings.limits.client.allowance().map(Allowance::requests))
        };
        assert_eq!(allowances("off"), [None; 2]);
        assert_eq!(allowances("1000000000"), [Some(1_000_000_000); 2]);
        let settings = parse("limits: {client: {limit: 1e9}}", &Overrides::default(), &environment);
        let requests = settings.unwrap().limits.client.allowance().map(Allowance::requests);
        assert_eq!(requests, Some(1_000_000_000));
        for wrong in ["0", "1000000001", "-1", "'on'", "1.5", "false", "[]"] {
            let told = problems(&format!("limits: {{client: {{limit: {wrong}}}}}"));
            assert!(told.starts_with("limits.client.limit: "), "{told}");
            assert!(told.ends_with(" is not a number from 1 to 1000000000, or off"), "{told}");
        }
    }
}
