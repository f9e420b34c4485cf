//! The rule file changes while the gateway runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::gateway::Gateway;
use crate::support::openfga::guide_model;
use crate::support::world::{guide_rules, story_rules, with};
use crate::support::{Mint, SOON, World, eventually, story};

fn further_rule() -> Value {
    let further = json!([{"path": "/further/*path", "method": "GET", "feature": "public_access"}]);
    with(story_rules(), further)
}

async fn serves(gateway: &Gateway, path: &str, status: u16) {
    eventually(&format!("{path} is {status}"), SOON, async || {
        (gateway.get(path).send().await.status == status).then_some(())
    })
    .await;
}

/// Waits until the rules in force are those of the file, or are not.
async fn rules_are_current(gateway: &Gateway, wanted: bool) {
    let wanted = Some(f64::from(u8::from(wanted)));
    eventually(&format!("rules_current is {wanted:?}"), SOON, async || {
        (gateway.metric("auth_gateway_rules_current", &[]).await == wanted).then_some(())
    })
    .await;
}

#[test]
fn a_good_change_takes_effect_and_a_broken_one_changes_nothing() {
    story(async {
        let world = World::start().await;
        let gateway = &world.gateway;
        gateway.get("/further/page").send().await.refused(403, "no_rule");
        world.saw_nothing();
        gateway.write_rules(&further_rule());
        serves(gateway, "/further/page", 200).await;
        assert_eq!(gateway.metric("auth_gateway_rules_current", &[]).await, Some(1.0));

        for broken in [
            "[{",
            r#"[{"path": "/a", "method": "GET", "feature": "x", "surprise": 1}]"#,
            r#"[{"path": "/a", "method": "GET", "feature": "x", "target": "nobody"}]"#,
            r#"[{"path": "/a", "method": "GET", "feature": "x", "relation": "no_such_relation"}]"#,
        ] {
            gateway.write_rules_text(broken);
            rules_are_current(gateway, false).await;
            gateway.get("/further/page").send().await.is(200);
            let details = gateway.admin(Method::GET, "/readyz").send().await.json();
            assert_ne!(details["rules_error"].as_str().unwrap_or_default(), "", "{details}");
            assert_eq!(gateway.get("/health").send().await.is(200).text(), "OK");

            gateway.write_rules(&further_rule());
            rules_are_current(gateway, true).await;
        }
        let complaint =
            gateway.await_log(|line| line.to_string().contains("no_such_relation")).await;
        assert!(matches!(complaint["level"].as_str(), Some("WARN" | "ERROR")), "{complaint}");

        gateway.write_rules(&guide_rules());
        serves(gateway, "/further/page", 403).await;
    });
}

#[test]
fn connections_live_on_through_a_reload() {
    story(async {
        let world = World::start().await;
        let gateway = &world.gateway;
        let mut wire = gateway.connect().await;
        wire.send(gateway.bytes("GET", "/public/a", &[])).await;
        wire.reply("GET").await.unwrap().is(200);

        // One request is under way while its rule disappears.
        world.upstream.hold();
        let mut under_way = gateway.connect().await;
        under_way.send(gateway.bytes("GET", "/public/b", &[])).await;
        world.upstream.await_request(|request| request.target() == "/public/b").await;
        let rules =
            json!([{"path": "/further/*path", "method": "GET", "feature": "public_access"}]);
        gateway.write_rules(&rules);
        // Until then there is a rule, and it wants a token.
        serves(gateway, "/api/report", 403).await;
        world.upstream.release();
        under_way.reply("GET").await.unwrap().is(200);

        wire.send(gateway.bytes("GET", "/further/a", &[])).await;
        wire.reply("GET").await.unwrap().is(200);
    });
}

