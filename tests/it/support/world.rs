//! A whole set-up as the deployment guide describes it.

use std::ops::Deref;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use auth_gateway::dev::issuer::{Fault, Issuer, TokenBuilder};
use serde_json::{Value, json};

use super::gateway::{Gateway, Plan};
use super::openfga::{OpenFga, Version, guide_model};
use super::recorder::Recorder;
use super::redis::Redis;
use super::upstream::Upstream;
use super::{issuer, process};

/// Services and, once it is started, a gateway between them.
#[derive(Debug)]
pub struct World {
    pub gateway: Gateway,
    pub services: Services,
    pub plan: Plan,
}

/// Everything that is not the gateway.
#[derive(Debug)]
pub struct Services {
    pub issuer: Issuer,
    pub openfga: OpenFga,
    pub store: String,
    pub model: String,
    /// In front of OpenFGA when the story counts calls.
    pub recorder: Option<Recorder>,
    pub redis: Option<Redis>,
    pub upstream: Upstream,
    /// What stands at `ZITADEL_API_URL`.
    pub zitadel: Upstream,
}

/// The rules of the deployment guide, word for word.
pub fn guide_rules() -> Value {
    json!([
        {"path": "/api/*path", "method": "GET", "feature": "feature:report_viewer"},
        {"path": "/management/v1/*path", "method": "*", "feature": "public_access", "target": "zitadel"},
        {"path": "/stores/*path", "method": "*", "feature": "public_access", "target": "openfga"}
    ])
}

/// A gateway that would start, and reach nobody.
pub fn nowhere() -> Plan {
    Plan::new(&guide_rules())
        .env("OPENFGA_URL", "http://127.0.0.1:9")
        .env("OPENFGA_STORE_ID", "01HXXXXXXXXXXXXXXXXXXXXXXX")
        .env("ZITADEL_ISSUER_URL", "http://127.0.0.1:9")
        .env("ZITADEL_API_URL", "http://127.0.0.1:9")
        .env("REDIS_URL", "")
        .env("UPSTREAM_URL", "http://127.0.0.1:9")
        .env("ALLOWED_ORIGINS", "https://app.example.com")
}

/// The guide's rules, and one for each further thing that a rule can ask for.
pub fn story_rules() -> Value {
    let more = json!([
        {"path": "/public/*path", "method": "*", "feature": "public_access"},
        {"path": "/me/*path", "method": "*", "feature": "authenticated"},
        {"path": "/features/{name}", "method": "GET", "feature": "report_viewer", "object": "feature:{name}"},
        {"path": "/admin/*path", "method": "GET", "feature": "authenticated", "roles": ["admin"]},
        {"path": "/scoped/*path", "method": "GET", "feature": "authenticated", "scopes": ["orders.read"]}
    ]);
    with(guide_rules(), more)
}

/// Both lists of rules, one after the other.
pub fn with(rules: Value, more: Value) -> Value {
    let (Value::Array(mut rules), Value::Array(more)) = (rules, more) else { panic!("two lists") };
    rules.extend(more);
    Value::Array(rules)
}

/// What differs from the usual set-up.
#[derive(Clone, Debug)]
pub struct Builder {
    version: Version,
    openfga_key: Option<String>,
    redis: bool,
    recorder: bool,
    change: Vec<Change>,
    rules: Value,
}

#[derive(Clone, Debug)]
enum Change {
    Env(String, String),
    Set(String, serde_yaml::Value),
}

impl Builder {
    pub fn rules(mut self, rules: Value) -> Self {
        self.rules = rules;
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.change.push(Change::Env(name.into(), value.into()));
        self
    }

    /// One key of `conf/gateway.yaml`, with dots between the levels.
    pub fn set(mut self, key: &str, value: impl Into<serde_yaml::Value>) -> Self {
        self.change.push(Change::Set(key.into(), value.into()));
        self
    }

