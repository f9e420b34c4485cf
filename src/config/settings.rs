//! What a configuration means: domain types, checked once.

use std::time::Duration;

use super::sections::{Admin, Embedded, Limits, Log, OpenFga, Rules, Server};
use crate::authn::{Credentials, IssuerSettings};
use crate::proxy::cors::Cors;
use crate::rate_limit::RedisSettings;
use crate::rules::UpstreamRole;
use crate::upstream::UpstreamSettings;

/// Everything that the composition root needs.
#[derive(Debug)]
pub struct Settings {
    /// The traffic port.
    pub server: Server,
    /// The operators' port.
    pub admin: Admin,
    /// What is logged.
    pub log: Log,
    /// Where rules are.
    pub rules: Rules,
    /// Cross-origin policy.
    pub cors: Cors,
    /// At least one; the first is ZITADEL.
    pub issuers: Vec<IssuerSettings>,
    /// Where tokens are looked for.
    pub credentials: Credentials,
    /// How long a WebSocket may outlast its token; for ever when absent.
    pub expiry_grace: Option<Duration>,
    /// Set when the engine in this process decides, not a server.
    pub embedded: Option<Embedded>,
    /// The server that decides otherwise, and how its answers are kept.
    pub openfga: OpenFga,
    /// Where counts are exchanged, if anywhere.
    pub redis: Option<RedisSettings>,
    /// All limits.
    pub limits: Limits,
    /// Keys counted exactly.
    pub max_keys: usize,
    /// All upstreams and what they are; rules refer to them by position.
    pub upstreams: Vec<(UpstreamRole, UpstreamSettings)>,
}
