//! Start, stop, and what the gateway says about itself.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::gateway::Gateway;
use crate::support::process::free_port;
use crate::support::upstream::Answer;
use crate::support::world::{guide_rules, nowhere, story_rules};
use crate::support::{Mint, SOON, World, eventually, sockets, story};

/// What Kubernetes waits before it kills is 30 s.
const EXIT: Duration = Duration::from_secs(20);
/// `EX_CONFIG` of sysexits.h.
const CONFIGURATION_ERROR: i32 = 78;

#[test]
fn a_terminated_gateway_finishes_what_it_began() {
    story(async {
        let world = World::start().await;
        world.upstream.hold();
        let under_way = tokio::spawn(world.gateway.get("/public/page").send());
        world.upstream.await_request(|_| true).await;
        world.gateway.terminate();
        eventually("/health is 503, or nobody listens", SOON, async || {
            match world.gateway.get("/health").try_send().await {
                Ok(answer) => (answer.status == 503).then_some(()),
                Err(error) => error.is_connect().then_some(()),
            }
        })
        .await;
        assert!(!world.gateway.has_exited());
        world.upstream.release();
        under_way.await.unwrap().is(200);
        assert_eq!(world.gateway.exit(EXIT).await.code(), Some(0));
    });
}

#[test]
fn an_idle_gateway_ends_at_once() {
    story(async {
        let world = World::start().await;
        world.gateway.get("/public/page").send().await.is(200);
        world.gateway.terminate();
        assert_eq!(world.gateway.exit(EXIT).await.code(), Some(0));
        assert!(world.gateway.get("/health").try_send().await.is_err());
    });
}

#[test]
fn output_that_nobody_reads_delays_neither_requests_nor_the_end() {
    story(async {
        let world = World::build();
        let services = world.services().await;
        let gateway = Gateway::start_unread(&world.plan(&services)).await;
        // Ten times what a pipe holds.
        let line = "x".repeat(1_000);
        for _ in 0..700 {
            gateway.get(&format!("/nowhere/{line}")).send().await.refused(403, "no_rule");
        }
        gateway.terminate();
        assert_eq!(gateway.exit(EXIT).await.code(), Some(0));
        services.upstream.saw_nothing();
    });
}

#[test]
fn load_through_a_rolling_restart_loses_nothing() {
    story(async {
        let world = World::build().env("CLIENT_LIMIT", "1000000").start().await;
        let second = world.another_gateway().await;
        // As a load balancer: new requests go to the first gateway for as long as it is healthy.
        let mut on_first = 0;
        for number in 0..200 {
            if number == 50 {
                world.gateway.terminate();
            }
            let health = world.gateway.get("/health").try_send().await;
            let gateway =
                if health.is_ok_and(|h| h.status == 200) { &world.gateway } else { &second };
            if std::ptr::eq(gateway, &raw const world.gateway) {
                on_first += 1;
            }
            gateway.get("/public/page").send().await.is(200);
        }
        assert!((50..200).contains(&on_first), "{on_first}");
    });
}

#[test]
fn only_the_configured_ports_are_open() {
    story(async {
        let world = World::lease().await;
        let gateway = &world.gateway;
        let open = sockets::listening_ports(gateway.pid());
        assert_eq!(open, BTreeSet::from([gateway.port(), gateway.admin_port()]));
    });
}

#[test]
fn a_good_set_up_checks_out() {
    story(async {
        let world = World::build();
        let services = world.services().await;
        let (status, output) = world.plan(&services).check().await;
        assert_eq!(status.code(), Some(0), "{output}");
        assert!(output.contains("/api/*path"), "{output}");
        let secret = &services.issuer.settings().client_secret;
        assert!(!output.contains(secret), "a secret was printed");
    });
}

