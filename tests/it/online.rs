//! `auth-gateway check --online`: what a deployment names is asked, and everything that does not answer is
//! told at once.

use auth_gateway::dev::issuer::Fault;
use serde_json::{Value, json};

use crate::support::gateway::{Gateway, Plan};
use crate::support::process::free_port;
use crate::support::world::{guide_rules, with};
use crate::support::{World, story};

/// Exit status and report.
async fn check(plan: &Plan) -> (Option<i32>, Value) {
    let [listen, admin] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
    check_at(plan, &listen, &admin).await
}

async fn check_at(plan: &Plan, listen: &str, admin: &str) -> (Option<i32>, Value) {
    let words = ["check", "--online", "--json", "--listen", listen, "--admin-listen", admin];
    let (status, said, errors) = plan.pipe(&words, "").await;
    assert!(errors.is_empty(), "{errors}");
    (status, serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}")))
}

/// Keys of the findings in `list` that are about something else than the rules' own dangers.
fn keys<'a>(report: &'a Value, list: &str) -> Vec<&'a str> {
    let found = report[list].as_array().unwrap().iter();
    let keys = found.map(|finding| finding["key"].as_str().unwrap());
    keys.filter(|key| !key.starts_with("rules")).collect()
}

fn message<'a>(report: &'a Value, list: &str, key: &str) -> &'a str {
    let mut found = report[list].as_array().unwrap().iter();
    let found = found.find(|finding| finding["key"] == key);
    found.unwrap_or_else(|| panic!("{key}: {report}"))["message"].as_str().unwrap()
}

#[test]
fn a_set_up_that_answers_is_told_as_such() {
    story(async {
        let world = World::build();
        let services = world.services().await;
        let plan = world.plan(&services);
        let (status, report) = check(&plan).await;
        assert_eq!((status, keys(&report, "errors")), (Some(0), vec![]), "{report}");
        // This Redis keeps nothing.
        assert_eq!(keys(&report, "warnings"), ["redis.url"], "{report}");
        assert!(message(&report, "warnings", "redis.url").contains("aof_enabled"), "{report}");

        let port = free_port().to_string();
        let listen = format!("127.0.0.1:{port}");
        let words = ["check", "--online", "--listen", &listen];
        let (status, said, _) = plan.pipe(&words, "").await;
        assert_eq!(status, Some(0), "{said}");
        for told in [
            format!("{}: 1 usable key", services.issuer.url()),
            format!("{}: introspection accepts our client", services.issuer.url()),
            format!("store {}, model {}", services.store, services.model),
            format!("upstream app: {}", services.upstream.authority()),
            format!("server.listen: {listen} is free"),
        ] {
            assert!(said.contains(&told), "{told}: {said}");
        }
        services.upstream.saw_nothing();
    });
}

#[test]
fn everything_that_is_down_is_told_at_once() {
    story(async {
        let world = World::build();
        let services = world.services().await;
        let plan = world.plan(&services);
        services.issuer.down().await;
        services.openfga.down();
        services.redis.as_ref().unwrap().down();
        services.upstream.down().await;
        let (status, report) = check(&plan).await;
        assert_eq!(status, Some(78), "{report}");
        let mut errors = keys(&report, "errors");
        errors.sort_unstable();
        let expected = [
            "issuers[0].introspection",
            "issuers[0].url",
            "openfga.url",
            "redis.url",
            "upstreams.app.url",
            "upstreams.openfga.url",
        ];
        assert_eq!(errors, expected, "{report}");
        let address = services.issuer.url();
        assert!(message(&report, "errors", "issuers[0].url").contains(address), "{report}");
        let (status, printed, said) = plan.pipe(&["check", "--online"], "").await;
        assert_eq!(status, Some(78), "{printed}{said}");
        assert!(expected.iter().all(|key| said.contains(key)), "{said}");
    });
}

#[test]
fn what_says_nothing_is_not_waited_for() {
    story(async {
        let world = World::build();
        let services = world.services().await;
        let plan = world.plan(&services);
        services.issuer.set_fault(Fault::Hang);
        services.openfga.freeze();
        services.redis.as_ref().unwrap().freeze();
        let (status, report) = check(&plan).await;
        services.openfga.thaw();
        services.redis.as_ref().unwrap().thaw();
        assert_eq!(status, Some(78), "{report}");
        let errors = keys(&report, "errors");
        for key in ["issuers[0].url", "issuers[0].introspection", "openfga.url", "redis.url"] {
            assert!(errors.contains(&key), "{key}: {report}");
        }
    });
}

