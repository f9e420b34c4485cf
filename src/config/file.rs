//! What a configuration file may say: plain structs, one per section of `conf/gateway.yaml`.
//!
//! There are no defaults here. The shipped file is compiled in and every other file is laid over it,
//! so each default is written once, beside the comment that explains it.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// How durations are written.
pub(super) const DURATION: &str = "^[0-9]{1,9}(ms|s|m|h)$";
/// What a limit may count by.
pub(super) const LIMIT_KEY: &str = "^(client_ip|principal|rule|header:.+)$";

/// The whole file; for the schema, since sections are read one by one.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "its shape is what matters")]
pub(super) struct File {
    pub server: Server,
    pub admin: Admin,
    pub log: Log,
    pub rules: Rules,
    pub cors: Cors,
    #[schemars(length(min = 1, max = 16))]
    pub issuers: Vec<Issuer>,
    pub credentials: Credentials,
    pub streams: Streams,
    pub authz: Authz,
    pub openfga: OpenFga,
    pub redis: Redis,
    pub limits: BTreeMap<String, Limit>,
    pub limiter: Limiter,
    pub upstreams: BTreeMap<String, Upstream>,
}

/// The traffic listener and what a request may look like.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub listen: String,
    #[schemars(range(max = 1024))]
    pub threads: usize,
    pub name: String,
    pub trusted_proxies: Vec<String>,
    pub private_hosts: Vec<String>,
    pub strip_headers: Vec<String>,
    pub keepalive_timeout: Span,
    pub header_timeout: Span,
    pub read_timeout: Span,
    pub write_timeout: Span,
    pub shutdown_delay: Span,
    pub drain_timeout: Span,
    #[schemars(range(min = 1024, max = 1_000_000))]
    pub max_header_bytes: usize,
    #[schemars(range(min = 8, max = 250))]
    pub max_headers: usize,
    #[schemars(range(min = 256, max = 65536))]
    pub max_uri_bytes: usize,
    pub max_body_bytes: u64,
    pub allow_empty_segments: bool,
    pub allow_semicolons: bool,
}

/// The operators' listener.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    pub listen: String,
    pub hosts: Vec<String>,
    pub token: String,
}

/// What is logged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: String,
    pub access: bool,
}

/// Where the rules are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    pub file: String,
    pub default_relation: String,
}

/// Cross-origin requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    pub allowed_origins: Vec<String>,
    pub allowed_headers: Vec<String>,
    pub exposed_headers: Vec<String>,
    pub allow_credentials: bool,
    pub max_age: Span,
}

/// One token issuer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    pub url: String,
    pub discovery_url: String,
    pub audience: Vec<String>,
    pub clients: Vec<String>,
    pub algorithms: Vec<String>,
    pub clock_skew: Span,
    pub user: String,
    pub refresh_keys: Span,
    pub keep_keys: Span,
    pub introspection: Introspection,
}

/// How opaque tokens of an issuer are verified.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    pub client_id: String,
    pub client_secret: String,
    pub timeout: Span,
    pub cache_ttl: Span,
}

/// Where a request's token is looked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    pub sources: Vec<String>,
    pub websocket_prefix: String,
    pub websocket_companion: String,
}

/// WebSockets, which may outlast what opened them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Streams {
    pub close_on_expiry: bool,
    pub expiry_grace: Span,
}

impl Streams {
    /// How long a WebSocket may outlast its token.
    pub(super) fn grace(&self) -> Option<Duration> {
        self.close_on_expiry.then_some(self.expiry_grace.0)
    }
}

/// Whether a server decides, or the engine in this process.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Authz {
    pub mode: AuthzMode,
    pub model_file: String,
    pub tuples_file: String,
}

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthzMode {
    Openfga,
    Embedded,
}

/// The OpenFGA server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenFga {
    pub url: String,
    pub store_id: String,
    pub authorization_model_id: String,
    pub api_token: String,
    pub timeout: Span,
    #[schemars(range(min = 1, max = 65536))]
    pub max_concurrent_checks: usize,
    pub model_refresh: Span,
    #[schemars(range(min = 1, max = 100_000_000))]
    pub cache_entries: usize,
    pub allow_ttl: Span,
    pub deny_ttl: Span,
    pub stale_if_error: Span,
}

/// Where counts are exchanged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    pub url: String,
    pub namespace: String,
    pub sync_interval: Span,
    pub timeout: Span,
}

/// One named limit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    #[schemars(extend("pattern" = LIMIT_KEY))]
    pub key: String,
    #[schemars(range(min = 1, max = 1_000_000))]
    pub limit: u32,
    pub window: Span,
}

/// The table of counted keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limiter {
    #[schemars(range(min = 1000, max = 100_000_000))]
    pub max_keys: usize,
}

/// One upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    pub url: String,
    pub host: String,
    pub forward_credentials: bool,
    pub connect_timeout: Span,
    pub read_timeout: Span,
    pub write_timeout: Span,
    pub idle_timeout: Span,
    pub resolve_interval: Span,
}

/// A duration as files write it: a number and a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("pattern" = DURATION))]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_span(&text)
            .ok_or_else(|| serde::de::Error::custom("not a duration like 500ms, 10s, 5m or 24h"))
    }
}

fn parse_span(text: &str) -> Option<Span> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Span(Duration::from_millis(number.checked_mul(millis)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        let cases = [
            ("500ms", Some(500)),
            ("10s", Some(10_000)),
            ("5m", Some(300_000)),
            ("24h", Some(86_400_000)),
            ("10", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("10 s", None),
            ("", None),
        ];
        for (text, millis) in cases {
            let expected = millis.map(|m| Span(Duration::from_millis(m)));
            assert_eq!(parse_span(text), expected, "{text:?}");
        }
    }
}
