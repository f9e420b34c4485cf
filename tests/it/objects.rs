//! Which object a path asks for, and what an encoded slash means.

use serde_json::json;

use crate::support::world::{ORIGIN, story_rules, with};
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
        let expected = "rule 1 (GET /b/{id}/*path): object \"feature:{path}/{id}\" has \"path\" before another";
        assert!(output.contains(expected), "{output}");
    });
}

/// GitLab and npm, as their rules could look, beside some that do not allow encoded slashes.
async fn registry() -> World {
    let rules = json!([
        {"path": "/projects/{id}", "method": "GET", "object": "feature:{id}", "encoded_slashes": "allow"},
        {"path": "/projects/{id}/keys", "method": "PUT", "feature": "authenticated", "encoded_slashes": "allow"},
        {"path": "/projects/{id}/files/{name}", "method": "GET", "object": "feature:{id}/{name}", "encoded_slashes": "allow"},
        {"path": "/projects/{group}/secrets", "method": "GET", "feature": "authenticated", "roles": ["admin"]},
        {"path": "/@scope%2fname", "method": "GET", "feature": "public_access", "encoded_slashes": "allow"},
        {"path": "/{package}", "method": "GET", "feature": "public_access"},
        {"path": "/packages/*path", "method": "*", "feature": "public_access", "encoded_slashes": "allow"}
    ]);
    World::build().rules(with(story_rules(), rules)).start().await
}

#[test]
fn an_encoded_slash_is_part_of_the_object_and_forwarded() {
    story(async {
        let world = registry().await;
        let user = World::user("ann");
        for object in ["feature:group%2Fname", "feature:a/b%2Fc"] {
            world.grant(&user, object).await;
        }
        let bearer = format!("Bearer {}", world.token(&user).jwt());
        let get = async |target: &str| {
            let request = world.gateway.bytes("GET", target, &[("Authorization", &bearer)]);
            world.gateway.raw(request).await.unwrap()
        };
        for (sent, forwarded) in [
            ("/projects/group%2Fname", "/projects/group%2Fname"),
            ("/projects/gr%6Fup%2fname?a=%2f", "/projects/group%2Fname?a=%2f"),
            ("/projects/a/files/b%2Fc", "/projects/a/files/b%2Fc"),
            ("/@scope%2fname", "/@scope%2Fname"),
            ("/packages/a%2fb/c", "/packages/a%2Fb/c"),
        ] {
            get(sent).await.is(200);
            assert_eq!(world.upstream.only_request().target(), forwarded, "{sent}");
        }
        world.gateway.await_access(|line| line["path"] == "/packages/a%2Fb/c").await;
        // Each of these would be admitted if it asked for an object of its neighbour.
        get("/projects/a%2Fb/files/c").await.refused(403, "denied");
        get("/projects/group").await.refused(403, "denied");
        get("/projects/group/name").await.refused(403, "no_rule");
        get("/projects/group%2Fna%20me").await.refused(400, "bad_object");
        world.saw_nothing();
    });
}

#[test]
fn an_encoded_slash_that_no_rule_allows_is_refused_with_the_fields_name() {
    story(async {
        let world = registry().await;
        let refused = async |method: &str, target: &str, headers: &[(&str, &str)]| {
            let answer = world.gateway.raw(world.gateway.bytes(method, target, headers)).await;
            answer.unwrap().explained(400, "bad_path", "encoded_slashes");
        };
        for target in ["/@other%2Fname", "/public/a%2Fb", "/nowhere/a%2fb", "/%68ealth%2Fx"] {
            refused("GET", target, &[]).await;
        }
        let line = world.gateway.await_access(|line| line["path"] == "/public/a%2Fb").await;
        assert_eq!(
            (&line["outcome"], &line["rule"]),
            (&json!("bad_path"), &json!("* /public/*path"))
        );

        let preflight = [("Origin", ORIGIN), ("Access-Control-Request-Method", "GET")];
        refused("OPTIONS", "/public/a%2Fb", &preflight).await;
        let preflight = world.gateway.bytes("OPTIONS", "/projects/a%2Fb", &preflight);
        world.gateway.raw(preflight).await.unwrap().is(204);
        let delete = world.gateway.bytes("DELETE", "/projects/a%2Fb/keys", &[]);
        let answer = world.gateway.raw(delete).await.unwrap();
        assert_eq!(answer.refused(405, "method_not_allowed").header("allow"), "PUT");
        world.saw_nothing();
    });
}

/// Below rules that allow encoded slashes, so that only what stands beside them can be the reason.
const AMBIGUOUS: &[&str] = &[
    "/packages/..%2fsecret",
    "/packages/..%2Fsecret",
    "/packages/%2e%2e%2fsecret",
    "/packages/a%2f..",
    "/packages/a%2F..%2Fb",
    "/packages/a%2f%2e%2E/b",
    "/packages/.%2fa",
    "/packages/a%2F.",
    "/packages/a%2f%2e",
    "/packages/%2fa",
    "/packages/a%2f",
    "/packages/a%2F/b",
    "/packages/a%2f%2Fb",
    "/packages/a%252fb",
    "/packages/a%25%32fb",
    "/packages/a%5cb",
    "/packages/a%2F%5c..%2Fb",
    "/packages/a%2f;b",
    "/packages/a%2f%00",
    "/packages/a%c0%afb",
    "/packages/a%u002fb",
];

#[test]
fn what_stands_beside_an_encoded_slash_is_held_to_what_stands_beside_a_slash() {
    story(async {
        let world = registry().await;
        for target in AMBIGUOUS {
            let answer = world.gateway.raw(world.gateway.bytes("GET", target, &[])).await;
            answer.unwrap_or_else(|| panic!("no answer: {target}")).refused(400, "bad_path");
        }
        world.saw_nothing();
    });
}

#[test]
fn a_rule_whose_paths_are_anothers_once_decoded_is_warned_about() {
    story(async {
        let world = registry().await;
        let warning = "rule 8 (GET /projects/{id}): encoded_slashes is allow";
        let example =
            "\"/projects/x%2Fsecrets\" for one of rule 11 (\"get /projects/{group}/secrets\")";
        let line = world.gateway.await_message(warning).await;
        assert!(line["message"].as_str().unwrap().contains(example), "{line}");
        let (status, output) = world.plan.check().await;
        assert!(
            status.success() && output.contains(warning) && output.contains(example),
            "{output}"
        );

        let rules =
            json!([{"path": "/@scope%2Fname", "method": "GET", "feature": "authenticated"}]);
        let (status, output) = world.plan.clone().rules(&rules).check().await;
        assert_eq!(status.code(), Some(78), "{output}");
        assert!(
            output.contains("has an encoded slash (expected only beside encoded_slashes"),
            "{output}"
        );
    });
}
