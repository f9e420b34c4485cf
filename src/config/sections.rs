//! The sections of `conf/gateway.yaml`, a file each: what is written, what it means, what is checked.
//!
//! There are no defaults here. The shipped file is compiled in and every other file is laid over it,
//! so each default is written once, beside the comment that explains it.

mod admin;
mod authz;
mod cors;
mod credentials;
mod issuers;
mod limiter;
mod limits;
mod log;
mod openfga;
mod redis;
mod rules;
mod server;
mod streams;
mod upstreams;

pub use admin::Admin;
pub use authz::Embedded;
pub use limits::Limits;
pub(super) use limits::{ALLOWANCE, KEY as LIMIT_KEY};
pub use log::Log;
pub use openfga::OpenFga;
pub use rules::Rules;
pub use server::Server;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::problems::Problems;
use super::rule_names::RuleNames;
use crate::authn::{Credentials, IssuerSettings};
use crate::proxy::cors::Cors;
use crate::rate_limit::RedisSettings;
use crate::rules::UpstreamRole;
use crate::upstream::UpstreamSettings;

/// The whole file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    server: server::ServerSection,
    admin: admin::AdminSection,
    log: log::LogSection,
    rules: rules::RulesSection,
    cors: cors::CorsSection,
    #[schemars(length(min = 1, max = 16))]
    issuers: Vec<issuers::IssuerSection>,
    credentials: credentials::CredentialsSection,
    streams: streams::StreamsSection,
    authz: authz::AuthzSection,
    openfga: openfga::OpenFgaSection,
    redis: redis::RedisSection,
    limits: BTreeMap<String, limits::LimitSection>,
    limiter: limiter::LimiterSection,
    upstreams: BTreeMap<String, upstreams::UpstreamSection>,
}

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

impl File {
    /// What rules may name; a stand-in for a part of that would make their own names look wrong.
    pub(super) fn rule_names(&self, problems: &Problems) -> Option<RuleNames> {
        let parts = ["rules.file", "rules.default_relation", "upstreams", "limits"];
        if parts.iter().any(|part| problems.is_replaced(part)) {
            return None;
        }
        let limits = self.limits.iter();
        Some(RuleNames {
            file: std::path::absolute(&self.rules.file).ok()?,
            are_all: true,
            default_relation: self.rules.default_relation.clone(),
            upstreams: self
                .upstreams
                .keys()
                .map(|name| (name.clone(), UpstreamRole::of(name)))
                .collect(),
            limits: limits.map(|(name, limit)| (name.clone(), limit.counts_principals())).collect(),
        })
    }

    /// What the file means. Every section is read, whatever is wrong with the others; settings come
    /// only of a file without a mistake.
    pub(super) fn read(self, problems: &mut Problems) -> Option<Settings> {
        let server = self.server.read(problems);
        let admin = self.admin.read(server.as_ref().map(|server| server.listen), problems);
        let log = self.log.read(problems);
        let rules = self.rules.read(problems);
        let cors = self.cors.read(problems);
        let issuers = issuers::read(&self.issuers, problems);
        let credentials = self.credentials.read(problems);
        let expiry_grace = self.streams.grace();
        let embedded = self.authz.read(problems);
        let is_embedded = self.authz.is_embedded();
        let openfga = self.openfga.read(problems);
        let apart = redis::Apart { is_embedded, store_id: &self.openfga.store_id };
        let redis = self.redis.read(apart, problems);
        let limits = limits::read(&self.limits, problems);
        let openfga_url = openfga.as_ref().map(|openfga| &openfga.client.url);
        let upstreams = upstreams::read(&self.upstreams, openfga_url, is_embedded, problems);
        Some(Settings {
            server: server?,
            admin: admin?,
            log: log?,
            rules: rules?,
            cors: cors?,
            issuers,
            credentials: credentials?,
            expiry_grace,
            embedded,
            openfga: openfga?,
            redis: redis?,
            limits: limits?,
            max_keys: self.limiter.max_keys,
            upstreams,
        })
    }
}
