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

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::problems::Problems;
use super::settings::Settings;
pub use admin::Admin;
pub use authz::Embedded;
pub(super) use limits::KEY as LIMIT_KEY;
pub use limits::Limits;
pub use log::Log;
pub use openfga::OpenFga;
pub use rules::Rules;
pub use server::Server;

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

impl File {
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
            issuers: issuers?,
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
