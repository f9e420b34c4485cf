//! `redis`: where counts are exchanged.

use schemars::JsonSchema;
use serde::Deserialize;

use super::openfga::is_id;
use crate::config::problems::Problems;
use crate::config::values::optional;
use crate::rate_limit::{RedisSettings, RedisSettingsError};
use crate::span::Span;

/// Where counts are exchanged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RedisSection {
    url: String,
    namespace: String,
    sync_interval: Span,
    timeout: Span,
}

/// What keeps this deployment's keys from others' when nobody has chosen a namespace.
#[derive(Clone, Copy)]
pub(super) struct Apart<'a> {
    pub(super) is_embedded: bool,
    pub(super) store_id: &'a str,
}

impl RedisSection {
    /// `Some(None)` when there is no Redis.
    #[expect(
        clippy::option_option,
        reason = "the outer one tells of a mistake, the inner of absence"
    )]
    pub(super) fn read(
        &self,
        apart: Apart<'_>,
        problems: &mut Problems,
    ) -> Option<Option<RedisSettings>> {
        let Some(url) = optional(&self.url) else { return Some(None) };
        // Without a server there is no store id that would keep deployments apart.
        if apart.is_embedded && self.namespace.is_empty() {
            let message = "is required with redis.url when authz.mode is embedded: deployments with \
                           the same namespace share their limits";
            problems.require("redis.namespace", message);
        }
        // A bad store id is told where it stands.
        let store_id = Some(apart.store_id).filter(|id| is_id(id)).unwrap_or("none");
        let namespace = optional(&self.namespace).unwrap_or(store_id);
        let settings = RedisSettings::new(url, namespace, self.sync_interval.0, self.timeout.0);
        let key = match &settings {
            Err(RedisSettingsError::BadUrl) => "redis.url",
            Err(RedisSettingsError::BadNamespace { .. }) => "redis.namespace",
            Err(RedisSettingsError::ZeroDuration) | Ok(_) => "redis",
        };
        problems.take(key, settings).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{environment, problems};
    use crate::config::{Overrides, parse};

    #[test]
    fn a_bad_url_is_told_with_its_key_and_without_its_password() {
        let told = problems("redis: {url: 'redis://:geheim@h:99999/'}");
        assert_eq!(told, "redis.url: not a redis:// or rediss:// URL");
        let lookup = |name: &str| match name {
            "REDIS_URL" => Some("geheim".to_owned()),
            _ => environment(name),
        };
        let told = parse("", &Overrides::default(), &lookup).unwrap_err().to_string();
        assert_eq!(told, "redis.url: not a redis:// or rediss:// URL (from REDIS_URL)");
        let told = problems("redis: {url: 'redis://h/', namespace: a b}");
        assert!(told.starts_with("redis.namespace: "), "{told}");
    }

    #[test]
    fn an_embedded_engine_shares_redis_only_under_a_name_of_its_own() {
        let told = |redis: &str| {
            problems(&format!("authz: {{mode: embedded, model_file: m.fga}}\nredis: {{{redis}}}"))
        };
        let refused = told("url: 'redis://h/'");
        assert!(refused.starts_with("redis.namespace: is required"), "{refused}");
        assert_eq!(refused.lines().count(), 1, "{refused}");
        assert_eq!(told("url: 'redis://h/', namespace: mine"), "");
        assert_eq!(told("url: ''"), "");
    }
}
