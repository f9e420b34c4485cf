//! A gate wired from the library's own parts, with an issuer in the process and a decider that
//! always says yes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth_gateway::authn::credentials::{Sender, Source};
use auth_gateway::authn::{
    Authenticator, Credentials, FetchError, IssuerSettings, KeySet, KeySource, TokenCache,
};
use auth_gateway::authz::model::ModelWatch;
use auth_gateway::authz::{Authorizer, AuthzSettings, Check, CheckFault, Decide, Decider};
use auth_gateway::clock::{Clock, ManualClock, Now, SharedClock};
use auth_gateway::dev::issuer::{Issuer, Settings};
use auth_gateway::gate::{Client, CommonLimits, Gate, Request};
use auth_gateway::metrics::Metrics;
use auth_gateway::rate_limit::{KeyKind, Limit, Limiter};
use auth_gateway::reload::Vocabulary;
use auth_gateway::rules::{PathPolicy, RawTarget, Target, UpstreamRole};
use http::{HeaderMap, HeaderValue, Method};
use prometheus::IntCounter;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

const START_MILLIS: u64 = 1_790_000_000_000;

static REQUEST_ID: HeaderValue = HeaderValue::from_static("0198c0de-0000-7000-8000-000000000000");

/// Whether anything is remembered between requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// As configured by default, and every decision for a day.
    Usual,
    /// No decision, and one token at most.
    Nothing,
}

/// A gate with what it needs to run.
pub(crate) struct WiredGate {
    pub(crate) gate: Gate,
    /// Counts the checks that were not answered from memory.
    pub(crate) asked: IntCounter,
    credentials: Credentials,
    runtime: Runtime,
    clock: Arc<ManualClock>,
    callers: Vec<HeaderMap>,
}

#[derive(Debug)]
struct FixedKeys(Value);

#[async_trait]
impl KeySource for FixedKeys {
    async fn load(&self, _: Now) -> Result<KeySet, FetchError> {
        Ok(KeySet::parse(self.0.to_string().as_bytes())?)
    }
}

struct AlwaysAllows;

#[async_trait]
impl Decide for AlwaysAllows {
    async fn decide(&self, _: &Check, _: &str) -> Result<bool, CheckFault> {
        Ok(true)
    }
}

impl WiredGate {
    /// A gate with at least so many rules, called by so many callers with a token each.
    pub(crate) fn new(rules: usize, callers: usize, memory: Memory) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("runtime");
        let clock = Arc::new(ManualClock::starting_at(START_MILLIS));
        let shared: SharedClock = clock.clone();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let issuer = Issuer::start(listen, Settings::default(), Arc::clone(&shared));
        let issuer = runtime.block_on(issuer).expect("issuer");

        let tokens = match memory {
            Memory::Usual => TokenCache::default(),
            Memory::Nothing => TokenCache::new(1, 1),
        };
        let authenticator = runtime.block_on(authenticator(&issuer, &shared));
        let asked = IntCounter::new("checks", "Sent to the decider.").expect("a counter");
        let authorizer = Arc::new(authorizer(memory, &shared, asked.clone()));
        let limiter = Arc::new(limiter(clock.now()));
        let find = |name| limiter.find(name).expect("a limit");
        let limits = CommonLimits {
            client: find("client"),
            principal: find("principal"),
            failed_authentications: find("failed_authentications"),
        };
        let gate =
            Gate::new(policy(rules, &limiter), authenticator, tokens, authorizer, limiter, limits);
        let callers = (0..callers).map(|number| headers(&issuer, number)).collect();
        let credentials = credentials(Source::Authorization);
        Self { gate, asked, credentials, runtime, clock, callers }
    }

    /// The next moment: ten microseconds later, so that no limit is reached however long this goes on.
    pub(crate) fn now(&self) -> Now {
        self.clock.advance(Duration::from_micros(10));
        self.clock.now()
    }

    /// A request by each caller, over and over, each to the next of `paths`.
    pub(crate) fn requests<'a>(&'a self, paths: &'a [String]) -> impl Iterator<Item = Request<'a>> {
        let callers = self.callers.iter().cycle();
        let credentials = &self.credentials;
        callers.zip(paths.iter().cycle()).map(|(headers, path)| Request {
            target: target(path, "page=2"),
            headers,
            client: Client { addr: ADDRESS, is_private_peer: false },
            credentials,
            sender: Sender::default(),
            request_id: &REQUEST_ID,
        })
    }

    /// Whether the gate lets the request pass.
    pub(crate) fn admits(&self, request: &Request<'_>) -> bool {
        self.runtime.block_on(self.gate.admit(request, self.now())).is_ok()
    }
}

