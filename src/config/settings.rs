//! What the configuration means: domain types, checked once.

mod parts;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::Problem;
use super::file::File;
use crate::authn::IssuerSettings;
use crate::authz::AuthzSettings;
use crate::authz::client::OpenFgaSettings;
use crate::proxy::Patience;
use crate::proxy::cors::Cors;
use crate::proxy::framing::MessageLimits;
use crate::proxy::upstream::UpstreamSettings;
use crate::rate_limit::{Limit, Settings as RedisSettings};
use crate::rules::PathPolicy;
use crate::secret::Secret;

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
    /// Who decides.
    pub openfga: OpenFga,
    /// Where counts are exchanged, if anywhere.
    pub redis: Option<RedisSettings>,
    /// All limits.
    pub limits: Vec<Limit>,
    /// Keys counted exactly.
    pub max_keys: usize,
    /// All upstreams; rules refer to them by position.
    pub upstreams: Vec<UpstreamSettings>,
}

/// The traffic port.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Worker threads.
    pub threads: usize,
    /// Our name in Via.
    pub name: String,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long clients may be silent.
    pub patience: Patience,
    /// How long requests in flight get after SIGTERM.
    pub drain_timeout: Duration,
    /// How large requests may be.
    pub limits: MessageLimits,
    /// What paths may look like.
    pub paths: PathPolicy,
}

/// The operators' port.
#[derive(Debug)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What opens the endpoints that change or reveal.
    pub token: Option<Secret>,
}

/// What is logged.
#[derive(Debug)]
pub struct Log {
    /// Filter expression.
    pub level: String,
    /// Whether requests are.
    pub access: bool,
}

/// Where rules are.
#[derive(Debug)]
pub struct Rules {
    /// The file.
    pub file: PathBuf,
    /// Relation of rules that name none.
    pub default_relation: String,
}

/// Who decides.
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

impl TryFrom<File> for Settings {
    type Error = Vec<Problem>;

    fn try_from(file: File) -> Result<Self, Vec<Problem>> {
        let mut found = Findings::default();
        let server = parts::server(&file.server, &mut found);
        let admin = parts::admin(&file.admin, &mut found);
        let log = parts::log(file.log, &mut found);
        let cors = parts::cors(&file.cors, &mut found);
        let issuers = parts::issuers(&file.issuers, &mut found);
        let openfga = parts::openfga(&file.openfga, &mut found);
        let redis = parts::redis(&file.redis, &file.openfga.store_id, &mut found);
        let limits = parts::limits(&file.limits, &mut found);
        let upstreams = parts::upstreams(&file.upstreams, &mut found);
        let settings = (|| {
            Some(Self {
                server: server?,
                admin: admin?,
                log: log?,
                rules: Rules {
                    file: PathBuf::from(file.rules.file),
                    default_relation: file.rules.default_relation,
                },
                cors: cors?,
                issuers: issuers?,
                openfga: openfga?,
                redis: redis?,
                limits: limits?,
                max_keys: file.limiter.max_keys,
                upstreams: upstreams?,
            })
        })();
        settings.filter(|_| found.problems.is_empty()).ok_or(found.problems)
    }
}

/// Problems found on the way; a part with a problem is `None`.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: Vec<Problem>,
}

impl Findings {
    /// The value of a result; its error is noted under `key`.
    pub(super) fn take<T, E: std::fmt::Display>(
        &mut self,
        key: impl Into<String>,
        result: Result<T, E>,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(Problem { key: key.into(), message: error.to_string() });
                None
            }
        }
    }

    /// Notes a problem.
    pub(super) fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { key: key.into(), message: message.into() });
    }
}
