//! Which object a path asks for.

use serde_json::json;

use crate::support::world::{story_rules, with};
use crate::support::{Mint, World, story};

#[test]
fn who_may_see_one_tenant_is_not_admitted_to_another() {
    story(async {
        let rules = json!([
            {"path": "/docs/{tenant}/{id}", "method": "GET", "object": "feature:{tenant}-{id}"},
            {"path": "/notes/{tenant}/{id}", "method": "GET", "object": "feature:{tenant}/{id}"},
            {"path": "/files/{tenant}/*path", "method": "GET", "object": "feature:{tenant}/{path}"}
        ]);
        let world = World::build().rules(with(story_rules(), rules)).start().await;
        let user = World::user("ann");
        for object in ["feature:a-b-c", "feature:a-b", "feature:a-b/c", "feature:a/b/c"] {
            world.grant(&user, object).await;
        }
        let token = world.token(&user).jwt();
        let get = async |path: &str| world.gateway.get(path).bearer(&token).send().await;
        for path in ["/docs/a/b", "/notes/a-b/c", "/files/a-b/c", "/files/a/b/c"] {
            get(path).await.is(200);
            assert_eq!(world.upstream.only_request().target(), path);
        }
        for path in ["/docs/a/b-c", "/docs/a-b/c", "/docs/a/-b", "/docs/a-/b"] {
            get(path).await.refused(400, "bad_object");
        }
        get("/notes/a/b").await.refused(403, "denied");
        world.saw_nothing();
    });
}

#[test]
fn a_rest_before_another_parameter_is_no_rule() {
    story(async {
        let world = World::lease().await;
        let rules = json!([
            {"path": "/a", "method": "GET", "feature": "authenticated"},
            {"path": "/b/{id}/*path", "method": "GET", "object": "feature:{path}/{id}"}
        ]);
        let (status, output) = world.plan.clone().rules(&rules).check().await;
        assert_eq!(status.code(), Some(78), "{output}");
        let expected =
            "rule 1: field \"object\": \"feature:{path}/{id}\" has \"path\" before another";
        assert!(output.contains(expected), "{output}");
    });
}