#[test]
fn a_check_tells_what_was_understood() {
    story(async {
        let rules = json!([
            {"path": "/plain", "method": "GET", "feature": "x"},
            {
                "path": "/a", "method": "GET", "feature": "x", "roles": ["r1", "r2"],
                "scopes": ["s1", "s2"], "audience": "aud", "rate_limit": "tenant",
                "timeout": "500ms", "id": "named", "consistency": "higher",
                "on_unavailable": "allow"
            },
            {
                "path": "/stores", "method": "GET", "feature": "public_access",
                "target": "openfga", "expose_openfga": true
            }
        ]);
        let plan = nowhere()
            .rules(&rules)
            .set("limits.tenant.key", "header:X-Tenant")
            .set("limits.tenant.limit", 5)
            .set("limits.tenant.window", "60s");
        let (status, output) = plan.check().await;
        assert_eq!(status.code(), Some(0), "{output}");
        for line in [
            "    0  GET /plain: viewer of feature:x -> app",
            "    1  GET /a: viewer of feature:x -> app; roles r1 or r2; scopes s1 and s2; \
             audience aud; rate_limit tenant; timeout 500ms; consistency higher; \
             on_unavailable allow; id named",
            "    2  GET /stores: public -> openfga; expose_openfga true",
            "limit       client: 6000 per 60s by client_ip",
            "limit       tenant: 5 per 60s by header:x-tenant",
            "0 errors, 4 warnings",
        ] {
            assert!(output.lines().any(|l| l == line), "{line} is missing in: {output}");
        }
        for warning in [
            "/gateway.yaml: warning: issuers[0].audience: tokens of http://127.0.0.1:9 are accepted \
             for any audience; name the project's id in issuers[].audience (ZITADEL_AUDIENCE)",
            ": warning: rule 1 \"named\" (GET /a): on_unavailable is allow",
        ] {
            assert!(output.contains(warning), "{warning} is missing in: {output}");
        }
    });
}

#[test]
fn every_error_is_told_at_once() {
    story(async {
        let rules = json!([
            {"path": "no-slash", "method": "GET", "feature": "x"},
            {"path": "/a", "method": "GET", "feature": "x", "surprise": true},
            {"path": "/b", "method": "G T", "feature": "x"},
            {"path": "/c", "method": "GET", "feature": "x", "target": "nobody"},
            {"path": "/d", "method": "GET", "feature": "x"},
            {"path": "/d", "method": "GET", "feature": "y"}
        ]);
        let (status, output) = nowhere().rules(&rules).check().await;
        assert_eq!(status.code(), Some(CONFIGURATION_ERROR), "{output}");
        for word in ["no-slash", "surprise", "G T", "nobody", "/d"] {
            assert!(output.contains(word), "{word} is missing in: {output}");
        }

        let broken = nowhere()
            .env("UPSTREAM_URL", "ftp://app")
            .env("PRINCIPAL_LIMIT", "many")
            .without_env("OPENFGA_URL");
        for (status, output) in [broken.check().await, broken.run_to_the_end().await] {
            assert_eq!(status.code(), Some(CONFIGURATION_ERROR), "{output}");
            for word in
                ["OPENFGA_URL", "openfga.url", "upstreams.app.url", "limits.principal.limit"]
            {
                assert!(output.contains(word), "{word} is missing in: {output}");
            }
        }
    });
}

#[test]
fn unknown_keys_are_errors() {
    story(async {
        let (status, output) = nowhere().set("server.surprise", 1).check().await;
        assert_eq!(status.code(), Some(CONFIGURATION_ERROR), "{output}");
        assert!(output.contains("surprise"), "{output}");
    });
}

#[test]
fn errors_name_the_file_they_are_in() {
    story(async {
        let (status, output) = nowhere().rules_text("[{").run_to_the_end().await;
        assert_eq!(status.code(), Some(CONFIGURATION_ERROR), "{output}");
        assert!(output.contains("the rules are not usable:\n  /"), "{output}");
        assert!(output.contains("/access_rules.json:1:2: the file is not valid JSON"), "{output}");

        let (_, output) = nowhere().rules_file(Path::new("absent.json")).check().await;
        assert!(output.contains("the rules are not usable:\n  /"), "{output}");
        let cause = "/absent.json: rules.file (--rules): cannot be read: No such file";
        assert!(output.contains(cause), "{output}");

        let two = json!([{"path": "/a"}, {"path": "/b"}]);
        let (_, output) = nowhere().rules(&two).check().await;
        assert!(output.contains("/access_rules.json:1:2: rule 0 (/a): method is"), "{output}");
        assert!(output.contains("/access_rules.json:1:16: rule 1 (/b): method is"), "{output}");

        let (_, output) = nowhere().set("server.surprise", 1).check().await;
        assert!(output.contains("the configuration /"), "{output}");
        assert!(output.contains("/gateway.yaml is not usable:"), "{output}");
        let model = nowhere().set("authz.mode", "embedded").set("authz.model_file", "absent.fga");
        let (status, output) = model.check().await;
        assert_eq!(status.code(), Some(CONFIGURATION_ERROR), "{output}");
        assert!(output.contains("the configuration /"), "{output}");
        assert!(output.contains("authz.model_file: /"), "{output}");
    });
}