/// Paths that hit rules all over the set; half of the rules render an object from the path.
pub(crate) fn paths(rules: usize) -> (Vec<String>, Vec<String>) {
    let services = rules.div_ceil(2);
    let spread = |number: usize| number * 7_919 % services;
    let fixed = (0..services.min(512)).map(|n| format!("/api/service{}/reports", spread(n)));
    let by_id = (0..services.min(512)).map(|n| format!("/api/service{}/items/5f2b8c1e", spread(n)));
    (fixed.collect(), by_id.collect())
}

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

pub(crate) fn target<'a>(path: &'a str, query: &'a str) -> Target<'a> {
    let raw = RawTarget {
        method: &Method::GET,
        authority: None,
        host: Some(b"api.example.com"),
        path: path.as_bytes(),
        query: Some(query.as_bytes()),
    };
    Target::parse(raw, PathPolicy::default()).expect("canonical")
}

/// Tokens are looked for in one place.
pub(crate) fn credentials(source: Source) -> Credentials {
    let protocol = |name: &str| name.parse().expect("a subprotocol");
    Credentials::new(vec![source], protocol("bearer."), protocol("gateway")).expect("a source")
}

/// What a browser sends.
fn headers(issuer: &Issuer, number: usize) -> HeaderMap {
    let subject = (281_234_567_890_000_000 + number).to_string();
    let token = issuer.token(&subject).roles(["viewer"]).sign().expect("token");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "api.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("referer", "https://app.example.com/"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let bearer = HeaderValue::try_from(format!("Bearer {token}")).expect("header value");
    headers.insert(http::header::AUTHORIZATION, bearer);
    headers
}

async fn authenticator(issuer: &Issuer, clock: &SharedClock) -> Arc<Authenticator> {
    let keys = issuer.key_set();
    let settings = vec![IssuerSettings::new(issuer.url())];
    let authenticator = Authenticator::with_key_sources(settings, clock, |_| {
        Some(Arc::new(FixedKeys(keys.clone())))
    });
    let authenticator = Arc::new(authenticator.expect("authenticator"));
    let (_stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&authenticator).refresh_loop(stopped));
    authenticator.keys_were_loaded().wait_for(|loaded| *loaded).await.expect("keys");
    running.abort();
    authenticator
}

fn authorizer(memory: Memory, clock: &SharedClock, asked: IntCounter) -> Authorizer {
    let ttl = match memory {
        Memory::Usual => Duration::from_hours(24),
        Memory::Nothing => Duration::ZERO,
    };
    let settings = AuthzSettings {
        cache_entries: 100_000,
        allow_ttl: ttl,
        deny_ttl: Duration::ZERO,
        stale_if_error: Duration::ZERO,
        max_concurrent: 256,
    };
    let model = Arc::new(ModelWatch::default());
    model
        .pin(&json!({"id": "01JDQ0000000000000000000000", "type_definitions": []}))
        .expect("model");
    let decider = Decider::Remote(Arc::new(AlwaysAllows));
    Authorizer::new(&settings, decider, model, Arc::clone(clock), asked)
}

fn limiter(now: Now) -> Limiter {
    let limit = |name, kind, secs| {
        let window = Duration::from_secs(secs);
        Limit::new(name, kind, Limit::MAX_REQUESTS, window).expect("a limit")
    };
    let limits = vec![
        limit("client", KeyKind::ClientIp, 1),
        limit("principal", KeyKind::Principal, 1),
        limit("failed_authentications", KeyKind::ClientIp, 60),
    ];
    Limiter::new(limits, 1_000_000, now).expect("limits")
}

fn policy(rules: usize, limiter: &Limiter) -> auth_gateway::gate::policy::Policy {
    let service = |number: usize| {
        let feature = format!("feature:service{number}");
        let fixed = json!({"path": format!("/api/service{number}/reports"), "method": "GET",
            "feature": feature});
        let by_id = json!({"path": format!("/api/service{number}/items/{{id}}"), "method": "GET",
            "feature": feature, "object": "item:{id}"});
        [fixed, by_id]
    };
    let file: Value = (0..rules.div_ceil(2)).flat_map(service).collect();
    let upstreams = [("app".to_owned(), UpstreamRole::Application)];
    let vocabulary = Vocabulary::new("viewer", &upstreams, limiter);
    let metrics = Metrics::new().expect("metrics");
    vocabulary.build(file.to_string().as_bytes(), &metrics).expect("rules")
}
