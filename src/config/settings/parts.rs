//! One function per section: written values to domain types.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::{Admin, Embedded, Findings, Log, OpenFga, Rules, Server, edge};
use crate::authn::{Algorithm, Audiences, IntrospectionSettings, IssuerSettings};
use crate::authz::AuthzSettings;
use crate::authz::client::OpenFgaSettings;
use crate::config::file;
use crate::edge::Patience;
use crate::proxy::framing::MessageLimits;
use crate::rate_limit::{KeyKind, Limit, Settings as RedisSettings, SettingsError as RedisError};
use crate::rules::PathPolicy;
use crate::secret::Secret;

/// A WebSocket may be silent this long; applications that need more send pings.
const WEBSOCKET_SILENCE: Duration = Duration::from_hours(1);

pub(super) fn server(server: &file::Server, found: &mut Findings) -> Option<Server> {
    let listen = listen_address("server.listen", &server.listen, found);
    let is_token = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if server.name.is_empty() || !server.name.bytes().all(is_token) {
        found
            .add("server.name", format!("{:?} is not a name of letters, digits, -._", server.name));
    }
    found.refuse_zero(
        "server",
        &[
            ("keepalive_timeout", server.keepalive_timeout),
            ("header_timeout", server.header_timeout),
            ("read_timeout", server.read_timeout),
            ("write_timeout", server.write_timeout),
        ],
    );
    let threads = match server.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    Some(Server {
        listen: listen?,
        threads,
        name: server.name.clone(),
        trusted_proxies: edge::trusted_proxies(&server.trusted_proxies, found),
        private_hosts: edge::known_hosts("server.private_hosts", &server.private_hosts, found),
        strip_headers: edge::strip_headers(&server.strip_headers, found),
        patience: Patience {
            // A new connection is idle until its first byte.
            keepalive: server.keepalive_timeout.0.max(Duration::from_secs(1)),
            head: server.header_timeout.0,
            read: server.read_timeout.0,
            write: server.write_timeout.0,
            websocket: WEBSOCKET_SILENCE,
            // Above what is refused in full, so that few are cut off.
            head_bytes: 2 * (server.max_header_bytes + server.max_uri_bytes),
        },
        shutdown_delay: server.shutdown_delay.0,
        drain_timeout: server.drain_timeout.0,
        limits: MessageLimits {
            max_header_bytes: server.max_header_bytes,
            max_headers: server.max_headers,
            max_uri_bytes: server.max_uri_bytes,
            max_body_bytes: server.max_body_bytes,
        },
        paths: PathPolicy {
            allow_empty_segments: server.allow_empty_segments,
            allow_semicolons: server.allow_semicolons,
        },
    })
}

pub(super) fn admin(admin: &file::Admin, found: &mut Findings) -> Option<Admin> {
    let listen = listen_address("admin.listen", &admin.listen, found)?;
    let token = optional(&admin.token).map(Secret::new);
    if token.is_none() && !listen.ip().is_loopback() {
        found.add("admin.token", "is required when admin.listen is not a loopback address");
    }
    let hosts = edge::known_hosts("admin.hosts", &admin.hosts, found);
    Some(Admin { listen, token, hosts: hosts.with_names_below_localhost() })
}

/// Listeners share ports (`SO_REUSEPORT`), so the system would not refuse the second one: clients
/// would reach the admin API in turns.
pub(super) fn check_ports(traffic: SocketAddr, admin: SocketAddr, found: &mut Findings) {
    let (at, other) = (traffic.ip().to_canonical(), admin.ip().to_canonical());
    let overlap = at == other || at.is_unspecified() || other.is_unspecified();
    if overlap && traffic.port() == admin.port() && traffic.port() != 0 {
        found.add(
            "admin.listen (--admin-listen)",
            format!("{admin} takes the port of server.listen (--listen), {traffic}"),
        );
    }
}

pub(super) fn log(log: file::Log, found: &mut Findings) -> Option<Log> {
    found.take("log.level", crate::telemetry::check_level(&log.level))?;
    Some(Log { level: log.level, access: log.access })
}

/// The file's path is made absolute, so that whoever reads it in a message need not know our folder.
pub(super) fn rules(rules: file::Rules, found: &mut Findings) -> Option<Rules> {
    let file = found.take("rules.file", std::path::absolute(&rules.file))?;
    Some(Rules { file, default_relation: rules.default_relation })
}