#[test]
fn run_says_of_wrong_files_what_check_says() {
    story(async {
        let rules = json!([{"path": "/a", "metod": "GET", "feature": "x"}]);
        for plan in [
            nowhere().rules(&rules),
            nowhere().rules_file(Path::new("absent.json")),
            nowhere().set("server.surprise", 1),
            nowhere().set("authz.mode", "embedded").set("authz.model_file", "absent.fga"),
        ] {
            // The files lie in a folder of their own for each process.
            let told = |output: &str| {
                let name = |word: &str| word.rsplit('/').next().unwrap().to_owned();
                let line = |line: &str| line.split(' ').map(name).collect::<Vec<_>>().join(" ");
                output.lines().map(line).collect::<BTreeSet<_>>()
            };
            let (status, checked) = plan.check().await;
            assert_eq!(status.code(), Some(CONFIGURATION_ERROR), "{checked}");
            let (status, ran) = plan.run_to_the_end().await;
            assert_eq!(status.code(), Some(CONFIGURATION_ERROR), "{ran}");
            // It may have logged something before it gave up.
            let (checked, ran) = (told(&checked), told(&ran));
            assert!(ran.is_superset(&checked), "{ran:?} does not say all of {checked:?}");
        }
    });
}

#[test]
fn a_mistake_in_ten_thousand_rules_is_told_on_a_page() {
    story(async {
        let rule = |number| json!({"path": format!("/{number}"), "metod": "GET", "method": "GET", "feature": "x"});
        let rules = (0..10_000).map(rule).collect();
        let (status, output) = nowhere().rules(&rules).check().await;
        assert_eq!(status.code(), Some(CONFIGURATION_ERROR), "{output}");
        assert!(output.len() <= 20_000, "{} bytes", output.len());
        assert!(output.contains("and 9,980 more of the same"), "{output}");
        assert!(output.contains("\n10,000 errors, "), "{output}");
    });
}

#[test]
fn rules_are_checked_beside_a_configuration_that_names_nothing() {
    story(async {
        let rules = json!([
            {"path": "/a", "metod": "GET", "method": "GET", "feature": "x", "target": "billing"},
        ]);
        let (status, told) = nowhere().rules(&rules).set("limits", 7).check_for_machines().await;
        assert_eq!(status.code(), Some(CONFIGURATION_ERROR), "{told}");
        let errors = told["errors"].as_array().unwrap().iter();
        let keys: Vec<_> = errors.map(|error| error["key"].as_str().unwrap()).collect();
        // Whether there is a "billing" nobody can say.
        assert_eq!(keys, ["limits", "rules[0].metod"], "{told}");
    });
}

#[test]
fn check_for_machines_prints_one_document_whatever_is_wrong() {
    story(async {
        let text =
            "\u{feff}[\n  {\"path\": \"/a\", \"metod\": \"GET\", \"feature\": \"Public\"}\n]";
        let plan = nowhere().rules_text(text).set("server.surprise", 1);
        let (status, told) = plan.check_for_machines().await;
        assert_eq!(status.code(), Some(CONFIGURATION_ERROR), "{told}");
        let find = |list: &str, key: &str| {
            let list = told[list].as_array().unwrap().iter();
            let found = list.filter(|found| found["key"] == key).collect::<Vec<_>>();
            assert_eq!(found.len(), 1, "{key} in {told}");
            found[0].clone()
        };
        let unknown = find("errors", "server.surprise");
        assert!(unknown["file"].as_str().unwrap().ends_with("/gateway.yaml"), "{unknown}");
        let metod = find("errors", "rules[0].metod");
        assert!(metod["file"].as_str().unwrap().ends_with("/access_rules.json"), "{metod}");
        assert_eq!((&metod["line"], &metod["column"]), (&json!(2), &json!(18)), "{metod}");
        assert_eq!(metod["message"], "unknown field \"metod\"", "{metod}");
        assert_eq!(metod["suggestion"], "method", "{metod}");
        assert_eq!(find("errors", "rules[0].method")["kind"], "missing");
        assert_eq!(find("warnings", "rules[0].feature")["suggestion"], "public_access");
        assert_eq!(told["summary"]["errors"], 3, "{told}");

        for plan in [
            nowhere().rules_file(Path::new("absent.json")),
            nowhere().rules_text("["),
            nowhere().set("authz.mode", "embedded").set("authz.model_file", "absent.fga"),
            nowhere().without_env("OPENFGA_URL"),
        ] {
            let (status, told) = plan.check_for_machines().await;
            assert_eq!(status.code(), Some(CONFIGURATION_ERROR), "{told}");
            assert!(told["summary"]["errors"].as_u64() >= Some(1), "{told}");
            assert!(told["errors"][0]["message"].is_string(), "{told}");
        }

        let (status, told) = nowhere().check_for_machines().await;
        assert_eq!(status.code(), Some(0), "{told}");
        assert_eq!(told["errors"], json!([]), "{told}");
        assert_eq!(told["summary"]["rules"], guide_rules().as_array().unwrap().len(), "{told}");
        assert_eq!(find_kind(&told, "any_audience")["key"], "issuers[0].audience");
    });
}