/// As the kubelet does it: a new folder, and one symbolic link that is renamed over the old one.
fn project(folder: &Path, version: &str, rules: &Value) {
    let data = folder.join(version);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("access_rules.json"), rules.to_string()).unwrap();
    symlink(version, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[test]
fn a_config_map_update_is_noticed() {
    story(async {
        let world = World::build();
        let services = world.services().await;
        let folder = TempDir::new().unwrap();
        project(folder.path(), "..2026_11_25_1", &story_rules());
        let file = folder.path().join("access_rules.json");
        symlink("..data/access_rules.json", &file).unwrap();
        let gateway = Gateway::start(&world.plan(&services).rules_file(&file)).await;
        gateway.get("/further/page").send().await.refused(403, "no_rule");

        project(folder.path(), "..2026_11_25_2", &further_rule());
        fs::remove_dir_all(folder.path().join("..2026_11_25_1")).unwrap();
        serves(&gateway, "/further/page", 200).await;
        project(folder.path(), "..2026_11_25_3", &story_rules());
        fs::remove_dir_all(folder.path().join("..2026_11_25_2")).unwrap();
        serves(&gateway, "/further/page", 403).await;
    });
}

#[test]
fn a_signal_and_the_admin_endpoint_reload() {
    story(async {
        let world = World::start().await;
        let gateway = &world.gateway;
        let loads =
            async || gateway.metric("auth_gateway_rule_loads_total", &[]).await.unwrap_or(0.0);
        let before = loads().await;
        gateway.signal(Signal::SIGHUP);
        eventually("the signal reloads", SOON, async || (loads().await > before).then_some(()))
            .await;
        assert!(!gateway.has_exited());

        let before = loads().await;
        gateway.admin(Method::POST, "/reload").send().await.is(200);
        eventually("the endpoint reloads", SOON, async || (loads().await > before).then_some(()))
            .await;
        gateway.get("/public/page").send().await.is(200);
        let rules = gateway.admin(Method::GET, "/rules").send().await.is(200).text();
        assert!(rules.contains("/public/"), "{rules}");
    });
}

#[test]
fn a_rule_waits_for_the_model_that_it_asks_for() {
    story(async {
        let world = World::build().set("openfga.model_refresh", "1s").start().await;
        let gateway = &world.gateway;
        let ann = World::user("ann");
        let token = world.token(&ann).jwt();
        let draft = json!([{"path": "/drafts/*path", "method": "GET", "relation": "editor",
            "feature": "feature:report_viewer"}]);
        gateway.write_rules(&with(story_rules(), draft.clone()));
        rules_are_current(gateway, false).await;
        gateway.get("/drafts/1").bearer(&token).send().await.refused(403, "no_rule");
        world.saw_nothing();
        let error = async || {
            let details = gateway.admin(Method::GET, "/readyz").send().await.json();
            details["rules_error"].as_str().unwrap_or_default().to_owned()
        };
        let said = error().await;
        assert!(said.contains("\"editor\" is not a relation of the type \"feature\""), "{said}");
        let unknown = json!([{"path": "/folders/{id}", "method": "GET", "object": "folder:{id}"}]);
        gateway.write_rules(&with(story_rules(), unknown));
        eventually("the unknown type is named", SOON, async || {
            let told = "object \"folder:{id}\" has a type that the authorization model does";
            error().await.contains(told).then_some(())
        })
        .await;
        gateway.get("/folders/1").bearer(&token).send().await.refused(403, "no_rule");
        world.saw_nothing();
        gateway.write_rules(&with(story_rules(), draft));

        let mut model = guide_model();
        let feature = &mut model["type_definitions"][1];
        feature["relations"]["editor"] = json!({"this": {}});
        feature["metadata"]["relations"]["editor"] =
            json!({"directly_related_user_types": [{"type": "user"}]});
        world.openfga.write_model(&world.store, &model).await;
        rules_are_current(gateway, true).await;
        gateway.get("/drafts/1").bearer(&token).send().await.refused(403, "denied");
        world.saw_nothing();
        let editor = World::user("editor");
        let user = format!("user:{editor}");
        world.openfga.write(&world.store, &user, "editor", "feature:report_viewer").await;
        gateway.get("/drafts/1").bearer(world.token(&editor).jwt()).send().await.is(200);
    });
}

#[test]
fn a_model_that_lacks_what_the_rules_ask_is_told_on_all_sides_at_once() {
    story(async {
        let world = World::build().set("openfga.model_refresh", "1s").start().await;
        rules_are_current(&world.gateway, true).await;
        let mut model = guide_model();
        model["type_definitions"][1] = json!({"type": "feature"});
        world.openfga.write_model(&world.store, &model).await;
        rules_are_current(&world.gateway, false).await;
        let details = world.gateway.admin(Method::GET, "/readyz").send().await.json();
        assert!(details["rules_error"].to_string().contains("viewer"), "{details}");

        world.openfga.write_model(&world.store, &guide_model()).await;
        rules_are_current(&world.gateway, true).await;
        let details = world.gateway.admin(Method::GET, "/readyz").send().await.json();
        assert_eq!(details["rules_error"], Value::Null);
    });
}

#[test]
fn the_series_of_rules_that_are_gone_go_with_them() {
    story(async {
        let world = World::start().await;
        let gateway = &world.gateway;
        let daily = |day: u32| {
            json!([{"id": format!("day-{day}"), "path": "/daily/*path", "method": "GET",
                "feature": "public_access"}])
        };
        for day in 1..=3 {
            gateway.write_rules(&with(story_rules(), daily(day)));
            let id = format!("day-{day}");
            eventually("the rules of the day are in force", SOON, async || {
                gateway.get("/daily/page").send().await;
                let label = [("rule", id.as_str())];
                gateway.metric("auth_gateway_requests_total", &label).await.map(drop)
            })
            .await;
        }
        let metrics = gateway.admin(Method::GET, "/metrics").send().await.text();
        let kept: Vec<_> = metrics.lines().filter(|line| line.contains("rule=\"day-")).collect();
        assert!(kept.iter().all(|line| line.contains("rule=\"day-3\"")), "{kept:?}");
    });
}

#[test]
fn rules_outlive_an_absence_of_their_file() {
    story(async {
        let world = World::build();
        let services = world.services().await;
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("access_rules.json");
        let away = folder.path().join("away.json");
        fs::write(&file, further_rule().to_string()).unwrap();
        let gateway = Gateway::start(&world.plan(&services).rules_file(&file)).await;
        fs::rename(&file, &away).unwrap();
        rules_are_current(&gateway, false).await;
        gateway.get("/further/page").send().await.is(200);
        // The same content again: what changes is that the rules in force are the file's.
        fs::rename(&away, &file).unwrap();
        rules_are_current(&gateway, true).await;
        gateway.get("/further/page").send().await.is(200);
    });
}

#[test]
fn a_public_rule_to_openfga_is_warned_about() {
    story(async {
        let world = World::start().await;
        let warning = world
            .gateway
            .await_log(|line| line["level"] == "WARN" && line.to_string().contains("/stores/"));
        warning.await;
    });
}
