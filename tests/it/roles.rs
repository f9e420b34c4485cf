//! Tokens as ZITADEL issues them, and whose roles a rule believes.

use auth_gateway::dev::issuer::TokenBuilder;
use serde_json::json;

use crate::support::world::{story_rules, with};
use crate::support::{Mint, World, story};

const BARE: &str = "urn:zitadel:iam:org:project:roles";

/// The second of our projects, where we have two.
const SECOND: &str = "212345678900000002";

fn issued_tokens(world: &World) -> Vec<(&'static str, TokenBuilder, bool)> {
    let ours = &*world.issuer.settings().project;
    let token = || world.token(&World::user("ann"));
    let colleague = || token().for_client_of("999", "app@colleagues");
    let stranger = || token().for_client_of("66600", "app@strangers");
    let service = || token().for_service_account("reporter");
    let posing = format!("{ours}:admin");
    vec![
        ("our client", token().roles(["admin", "viewer"]), true),
        ("our client, another role", token().roles(["viewer", "Admin", "admin "]), false),
        ("our client, a role elsewhere", token().roles_in("999", ["admin"]), false),
        ("a client of a colleague", colleague().roles(["admin"]), false),
        (
            "a client of a colleague, of a user who is our viewer",
            colleague().roles(["admin"]).roles_in(ours, ["viewer"]),
            false,
        ),
        (
            "a client of a colleague, of a user who is our admin",
            colleague().roles(["viewer"]).roles_in(ours, ["admin"]),
            true,
        ),
        ("a client of strangers", stranger().roles(["admin"]), false),
        ("a client of strangers, a posing role", stranger().roles([&*posing, "999:admin"]), false),
        ("a client of strangers without roles", stranger(), false),
        ("a service account", service().roles_in(ours, ["admin"]), true),
        ("a service account elsewhere", service().roles_in("999", ["admin"]), false),
        (
            "a service account that takes our client's name",
            {
                let client = &*world.issuer.settings().client_id;
                token().for_service_account(client).roles_in("999", ["admin"])
            },
            false,
        ),
    ]
}

/// `/admin` asks for the bare name, `/named` for the one with the project.
async fn check(world: &World, name: &str, credential: &str, passes: bool) {
    for path in ["/admin/panel", "/named/panel"] {
        let answer = world.gateway.get(path).bearer(credential).send().await;
        if passes {
            assert_eq!(answer.status, 200, "{name}: {path} {}", answer.text());
            assert_eq!(world.upstream.take_requests().len(), 1, "{name}: {path}");
        } else {
            assert_eq!(answer.status, 403, "{name}: {path}");
            answer.refused(403, "missing_role");
            world.saw_nothing();
        }
    }
}

async fn world_with(audience: &str) -> World {
    let project = auth_gateway::dev::issuer::Settings::default().project;
    let named = json!([{"path": "/named/*path", "method": "GET", "feature": "authenticated",
        "roles": [format!("{project}:admin")]}]);
    let world = World::build().rules(with(story_rules(), named)).without_redis();
    world.env("ZITADEL_AUDIENCE", audience).set("limits.client.limit", 100_000).start().await
}

#[test]
fn only_roles_in_our_project_open_a_rule() {
    story(async {
        let defaults = auth_gateway::dev::issuer::Settings::default();
        let several = format!("{},{SECOND},{}", defaults.client_id, defaults.project);
        for audience in [&defaults.project, &several] {
            let world = world_with(audience).await;
            for (name, token, passes) in issued_tokens(&world) {
                check(&world, &format!("{name}, JWT"), &token.clone().jwt(), passes).await;
                check(&world, &format!("{name}, opaque"), &token.clone().opaque_token(), passes)
                    .await;
                // Active for every client of the instance, whosever it is.
                check(&world, &format!("{name}, PAT"), &token.without("client_id").pat(), passes)
                    .await;
            }
        }
    });
}

#[test]
fn a_role_in_another_of_our_projects_counts_by_its_bare_name() {
    story(async {
        let project = auth_gateway::dev::issuer::Settings::default().project;
        let world = world_with(&format!("{project},{SECOND}")).await;
        let token = world.token(&World::user("ann")).for_client_of(SECOND, "app@second");
        let token = token.roles(["admin"]).jwt();
        world.gateway.get("/admin/panel").bearer(&token).send().await.is(200);
        assert_eq!(world.upstream.take_requests().len(), 1);
        let answer = world.gateway.get("/named/panel").bearer(&token).send().await;
        answer.refused(403, "missing_role");
        world.saw_nothing();
    });
}

#[test]
fn a_token_that_names_no_project_is_believed_for_our_clients_only() {
    story(async {
        let world =
            World::build().without_redis().set("issuers", ours_are(&["app@ours"])).start().await;
        let token = |client: &str| {
            let role = json!({"admin": {"1": "example.localhost"}});
            world.token(&World::user("ann")).claim("client_id", client).claim(BARE, role)
        };
        for credential in [token("app@ours").jwt(), token("app@ours").opaque_token()] {
            world.gateway.get("/admin/panel").bearer(&credential).send().await.is(200);
            assert_eq!(world.upstream.take_requests().len(), 1);
        }
        for credential in [token("app@theirs").jwt(), token("app@theirs").opaque_token()] {
            let answer = world.gateway.get("/admin/panel").bearer(&credential).send().await;
            answer.refused(403, "missing_role");
            let id = answer.json()["request_id"].clone();
            let line = world.gateway.await_log(|line| {
                line["message"] == "Role not believed" && line["request_id"] == id
            });
            let line = line.await;
            let detail = "token has role 'admin' in urn:zitadel:iam:org:project:roles only, \
                          and says client_id 'app@theirs'";
            assert_eq!(
                (&line["detail"], &line["reason"]),
                (&json!(detail), &json!("missing_role"))
            );
            assert!(line["hint"].to_string().contains("issuers[].clients"), "{line}");
        }
        world.saw_nothing();
    });
}

fn ours_are(clients: &[&str]) -> serde_yaml::Value {
    serde_yaml::to_value([json!({"clients": clients})]).unwrap()
}

#[test]
fn where_any_audience_is_accepted_rules_by_role_are_warned_about() {
    story(async {
        let services = World::build().services().await;
        let any = services.plan(&story_rules()).env("ZITADEL_AUDIENCE", "any");
        let warning = "whoever owns a project gives himself roles of any name";
        let (status, told) = any.check().await;
        assert!(status.success() && told.contains(warning), "{told}");
        let gateway = crate::support::gateway::Gateway::start(&any).await;
        gateway.await_log(|line| line["message"].to_string().contains(warning)).await;
        let (_, told) = services.plan(&story_rules()).check().await;
        assert!(!told.contains(warning), "{told}");
    });
}
