//! The real OpenFGA with its memory engine, and the client calls that stories need.

use std::process::Command;
use std::sync::Mutex;

use nix::sys::signal::Signal;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::process::{Process, free_port, tool};

/// Which OpenFGA runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The newest that `scripts/install-tools` pins.
    Current,
    /// v1.3.0, what the deployment guide deploys.
    Guide,
}

#[derive(Debug)]
pub struct OpenFga {
    version: Version,
    port: u16,
    grpc_port: u16,
    key: Option<String>,
    client: Client,
    process: Mutex<Option<Process>>,
}

impl OpenFga {
    pub async fn start(version: Version) -> Self {
        Self::start_with(version, None).await
    }

    /// With a preshared key, every call needs it.
    pub async fn start_with(version: Version, key: Option<&str>) -> Self {
        let openfga = Self {
            version,
            port: free_port(),
            grpc_port: free_port(),
            key: key.map(str::to_owned),
            client: Client::builder().no_proxy().build().unwrap(),
            process: Mutex::new(None),
        };
        openfga.up().await;
        openfga
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The engine keeps everything in memory: what was stored before is gone.
    pub async fn up(&self) {
        let name = match self.version {
            Version::Current => "openfga",
            Version::Guide => "openfga-1.3.0",
        };
        let mut command = Command::new(tool(name));
        command.env_clear().args([
            "run",
            "--http-addr",
            &self.authority(),
            "--grpc-addr",
            &format!("127.0.0.1:{}", self.grpc_port),
            "--metrics-enabled=false",
            "--playground-enabled=false",
            "--log-level=error",
        ]);
        if let Some(key) = &self.key {
            command.args(["--authn-method=preshared", "--authn-preshared-keys", key]);
        }
        let process = Process::spawn(name, &mut command);
        let url = format!("{}/healthz", self.url());
        let serving = async || match self.client.get(&url).send().await {
            Ok(answer) => answer.status() == 200,
            Err(_) => false,
        };
        process.ready(serving).await;
        *self.process.lock().unwrap() = Some(process);
    }

    /// Connections are refused until [`OpenFga::up`].
    pub fn down(&self) {
        self.process.lock().unwrap().take();
    }

    /// Accepts connections and says nothing.
    pub fn freeze(&self) {
        self.process.lock().unwrap().as_ref().unwrap().signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.process.lock().unwrap().as_ref().unwrap().signal(Signal::SIGCONT);
    }

    /// The answer's body; panics unless it is a success.
    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let mut request = self.client.request(method, format!("{}{path}", self.url()));
        if !body.is_null() {
            request = request.json(body);
        }
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "OpenFGA, {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub async fn create_store(&self) -> String {
        let created = self.call(Method::POST, "/stores", &json!({"name": "auth-gateway"})).await;
        created["id"].as_str().unwrap().to_owned()
    }

    /// Returns the id of the authorization model.
    pub async fn write_model(&self, store: &str, model: &Value) -> String {
        let path = format!("/stores/{store}/authorization-models");
        let written = self.call(Method::POST, &path, model).await;
        written["authorization_model_id"].as_str().unwrap().to_owned()
    }

    pub async fn write(&self, store: &str, user: &str, relation: &str, object: &str) {
        let keys = json!([{"user": user, "relation": relation, "object": object}]);
        self.change(store, &json!({"writes": {"tuple_keys": keys}})).await;
    }

    pub async fn delete(&self, store: &str, user: &str, relation: &str, object: &str) {
        let keys = json!([{"user": user, "relation": relation, "object": object}]);
        self.change(store, &json!({"deletes": {"tuple_keys": keys}})).await;
    }

    async fn change(&self, store: &str, body: &Value) {
        self.call(Method::POST, &format!("/stores/{store}/write"), body).await;
    }

    pub async fn check(&self, store: &str, user: &str, relation: &str, object: &str) -> bool {
        let key = json!({"user": user, "relation": relation, "object": object});
        let path = format!("/stores/{store}/check");
        let answer = self.call(Method::POST, &path, &json!({"tuple_key": key})).await;
        answer["allowed"].as_bool().unwrap()
    }
}

/// The deployment guide's authorization model, word for word.
pub fn guide_model() -> Value {
    json!({
        "schema_version": "1.1",
        "type_definitions": [
            {"type": "user"},
            {
                "type": "feature",
                "relations": {"viewer": {"this": {}}},
                "metadata": {
                    "relations": {"viewer": {"directly_related_user_types": [{"type": "user"}]}}
                }
            }
        ]
    })
}
