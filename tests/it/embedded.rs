//! The engine in process: `engine` and `authz.mode: embedded`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::gateway::{BINARY, Gateway};
use crate::support::process::{Process, free_port};
use crate::support::{Mint, SOON, World, eventually, story};

const PERMISSIONS: &str = "model: |
  model
    schema 1.1
  type user
  type feature
    relations
      define viewer: [user]
tuples:
  - user: user:ann
    relation: viewer
    object: feature:report_viewer
";

fn start(words: &[&str]) -> Process {
    let mut command = Command::new(BINARY);
    command.env_clear().env("PATH", std::env::var("PATH").unwrap()).args(words);
    Process::spawn("auth-gateway", &mut command)
}

async fn post(url: &str, body: &Value) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(url).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[test]
fn the_engine_stands_in_for_openfga_and_keeps_what_it_was_told() {
    story(async {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = folder.path().join("stores.json");
        let listen = format!("127.0.0.1:{}", free_port());
        let words = ["engine", "--listen", &listen, "--snapshot", snapshot.to_str().unwrap()];
        let engine = start(&words);
        engine.ready(async || !engine.output().stdout().is_empty()).await;
        let url = format!("http://{listen}");
        let (status, store) =
            post(&format!("{url}/stores"), &json!({"name": "auth-gateway"})).await;
        assert_eq!(status, 201, "{store}");
        let store = format!("{url}/stores/{}", store["id"].as_str().unwrap());
        let model = crate::support::openfga::guide_model();
        assert_eq!(post(&format!("{store}/authorization-models"), &model).await.0, 201);
        let tuple =
            json!({"user": "user:ann", "relation": "viewer", "object": "feature:report_viewer"});
        let write = json!({"writes": {"tuple_keys": [tuple]}});
        assert_eq!(post(&format!("{store}/write"), &write).await.0, 200);

        let world = World::build()
            .env("OPENFGA_URL", &url)
            .env("OPENFGA_STORE_ID", store.rsplit('/').next().unwrap())
            .start()
            .await;
        world.gateway.get("/api/report").bearer(world.token("ann")).send().await.is(200);
        world.upstream.take_requests();
        let denied = world.gateway.get("/api/report").bearer(world.token("bob")).send().await;
        denied.refused(403, "denied");
        world.saw_nothing();

        engine.signal(Signal::SIGTERM);
        engine.exit(SOON).await;
        let engine = start(&words);
        engine.ready(async || !engine.output().stdout().is_empty()).await;
        let (_, answer) = post(&format!("{store}/check"), &json!({"tuple_key": tuple})).await;
        assert_eq!(answer["allowed"], true, "{answer}");
    });
}

fn embedded(world: crate::support::world::Builder, model: &Path) -> crate::support::world::Builder {
    world
        .set("authz.mode", "embedded")
        .set("authz.model_file", model.to_str().unwrap())
        .set("redis.namespace", "embedded")
}

#[test]
fn an_embedded_engine_needs_no_server_and_no_variable_of_one() {
    story(async {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("permissions.fga.yaml");
        std::fs::write(&model, PERMISSIONS).unwrap();
        let builder = embedded(World::build(), &model);
        let services = builder.services().await;
        let rules = json!([{"path": "/api/*path", "method": "GET", "feature": "report_viewer"}]);
        let plan = builder.plan(&services).rules(&rules);
        let plan = plan.without_env("OPENFGA_URL").without_env("OPENFGA_STORE_ID");
        let (_, said) = plan.check().await;
        assert!(said.contains(&format!("embedded    {}", model.display())), "{said}");
        assert!(!said.contains("openfga"), "{said}");
        let gateway = Gateway::start(&plan).await;
        gateway.get("/api/report").bearer(services.issuer.token("ann")).send().await.is(200);
        services.upstream.take_requests();
        let denied = gateway.get("/api/report").bearer(services.issuer.token("bob")).send().await;
        denied.refused(403, "denied");
        assert!(services.upstream.take_requests().is_empty());
        let line = eventually("the decision is logged", SOON, async || {
            gateway.access_lines().into_iter().find(|line| line["rule"] == "get /api/*path")
        });
        assert_eq!(line.await["decision"], "embedded");

        let to_openfga = json!([
            {"path": "/stores/*path", "method": "*", "feature": "public_access", "target": "openfga"}
        ]);
        let (status, said) = plan.clone().rules(&to_openfga).check().await;
        assert_eq!(status.code(), Some(78), "{said}");
        assert!(said.contains("\"openfga\" is not defined: authz.mode is embedded, "), "{said}");
        std::fs::write(&model, "model: |\n  nonsense\n").unwrap();
        let (status, said) = plan.check().await;
        assert_eq!(status.code(), Some(78), "{said}");
        assert!(said.contains("authz.model_file") && said.contains("permissions"), "{said}");
    });
}

#[test]
fn a_check_that_the_engine_refuses_is_called_just_that() {
    story(async {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("permissions.fga.yaml");
        std::fs::write(&model, PERMISSIONS).unwrap();
        let rules = json!([
            {"path": "/api/*path", "method": "GET", "feature": "report_viewer"},
            {"path": "/drafts/*path", "method": "GET", "feature": "report_viewer", "action": "editor",
                "id": "drafts", "on_unavailable": "allow"},
        ]);
        let world = embedded(World::build(), &model).rules(rules).start().await;
        let token = world.token("ann").jwt();
        let get = |path: &str| world.gateway.get(path).bearer(&token).send();
        get("/drafts/1").await.refused(503, "authorization_unavailable");
        world.saw_nothing();
        let line = world.gateway.await_message("the embedded engine refused a check").await;
        assert_eq!(line["rule"], "drafts");
        assert_eq!(
            (&line["relation"], &line["object_type"]),
            (&json!("editor"), &json!("feature"))
        );
        assert!(line["cause"].as_str().is_some_and(|cause| cause.contains("editor")), "{line}");
        assert_eq!(line["reason"], "authorization_unavailable");
        get("/api/report").await.is(200);
        assert_eq!(world.gateway.count_messages("Failed to connect to OpenFGA"), 0);
    });
}

/// Idle or not, a gateway that is told to stop is still there for those who do not know yet.
#[test]
fn a_terminated_gateway_serves_until_its_delay_is_over() {
    story(async {
        let world = World::build().set("server.shutdown_delay", "2s").start().await;
        world.gateway.terminate();
        eventually("/health is 503", SOON, async || {
            let answer = world.gateway.get("/health").try_send().await.ok()?;
            (answer.status == 503).then_some(())
        })
        .await;
        let answer = world.gateway.get("/public/page").send().await;
        assert_eq!((answer.status, answer.header("connection")), (200, "close"));
        assert_eq!(world.gateway.exit(Duration::from_secs(20)).await.code(), Some(0));
    });
}
