//! `auth-gateway check --online`: whether what the configuration names is there and does what it is for.
//!
//! Everything is asked at once, with deadlines of its own, and everything is told: whoever sets a
//! deployment up has more than one thing wrong at first.

use std::fmt::Display;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use url::Url;

use crate::app;
use crate::authn::{Authenticator, IssuerProbe, SettingsError};
use crate::authz::CheckFault;
use crate::authz::client::{ClientError, OpenFga};
use crate::authz::model::Model;
use crate::clock::{SharedClock, SystemClock};
use crate::config::Settings;
use crate::finding::{Finding, Findings};
use crate::gate::policy::Policy;
use crate::rate_limit::RedisSettings;
use crate::upstream::UpstreamSettings;

/// For one round trip to something that is near.
const NEAR: Duration = Duration::from_secs(3);
/// For a name, which a resolver may have to ask a second server about.
const NAME: Duration = Duration::from_secs(5);
/// For a question of several round trips; none takes longer.
const LONGEST: Duration = Duration::from_secs(8);

/// What was found out by asking.
#[derive(Debug, Default)]
pub(super) struct Online {
    pub(super) findings: Findings,
    /// What is there, in a line each.
    pub(super) reached: Vec<String>,
}

/// Why nothing was asked, which no look at the files foresees.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAsked {
    #[error("issuers: {0}")]
    Issuers(#[from] SettingsError),
    #[error("openfga: {0}")]
    OpenFga(#[from] ClientError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What one question has led to.
#[derive(Default)]
struct Answer {
    findings: Findings,
    reached: Option<String>,
}

/// Asks everything that `settings` and the rules of `policy` name.
pub(super) fn ask(settings: &Settings, policy: &Policy) -> Result<Online, NotAsked> {
    app::install_crypto();
    let clock: SharedClock = Arc::new(SystemClock);
    let authenticator = Authenticator::new(settings.issuers.clone(), &clock)?;
    let openfga = if settings.embedded.is_some() {
        None
    } else {
        let mut client = settings.openfga.client.clone();
        client.timeout = client.timeout.max(NEAR);
        Some(OpenFga::new(client)?)
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut questions: Vec<BoxFuture<'_, Answer>> = Vec::new();
    for (index, probe) in authenticator.probes().enumerate() {
        questions.push(keys(format!("issuers[{index}].url"), probe).boxed());
        questions.push(introspection(format!("issuers[{index}].introspection"), probe).boxed());
    }
    if let Some(openfga) = &openfga {
        questions.push(model(openfga, settings, policy).boxed());
    }
    if let Some(redis) = &settings.redis {
        questions.push(counts(redis).boxed());
    }
    questions.extend(settings.upstreams.iter().map(|(_, upstream)| connection(upstream).boxed()));
    let answers = runtime.block_on(join_all(questions));
    // A name service that says nothing holds a thread, for which nobody waits.
    runtime.shutdown_background();
    let mut online = Online::default();
    let ports =
        [("server.listen", settings.server.listen), ("admin.listen", settings.admin.listen)];
    for answer in ports.map(|(key, addr)| port(key, addr)).into_iter().chain(answers) {
        online.findings.extend(answer.findings);
        online.reached.extend(answer.reached);
    }
    Ok(online)
}

impl Answer {
    fn reached(told: String) -> Self {
        Self { reached: Some(told), ..Self::default() }
    }

    fn error(kind: &'static str, key: &str, message: impl Into<String>) -> Self {
        Self { findings: Finding::error(kind, message).at_key(key).into(), reached: None }
    }

    fn warn(&mut self, kind: &'static str, key: &str, message: impl Into<String>) {
        self.findings.add(Finding::warning(kind, message).at_key(key));
    }
}

/// The result of a question, or that it took too long.
async fn within<T, E: Display>(
    limit: Duration,
    question: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(limit, question).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}

async fn keys(key: String, probe: IssuerProbe<'_>) -> Answer {
    match within(LONGEST, probe.keys()).await {
        Err(cause) => Answer::error("issuer_keys", &key, format!("keys cannot be loaded: {cause}")),
        Ok(report) => {
            let plural = if report.usable == 1 { "" } else { "s" };
            let told = format!("{}: {} usable key{plural}", probe.issuer(), report.usable);
            let mut answer = Answer::reached(told);
            for entry in report.left_out {
                answer.warn("key_left_out", &key, format!("a key cannot be used: {entry}"));
            }
            answer
        }
    }
}

async fn introspection(key: String, probe: IssuerProbe<'_>) -> Answer {
    let ask = async { probe.introspection().await.transpose() };
    match within(LONGEST, ask).await {
        Ok(None) => Answer::default(),
        Ok(Some(())) => {
            Answer::reached(format!("{}: introspection accepts our client", probe.issuer()))
        }
        Err(cause) => Answer::error("introspection", &key, cause),
    }
}

async fn model(openfga: &OpenFga, settings: &Settings, policy: &Policy) -> Answer {
    let (id, store) = (settings.openfga.model_id.as_deref(), &settings.openfga.client.store_id);
    let ask = async {
        openfga.find_store().await?;
        Ok::<_, CheckFault>(match id {
            Some(id) => Some(openfga.model(id).await?),
            None => openfga.latest_model().await?,
        })
    };
    let asked = tokio::time::timeout(LONGEST, ask).await.unwrap_or(Err(CheckFault::Deadline));
    let value = match asked {
        Ok(Some(value)) => value,
        Ok(None) => {
            let message = format!("the store {store} has no authorization model yet");
            return Answer::error("openfga_model", "openfga.store_id", message);
        }
        Err(fault) => return refused(&fault, settings),
    };
    let Some(model) = Model::parse(&value, 0) else {
        let message = "the authorization model has no id or no type definitions";
        return Answer::error("openfga_model", "openfga.url", message);
    };
    let told = format!("{}: store {store}, model {}", settings.openfga.client.url, model.id);
    let missing = policy.rules().check_relations(|of, relation| model.defines(of, relation));
    Answer { findings: missing.in_file(&settings.rules.file), reached: Some(told) }
}

/// Says which key of the configuration OpenFGA does not like.
fn refused(fault: &CheckFault, settings: &Settings) -> Answer {
    let (store, url) = (&settings.openfga.client.store_id, &settings.openfga.client.url);
    let (status, code) = match fault {
        CheckFault::Refused { status, code, .. } => (*status, code.as_str()),
        _ => (0, ""),
    };
    match (status, code) {
        (_, "authorization_model_not_found") => {
            let message = format!("the store {store} has no such authorization model");
            Answer::error("openfga_model", "openfga.authorization_model_id", message)
        }
        // What is no id of a store is a 400.
        (400 | 404, _) => {
            let message = format!(
                "{url} has no store {store} ({fault}); POST /stores makes one and answers its id \
                 (OPENFGA_STORE_ID)"
            );
            Answer::error("openfga_store", "openfga.store_id", message)
        }
        (401 | 403, _) => {
            let message = format!("{url} does not take the key (OPENFGA_API_TOKEN): {fault}");
            Answer::error("openfga_token", "openfga.api_token", message)
        }
        _ => Answer::error("openfga", "openfga.url", format!("{url}: {fault}")),
    }
}

async fn counts(redis: &RedisSettings) -> Answer {
    let report = match within(LONGEST, redis.probe(NEAR)).await {
        Ok(report) => report,
        Err(cause) => {
            let message = format!("{}: {cause}", redis.redacted_url());
            return Answer::error("redis", "redis.url", message);
        }
    };
    let mut answer = Answer::reached(redis.redacted_url().to_owned());
    match report.eviction_policy.as_deref() {
        Some("noeviction") => {}
        Some(policy) => answer.warn(
            "redis_eviction",
            "redis.url",
            format!(
                "maxmemory-policy is {policy}: counts go when memory is short, and limits begin anew; set \
                 noeviction"
            ),
        ),
        None => answer.warn(
            "redis_eviction",
            "redis.url",
            "does not tell its maxmemory-policy; see that it is noeviction",
        ),
    }
    if report.has_append_only_file != Some(true) {
        let message = "does not say aof_enabled:1: what is there is lost when it restarts, and limits \
                       begin anew";
        answer.warn("redis_durability", "redis.url", message);
    }
    answer
}

async fn connection(upstream: &UpstreamSettings) -> Answer {
    let key = format!("upstreams.{}.url", upstream.name);
    let Some((host, port)) = place(&upstream.url) else {
        return Answer::error("upstream", &key, "has no host and port");
    };
    let found =
        within(NAME, tokio::net::lookup_host((host, port))).await.map(Iterator::collect::<Vec<_>>);
    let addresses = match found {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => return Answer::error("upstream_name", &key, format!("{host} has no address")),
        Err(cause) => {
            return Answer::error(
                "upstream_name",
                &key,
                format!("{host} cannot be resolved: {cause}"),
            );
        }
    };
    let connects = addresses.iter().map(|addr| async move {
        match tokio::time::timeout(NEAR, tokio::net::TcpStream::connect(addr)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(cause)) => Err(format!("{addr} cannot be reached: {cause}")),
            Err(_) => Err(format!("{addr} cannot be reached: no answer within {NEAR:?}")),
        }
    });
    let (reached, failed): (Vec<_>, Vec<_>) =
        join_all(connects).await.into_iter().partition(Result::is_ok);
    let causes: Vec<_> = failed.into_iter().filter_map(Result::err).collect();
    if reached.is_empty() {
        return Answer::error("upstream", &key, causes.join("; "));
    }
    let mut answer = Answer::reached(format!("upstream {}: {host}:{port}", upstream.name));
    for cause in causes {
        answer.warn("upstream_address", &key, cause);
    }
    answer
}

fn place(url: &Url) -> Option<(&str, u16)> {
    // An address in brackets is one without them to the resolver.
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
    Some((host, url.port_or_known_default()?))
}

fn port(key: &'static str, addr: SocketAddr) -> Answer {
    match TcpListener::bind(addr) {
        Ok(_) => Answer::reached(format!("{key}: {addr} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let mut answer = Answer::default();
            let message = format!(
                "port {} of {addr} is taken: by this gateway if it runs already; if not, it will not start",
                addr.port()
            );
            answer.warn("port_taken", key, message);
            answer
        }
        Err(error) => {
            Answer::error("address", key, format!("{addr} cannot be listened on: {error}"))
        }
    }
}