pub(super) fn issuers(
    issuers: &[(usize, file::Issuer)],
    found: &mut Findings,
) -> Option<Vec<IssuerSettings>> {
    let mut out = Vec::new();
    for (index, issuer) in issuers {
        out.extend(one_issuer(&format!("issuers[{index}]"), issuer, found));
    }
    (out.len() == issuers.len()).then_some(())?;
    Some(out)
}

fn one_issuer(key: &str, issuer: &file::Issuer, found: &mut Findings) -> Option<IssuerSettings> {
    let url = http_url(&format!("{key}.url"), &issuer.url, found);
    let discovery_url = optional(&issuer.discovery_url)
        .map(|text| http_url(&format!("{key}.discovery_url"), text, found));
    let audiences = audiences(&issuer.audience);
    let audiences = found.take(format!("{key}.audience"), audiences);
    let algorithms = algorithms(&format!("{key}.algorithms"), &issuer.algorithms, found);
    let introspection = introspection(key, &issuer.introspection, found);
    url?;
    Some(IssuerSettings {
        url: issuer.url.clone(),
        discovery_url: match discovery_url {
            Some(url) => Some(url?),
            None => None,
        },
        audiences: audiences?,
        clients: issuer.clients.clone(),
        algorithms,
        skew: issuer.clock_skew.0,
        user_template: optional(&issuer.user).map(ToOwned::to_owned),
        introspection,
        claim_headers: Vec::new(),
        soft_ttl: issuer.refresh_keys.0,
        hard_ttl: issuer.keep_keys.0,
    })
}

fn audiences(accepted: &[String]) -> Result<Audiences, &'static str> {
    match accepted {
        [only] if only == "any" => Ok(Audiences::Any),
        [] => Err("is empty; name the accepted audiences, or write any to accept all"),
        list if list.iter().any(|one| one == "any") => Err("any stands alone, not in a list"),
        list => Ok(Audiences::List(list.to_vec())),
    }
}

fn algorithms(key: &str, names: &[String], found: &mut Findings) -> Vec<Algorithm> {
    if names.is_empty() {
        found.add(key, "is empty; name the accepted signature algorithms");
    }
    let parsed = names
        .iter()
        .map(|name| name.parse::<Algorithm>().map_err(|error| format!("{name:?}: {error}")));
    parsed.filter_map(|algorithm| found.take(key, algorithm)).collect()
}

fn introspection(
    key: &str,
    introspection: &file::Introspection,
    found: &mut Findings,
) -> Option<IntrospectionSettings> {
    found.refuse_zero(&format!("{key}.introspection"), &[("timeout", introspection.timeout)]);
    let client_id = optional(&introspection.client_id)?;
    let Some(secret) = optional(&introspection.client_secret) else {
        found.add(
            format!("{key}.introspection.client_secret"),
            "is required with a client_id (ZITADEL_CLIENT_SECRET)",
        );
        return None;
    };
    let mut settings = IntrospectionSettings::new(client_id, Secret::new(secret));
    settings.timeout = introspection.timeout.0;
    settings.ttl = introspection.cache_ttl.0;
    Some(settings)
}

/// OpenFGA's ids, and the placeholders of its documentation.
pub(super) fn is_id(text: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !text.is_empty() && text.bytes().all(is_part)
}

pub(super) fn authz(authz: &file::Authz, found: &mut Findings) -> Option<Embedded> {
    if authz.mode == file::AuthzMode::Openfga {
        return None;
    }
    if authz.model_file.is_empty() {
        found.add("authz.model_file", "is required when authz.mode is embedded");
    }
    let absolute = |file: &str| std::path::absolute(file).unwrap_or_else(|_| PathBuf::from(file));
    Some(Embedded {
        model_file: absolute(&authz.model_file),
        tuples_file: optional(&authz.tuples_file).map(absolute),
    })
}