#[test]
fn a_store_a_model_or_a_relation_that_is_not_there_is_named() {
    story(async {
        let world = World::build().without_redis().openfga_key("the key");
        let services = world.services().await;
        let plan = world.plan(&services);
        let absent = "01HZZZZZZZZZZZZZZZZZZZZZZZ";
        let (status, report) = check(&plan.clone().env("OPENFGA_STORE_ID", absent)).await;
        assert_eq!(
            (status, keys(&report, "errors")),
            (Some(78), vec!["openfga.store_id"]),
            "{report}"
        );
        let told = message(&report, "errors", "openfga.store_id");
        assert!(told.contains(absent) && told.contains("POST /stores"), "{told}");

        let empty = services.openfga.create_store().await;
        let (status, report) = check(&plan.clone().env("OPENFGA_STORE_ID", &empty)).await;
        assert_eq!(
            (status, keys(&report, "errors")),
            (Some(78), vec!["openfga.store_id"]),
            "{report}"
        );
        let told = message(&report, "errors", "openfga.store_id");
        assert!(told.contains("has no authorization model yet"), "{told}");

        let other = plan.clone().set("openfga.authorization_model_id", absent);
        let (status, report) = check(&other).await;
        let expected = vec!["openfga.authorization_model_id"];
        assert_eq!((status, keys(&report, "errors")), (Some(78), expected), "{report}");

        let (status, report) = check(&plan.clone().env("OPENFGA_API_TOKEN", "another")).await;
        assert_eq!(
            (status, keys(&report, "errors")),
            (Some(78), vec!["openfga.api_token"]),
            "{report}"
        );
        assert!(!report.to_string().contains("another key"), "{report}");

        let rules = json!([
            {"path": "/drafts/*path", "method": "GET", "feature": "drafts", "action": "editor"},
            {"path": "/plans/*path", "method": "GET", "feature": "plan:all"},
        ]);
        let (status, report) = check(&plan.rules(&with(guide_rules(), rules))).await;
        assert_eq!(status, Some(78), "{report}");
        let errors = report["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 2, "{report}");
        assert!(errors[0]["message"].as_str().unwrap().contains("editor"), "{report}");
        assert!(errors[1]["message"].as_str().unwrap().contains("plan"), "{report}");
        assert!(errors[0]["file"].as_str().unwrap().ends_with("access_rules.json"), "{report}");
    });
}

#[test]
fn a_client_or_a_key_that_the_issuer_does_not_accept_is_told() {
    story(async {
        let world = World::build().without_redis();
        let services = world.services().await;
        let plan = world.plan(&services).env("ZITADEL_CLIENT_SECRET", "another secret");
        let (status, report) = check(&plan).await;
        let expected = vec!["issuers[0].introspection"];
        assert_eq!((status, keys(&report, "errors")), (Some(78), expected), "{report}");
        let told = message(&report, "errors", "issuers[0].introspection");
        assert!(told.contains("401") && told.contains("ZITADEL_CLIENT_SECRET"), "{told}");
        assert!(!report.to_string().contains("another secret"), "{report}");
        services.issuer.set_fault(Fault::WrongIssuer);
        let (status, report) = check(&plan).await;
        assert_eq!(status, Some(78), "{report}");
        let told = message(&report, "errors", "issuers[0].url");
        assert!(told.contains("is of issuer"), "{told}");
    });
}

#[test]
fn a_redis_that_throws_counts_away_is_warned_about() {
    story(async {
        let world = World::build();
        let services = world.services().await;
        let plan = world.plan(&services);
        let redis = services.redis.as_ref().unwrap();
        redis.command("CONFIG SET maxmemory-policy allkeys-lru").await.unwrap();
        redis.command("CONFIG SET appendonly yes").await.unwrap();
        let (status, report) = check(&plan).await;
        assert_eq!((status, keys(&report, "warnings")), (Some(0), vec!["redis.url"]), "{report}");
        let told = message(&report, "warnings", "redis.url");
        assert!(told.contains("allkeys-lru") && told.contains("noeviction"), "{told}");
    });
}

#[test]
fn ports_that_a_running_gateway_has_are_warned_about_and_nothing_more() {
    story(async {
        let world = World::build().without_redis();
        let services = world.services().await;
        let plan = world.plan(&services);
        let gateway = Gateway::start(&plan).await;
        let admin = format!("127.0.0.1:{}", gateway.admin_port());
        let (status, report) = check_at(&plan, &gateway.authority(), &admin).await;
        assert_eq!(status, Some(0), "{report}");
        assert_eq!(keys(&report, "warnings"), ["server.listen", "admin.listen"], "{report}");
        let told = message(&report, "warnings", "server.listen");
        assert!(told.contains(&format!("port {} of", gateway.port())), "{told}");
        let (status, report) = check_at(&plan, "192.0.2.1:3000", &admin).await;
        assert_eq!(
            (status, keys(&report, "errors")),
            (Some(78), vec!["server.listen"]),
            "{report}"
        );
    });
}

#[test]
fn a_name_that_does_not_resolve_is_told_apart_from_a_server_that_is_down() {
    story(async {
        let world = World::build().without_redis();
        let services = world.services().await;
        let plan = world.plan(&services).env("UPSTREAM_URL", "http://nowhere.invalid:8080");
        let (status, report) = check(&plan).await;
        assert_eq!(
            (status, keys(&report, "errors")),
            (Some(78), vec!["upstreams.app.url"]),
            "{report}"
        );
        let told = message(&report, "errors", "upstreams.app.url");
        assert!(told.starts_with("nowhere.invalid cannot be resolved"), "{told}");
    });
}