    pub fn openfga(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// OpenFGA and the gateway share this key.
    pub fn openfga_key(mut self, key: &str) -> Self {
        self.openfga_key = Some(key.into());
        self
    }

    pub fn without_redis(mut self) -> Self {
        self.redis = false;
        self
    }

    /// Calls to OpenFGA are counted, and can be made to fail.
    pub fn recorded(mut self) -> Self {
        self.recorder = true;
        self
    }

    /// Everything but the gateway.
    pub async fn services(&self) -> Services {
        let openfga = async {
            let openfga = OpenFga::start_with(self.version, self.openfga_key.as_deref()).await;
            let store = openfga.create_store().await;
            let model = openfga.write_model(&store, &guide_model()).await;
            openfga.write(&store, "user:ann", "viewer", "feature:report_viewer").await;
            let mut recorder = None;
            if self.recorder {
                recorder = Some(Recorder::start(&openfga.url()).await);
            }
            (openfga, store, model, recorder)
        };
        let redis = async { if self.redis { Some(Redis::start().await) } else { None } };
        let ((openfga, store, model, recorder), redis, issuer, upstream, zitadel) =
            tokio::join!(openfga, redis, issuer::start(), Upstream::start(), Upstream::start());
        Services { issuer, openfga, store, model, recorder, redis, upstream, zitadel }
    }

    pub fn plan(&self, services: &Services) -> Plan {
        let mut plan = services.plan(&self.rules);
        if let Some(key) = &self.openfga_key {
            plan = plan.env("OPENFGA_API_TOKEN", key);
        }
        for change in &self.change {
            plan = match change.clone() {
                Change::Env(name, value) => plan.env(&name, value),
                Change::Set(key, value) => plan.set(&key, value),
            };
        }
        plan
    }

    pub async fn start(&self) -> World {
        let services = self.services().await;
        let plan = self.plan(&services);
        World { gateway: Gateway::start(&plan).await, services, plan }
    }
}

impl Services {
    /// The environment of the deployment guide, and the API application for opaque tokens.
    pub fn plan(&self, rules: &Value) -> Plan {
        let openfga = self.recorder.as_ref().map_or_else(|| self.openfga.url(), |r| r.url().into());
        let settings = self.issuer.settings();
        Plan::new(rules)
            .env("OPENFGA_URL", openfga)
            .env("OPENFGA_STORE_ID", &self.store)
            .env("ZITADEL_ISSUER_URL", self.issuer.url())
            .env("ZITADEL_API_URL", self.zitadel.url())
            .env("REDIS_URL", self.redis.as_ref().map(Redis::url).unwrap_or_default())
            .env("UPSTREAM_URL", self.upstream.url())
            .env("ALLOWED_ORIGINS", ORIGIN)
            .env("ZITADEL_AUDIENCE", &settings.project)
            .env("ZITADEL_CLIENT_ID", &settings.client_id)
            .env("ZITADEL_CLIENT_SECRET", &settings.client_secret)
    }
}

/// The one origin that the usual set-up allows.
pub const ORIGIN: &str = "https://app.example.com";

impl World {
    pub fn build() -> Builder {
        Builder {
            version: Version::Current,
            openfga_key: None,
            redis: true,
            recorder: false,
            change: Vec::new(),
            rules: story_rules(),
        }
    }

    /// The usual set-up, for a story that stops servers, changes rules or reads counters.
    pub async fn start() -> World {
        Self::build().start().await
    }

    /// The usual set-up, kept for the next story: for stories that leave everything as it was. Nobody
    /// else has it in the meantime. Users and the client's address are fresh.
    pub async fn lease() -> Lease {
        let kept = KEPT.lock().unwrap().pop();
        let world = match kept {
            Some(world) => world,
            None => Self::start().await,
        };
        world.gateway.change_client();
        Lease(Some(world))
    }

    /// A name that no other story uses.
    pub fn user(name: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// A user who may read reports.
    pub async fn viewer(&self, name: &str) -> String {
        let user = Self::user(name);
        self.grant(&user, "feature:report_viewer").await;
        user
    }

    pub async fn grant(&self, user: &str, object: &str) {
        self.openfga.write(&self.store, &format!("user:{user}"), "viewer", object).await;
    }

    pub async fn revoke(&self, user: &str, object: &str) {
        self.openfga.delete(&self.store, &format!("user:{user}"), "viewer", object).await;
    }

    pub fn token(&self, user: &str) -> TokenBuilder {
        self.issuer.token(user)
    }

    pub fn recorder(&self) -> &Recorder {
        self.recorder.as_ref().expect("the story asked for a recorder")
    }

    pub fn redis(&self) -> &Redis {
        self.redis.as_ref().expect("the story has a Redis")
    }

    /// Neither the application nor ZITADEL was reached.
    #[track_caller]
    pub fn saw_nothing(&self) {
        self.upstream.saw_nothing();
        self.zitadel.saw_nothing();
    }

    /// A further gateway beside the first one.
    pub async fn another_gateway(&self) -> Gateway {
        Gateway::start(&self.plan.clone().port(process::free_port())).await
    }
}

impl Deref for World {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}

static KEPT: Mutex<Vec<World>> = Mutex::new(Vec::new());

/// A world that goes back for the next story, unless this one failed.
#[derive(Debug)]
pub struct Lease(Option<World>);

impl Deref for Lease {
    type Target = World;

    fn deref(&self) -> &World {
        self.0.as_ref().expect("only dropping takes it")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(world) = self.0.take() else { return };
        if std::thread::panicking() {
            return;
        }
        world.gateway.wrote_no_token();
        world.upstream.reset();
        world.zitadel.reset();
        world.issuer.set_fault(Fault::None);
        KEPT.lock().unwrap().push(world);
    }
}