pub(super) fn openfga(openfga: &file::OpenFga, found: &mut Findings) -> Option<OpenFga> {
    let url = http_url("openfga.url", &openfga.url, found);
    if !is_id(&openfga.store_id) {
        found.add(
            "openfga.store_id",
            format!(
                "{:?} is not a store id; it is what POST /stores answered as id (OPENFGA_STORE_ID)",
                openfga.store_id
            ),
        );
    }
    found.refuse_zero("openfga", &[("timeout", openfga.timeout)]);
    Some(OpenFga {
        client: OpenFgaSettings {
            url: url?,
            store_id: openfga.store_id.clone(),
            api_token: optional(&openfga.api_token).map(Secret::new),
            timeout: openfga.timeout.0,
        },
        authz: AuthzSettings {
            cache_entries: openfga.cache_entries,
            allow_ttl: openfga.allow_ttl.0,
            deny_ttl: openfga.deny_ttl.0,
            stale_if_error: openfga.stale_if_error.0,
            max_concurrent: openfga.max_concurrent_checks,
        },
        model_id: optional(&openfga.authorization_model_id).map(ToOwned::to_owned),
        model_refresh: openfga.model_refresh.0.max(Duration::from_secs(1)),
    })
}

/// Without a server there is no store id that would keep deployments apart.
pub(super) fn check_namespace(redis: &file::Redis, is_embedded: bool, found: &mut Findings) {
    if is_embedded && !redis.url.is_empty() && redis.namespace.is_empty() {
        found.add(
            "redis.namespace",
            "is required with redis.url when authz.mode is embedded: deployments with the same \
             namespace share their limits",
        );
    }
}

/// `Some(None)` when there is no Redis; without a `store_id`, the settings are refused already.
#[expect(clippy::option_option, reason = "the outer one tells of a problem, the inner of absence")]
pub(super) fn redis(
    redis: &file::Redis,
    store_id: Option<&str>,
    found: &mut Findings,
) -> Option<Option<RedisSettings>> {
    let Some(url) = optional(&redis.url) else { return Some(None) };
    let namespace = optional(&redis.namespace).or(store_id).unwrap_or("none");
    let settings = RedisSettings::new(url, namespace, redis.sync_interval.0, redis.timeout.0);
    let key = match &settings {
        Err(RedisError::BadUrl) => "redis.url (REDIS_URL)",
        Err(RedisError::BadNamespace { .. }) => "redis.namespace",
        Err(RedisError::ZeroDuration) | Ok(_) => "redis",
    };
    found.take(key, settings).map(Some)
}

pub(super) fn limits(limits: &BTreeMap<String, file::Limit>, found: &mut Findings) -> Vec<Limit> {
    let built = limits.iter().filter_map(|(name, limit)| {
        let key = key_kind(&limit.key);
        let kind = found.take(
            format!("limits.{name}.key"),
            key.ok_or_else(|| format!("{:?} is not a header name", limit.key)),
        )?;
        let expected = match name.as_str() {
            "client" | "failed_authentications" => Some(KeyKind::ClientIp),
            "principal" => Some(KeyKind::Principal),
            _ => None,
        };
        if expected.is_some_and(|expected| expected != kind) {
            found.add(format!("limits.{name}.key"), "the key of this limit is fixed");
        }
        found.take(format!("limits.{name}"), Limit::new(name, kind, limit.limit, limit.window.0))
    });
    built.collect()
}

fn key_kind(text: &str) -> Option<KeyKind> {
    match text {
        "client_ip" => Some(KeyKind::ClientIp),
        "principal" => Some(KeyKind::Principal),
        "rule" => Some(KeyKind::Rule),
        _ => text.strip_prefix("header:")?.parse().ok().map(KeyKind::Header),
    }
}

fn listen_address(key: &str, text: &str, found: &mut Findings) -> Option<SocketAddr> {
    let parsed = text.parse::<SocketAddr>();
    found.take(
        key,
        parsed.map_err(|_| format!("{text:?} is not an address and port like 0.0.0.0:3000")),
    )
}

pub(super) fn http_url(key: &str, text: &str, found: &mut Findings) -> Option<Url> {
    let parsed = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && url.password().is_none()
    });
    found.take(
        key,
        parsed.ok_or_else(|| {
            // A URL with a password in it must not be repeated.
            let shown = if text.contains('@') { "the value (not shown)" } else { text };
            format!("{shown:?} is not an http or https URL without credentials")
        }),
    )
}

fn optional(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