fn find_kind(told: &Value, kind: &str) -> Value {
    let mut warnings = told["warnings"].as_array().unwrap().iter();
    warnings.find(|warning| warning["kind"] == kind).unwrap_or_else(|| panic!("{told}")).clone()
}

#[test]
fn a_port_that_is_taken_is_named() {
    story(async {
        let port = free_port();
        let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        let (status, output) = nowhere().port(port).run_to_the_end().await;
        assert!(!status.success(), "{output}");
        assert!(output.contains(&format!("127.0.0.1:{port}")), "{output}");
        assert!(!output.contains("panicked"), "{output}");
    });
}

#[test]
fn no_token_is_ever_written() {
    story(async {
        let world = World::build().env("LOG_LEVEL", "debug").start().await;
        let user = world.viewer("ann").await;
        let (jwt, opaque) = (world.token(&user).jwt(), world.token(&user).opaque_token());
        let paths =
            ["/api/report", "/me/page", "/nowhere", "/features/other", "/management/v1/users"];
        for path in paths {
            for token in [&jwt, &opaque, &world.token(&user).expired().jwt(), &format!("{jwt}x")] {
                let _ = world.gateway.get(path).bearer(token).send().await;
                let _ = world.gateway.get(&format!("{path}?access_token={token}")).send().await;
                let cookie = format!("session={token}");
                let _ = world.gateway.get(path).header("Cookie", &cookie).send().await;
            }
        }
        world.upstream.down().await;
        world.openfga.down();
        world.issuer.down().await;
        for token in [&jwt, &opaque, &world.token("bob").jwt(), &world.token("bob").opaque_token()]
        {
            let query = format!("/public/page?access_token={token}");
            let _ = world.gateway.get(&query).bearer(token).send().await;
            let _ = world.gateway.get("/api/report").bearer(token).send().await;
        }
        world.gateway.await_access(|line| line["outcome"] == "upstream_failed").await;
        world.gateway.terminate();
        world.gateway.exit(EXIT).await;
        let output = world.gateway.output();
        world.gateway.wrote_no_token();
        let secret = &world.issuer.settings().client_secret;
        assert!(!output.contains(secret.as_str()));
    });
}

#[test]
fn messages_that_cannot_be_parsed_are_not_quoted() {
    story(async {
        let world = World::build().env("ADMIN_TOKEN", "s3cr3t-of-the-admin").start().await;
        let bad = "bad header\u{1}: x\r\n\r\n";
        let head =
            "GET /rules HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cr3t-of-the-admin\r\n";
        for port in [world.gateway.admin_port(), world.gateway.port()] {
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(format!("{head}{bad}").as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
        }
        let cookie = "session=s3cr3t-of-the-application";
        let answer = Answer::status(200).with_header("Set-Cookie", cookie);
        world.upstream.answer(answer.with_header("bad header\u{1}", "x"));
        world.gateway.get("/public/page").send().await.refused(502, "upstream_failed");
        let line = world.gateway.await_access(|line| line["status"] == 502).await;
        assert_eq!(line["error"], "Upstream InvalidHTTPHeader: invalid header name", "{line}");
        assert!(!world.gateway.output().contains("s3cr3t"), "{}", world.gateway.output());
    });
}

#[test]
fn every_request_has_one_access_line() {
    story(async {
        let world = World::lease().await;
        let user = world.viewer("ann").await;
        let token = world.token(&user).jwt();
        let admitted = world.gateway.get("/api/report?secret=1").bearer(&token).send().await;
        let id = admitted.is(200).header("x-request-id").to_owned();
        let line = world.gateway.await_access(|line| line["request_id"] == id.as_str()).await;
        assert_eq!((&line["outcome"], &line["path"]), (&json!("admitted"), &json!("/api/report")));
        assert!(line["timestamp"].as_str().is_some_and(|t| t.ends_with('Z')), "{line}");
        assert!(line["user"].as_str().is_some_and(|u| u.contains(&user)), "{line}");
        assert!(!line.to_string().contains("secret"), "{line}");
        let lines = world.gateway.access_lines();
        assert_eq!(lines.iter().filter(|line| line["request_id"] == id.as_str()).count(), 1);
    });
}

#[test]
fn the_admin_listener_tells_how_it_stands() {
    story(async {
        let world = World::build().rules(story_rules()).start().await;
        let get = |path: &str| world.gateway.admin(reqwest::Method::GET, path).send();
        get("/livez").await.is(200);
        get("/readyz").await.is(200);
        assert!(get("/metrics").await.is(200).text().contains("# TYPE auth_gateway_"));
        assert_eq!(get("/nothing").await.status, 404);
    });
}
