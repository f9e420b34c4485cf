//! What the configuration means: domain types, checked once.

mod credentials;
mod edge;
mod parts;
mod sections;
mod upstreams;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use sections::Sections;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Problem;
use super::file;
use crate::authn::{Credentials, IssuerSettings};
use crate::authz::AuthzSettings;
use crate::authz::client::OpenFgaSettings;
use crate::edge::Patience;
use crate::proxy::cors::Cors;
use crate::proxy::framing::MessageLimits;
use crate::proxy::headers::names::NamePattern;
use crate::rate_limit::{Limit, Settings as RedisSettings};
use crate::rules::{KnownHosts, PathPolicy};
use crate::secret::Secret;
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
    /// Under which private peers may call us.
    pub private_hosts: KnownHosts,
    /// Headers that no upstream gets from anybody.
    pub strip_headers: Vec<NamePattern>,
    /// How long clients may be silent.
    pub patience: Patience,
    /// How long requests are still taken after SIGTERM.
    pub shutdown_delay: Duration,
    /// How long requests in flight get after that.
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
    /// Under which it may be called.
    pub hosts: KnownHosts,
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

/// Decisions in process, from files.
#[derive(Debug)]
pub struct Embedded {
    /// A store file, or a model.
    pub model_file: PathBuf,
    /// Further tuples.
    pub tuples_file: Option<PathBuf>,
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

impl Settings {
    /// Reads a file's value, in which `problems` have been found already. Sections and entries that
    /// have one are left aside, so that the mistakes of the others are told in the same run.
    pub(super) fn read(value: Value, problems: Vec<Problem>) -> Result<Self, Vec<Problem>> {
        let mut found = Findings { sections: Sections::without(value, &problems), problems };
        let server = found.section("server").and_then(|s| parts::server(&s, &mut found));
        let admin = found.section("admin").and_then(|s| parts::admin(&s, &mut found));
        if let (Some(server), Some(admin)) = (&server, &admin) {
            parts::check_ports(server.listen, admin.listen, &mut found);
        }
        let log = found.section("log").and_then(|s| parts::log(s, &mut found));
        let rules = found.section("rules").and_then(|s| parts::rules(s, &mut found));
        let cors = found.section("cors").and_then(|s| edge::cors(&s, &mut found));
        let issuers = parts::issuers(&found.entries("issuers"), &mut found);
        let credentials = found.section("credentials");
        let credentials = credentials.and_then(|s| credentials::credentials(&s, &mut found));
        let streams: Option<file::Streams> = found.section("streams");
        let authz = found.section("authz").map(|s| parts::authz(&s, &mut found));
        let openfga: Option<file::OpenFga> = found.section("openfga");
        let store_id = openfga.as_ref().map(|openfga| openfga.store_id.clone());
        let store_id = store_id.filter(|id| parts::is_id(id));
        let openfga = openfga.and_then(|s| parts::openfga(&s, &mut found));
        let is_embedded = matches!(authz, Some(Some(_)));
        let redis = found.section("redis").and_then(|s| {
            parts::check_namespace(&s, is_embedded, &mut found);
            parts::redis(&s, store_id.as_deref(), &mut found)
        });
        let limits = parts::limits(&found.named("limits"), &mut found);
        let max_keys = found.section("limiter").map(|s: file::Limiter| s.max_keys);
        let upstreams = upstreams::upstreams(&found.named("upstreams"), is_embedded, &mut found);
        let settings = (|| {
            Some(Self {
                server: server?,
                admin: admin?,
                log: log?,
                rules: rules?,
                cors: cors?,
                issuers: issuers?,
                credentials: credentials?,
                expiry_grace: streams?.grace(),
                embedded: authz?,
                openfga: openfga?,
                redis: redis?,
                limits,
                max_keys: max_keys?,
                upstreams,
            })
        })();
        settings.filter(|_| found.problems.is_empty()).ok_or(found.problems)
    }
}

/// Problems found on the way; a part with a problem is `None`.
#[derive(Debug)]
struct Findings {
    sections: Sections,
    problems: Vec<Problem>,
}

impl Findings {
    /// A section, unless something is wrong with it.
    fn section<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.sections.take(name)?;
        self.take(name, serde_json::from_value(value))
    }

    /// The sound entries of a list, with their positions.
    fn entries<T: DeserializeOwned>(&mut self, name: &str) -> Vec<(usize, T)> {
        let Some(Value::Array(items)) = self.sections.take(name) else { return Vec::new() };
        let sound = items.into_iter().enumerate().filter(|(_, item)| !item.is_null());
        sound
            .filter_map(|(at, item)| Some((at, self.take(name, serde_json::from_value(item))?)))
            .collect()
    }

    /// The sound entries of a mapping.
    fn named<T: DeserializeOwned>(&mut self, name: &str) -> BTreeMap<String, T> {
        let Some(Value::Object(items)) = self.sections.take(name) else { return BTreeMap::new() };
        let sound = items.into_iter().filter(|(_, item)| !item.is_null());
        sound
            .filter_map(|(key, item)| Some((key, self.take(name, serde_json::from_value(item))?)))
            .collect()
    }

    /// Zero means off for some servers, and at once for others.
    fn refuse_zero(&mut self, section: &str, spans: &[(&str, file::Span)]) {
        for (name, _) in spans.iter().filter(|(_, span)| span.0.is_zero()) {
            self.add(format!("{section}.{name}"), "must not be zero");
        }
    }

    /// Whether anything below `key` is known to be wrong.
    fn is_broken(&self, key: &str) -> bool {
        self.problems.iter().any(|problem| problem.key.starts_with(key))
    }

    /// The value of a result; its error is noted under `key`.
    fn take<T, E: std::fmt::Display>(
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
    fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { key: key.into(), message: message.into() });
    }
}
