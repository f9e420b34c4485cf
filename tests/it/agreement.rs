//! What `check` lets pass, `run` starts with; what `run` refuses, `check` has told.

use std::process::ExitStatus;

use crate::support::gateway::Plan;
use crate::support::world::{guide_rules, nowhere};
use crate::support::{World, story};

/// `EX_CONFIG` of sysexits.h.
const CONFIGURATION_ERROR: i32 = 78;

fn is_refused((status, output): &(ExitStatus, String), key: &str) -> bool {
    status.code() == Some(CONFIGURATION_ERROR) && output.contains(key)
}

#[test]
fn check_and_run_refuse_the_same() {
    let variables = [
        ("OPENFGA_URL", "http://openfga/?store=1", "openfga.url"),
        ("OPENFGA_URL", "http://open fga", "openfga.url"),
        ("OPENFGA_STORE_ID", "a b", "openfga.store_id"),
        ("OPENFGA_API_TOKEN", "geheim\ngeheim", "openfga.api_token"),
        ("OPENFGA_API_TOKEN", "gehéim", "openfga.api_token"),
        ("ADMIN_TOKEN", "geheim\rgeheim", "admin.token"),
        ("ADMIN_TOKEN", "geheim ", "admin.token"),
        ("ZITADEL_ISSUER_URL", "http://issuer/?a", "issuers[0].url"),
        ("ZITADEL_ISSUER_URL", "http://issuer\n/", "issuers[0].url"),
        ("ZITADEL_API_URL", "http://zitadel/ui", "upstreams.zitadel.url"),
        ("ZITADEL_CLIENT_ID", "geheim", "introspection.client_secret"),
        ("ZITADEL_CLIENT_SECRET", "geheim", "introspection.client_id"),
        ("UPSTREAM_URL", "http://app/#geheim", "upstreams.app.url"),
        ("REDIS_URL", "redis://redis/geheim", "redis.url"),
        ("REDIS_URL", "http://redis/", "redis.url"),
        ("ALLOWED_ORIGINS", "app.example.com", "cors.allowed_origins"),
        ("TRUSTED_PROXIES", "proxy", "server.trusted_proxies"),
        ("PRIVATE_HOSTS", "a:b", "server.private_hosts"),
        ("CLIENT_LIMIT", "0", "limits.client.limit"),
        ("PRINCIPAL_LIMIT", "1000000001", "limits.principal.limit"),
        ("LOG_LEVEL", "loud", "log.level"),
    ];
    let settings = [
        ("server.name", "a b", "server.name"),
        ("authz.model_file", "a\nb", "authz.model_file"),
        ("credentials.sources", "header", "credentials.sources"),
        ("rules.default_relation", "a#b", "rule"),
        ("limits.client.window", "90ms", "limits.client.window"),
        ("upstreams.app.host", "a/b", "upstreams.app.host"),
    ];
    let plans = variables.map(|(name, value, key)| (nowhere().env(name, value), value, key));
    let set = settings.map(|(name, value, key)| (nowhere().set(name, value), value, key));
    story(async {
        let mut wrong = Vec::new();
        for (plan, value, key) in plans.into_iter().chain(set) {
            for told in [plan.check().await, plan.run_to_the_end().await] {
                if !is_refused(&told, key) || told.1.contains("geheim\n") {
                    wrong.push(format!("{key} {value:?}: {}\n{}", told.0, told.1));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_line() {
    story(async {
        let plan = nowhere().set("server.lisen", "127.0.0.1:1").env("CLIENT_LIMIT", "none");
        for (_, output) in [plan.check().await, plan.run_to_the_end().await] {
            let told = "/gateway.yaml:2:3: server.lisen: unknown key; did you mean \"listen\"?";
            assert!(output.contains(told), "{output}");
            assert!(output.contains(" (from CLIENT_LIMIT)"), "{output}");
        }
    });
}

#[test]
fn whoever_has_configured_nothing_is_told_what_and_where_to_look_first() {
    story(async {
        let nothing = Plan::new(&guide_rules());
        for (status, output) in [nothing.check().await, nothing.run_to_the_end().await] {
            assert_eq!(status.code(), Some(CONFIGURATION_ERROR), "{output}");
            assert_eq!(output.lines().count(), 2, "{output}");
            assert!(output.contains("UPSTREAM_URL") && output.contains("auth-gateway dev"));
        }
    });
}

#[test]
fn a_line_break_behind_a_secret_is_its_file_s() {
    story(async {
        let plan = nowhere().env("OPENFGA_API_TOKEN", "key\n").env("ADMIN_TOKEN", "token\r\n");
        let (status, output) = plan.check().await;
        assert!(status.success(), "{output}");
        let world = World::build().env("OPENFGA_API_TOKEN", "key\n").start().await;
        let ann = world.viewer("ann").await;
        let answer = world.gateway.get("/api/report").bearer(world.token(&ann)).send().await;
        assert_eq!(answer.status, 200);
    });
}

#[test]
fn a_limit_that_is_off_limits_nobody() {
    story(async {
        let world = World::build().env("PRINCIPAL_LIMIT", "off").env("CLIENT_LIMIT", "off");
        let world = world.start().await;
        let ann = world.viewer("ann").await;
        for _ in 0..150 {
            let answer = world.gateway.get("/api/report").bearer(world.token(&ann)).send().await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("ratelimit-policy"), "");
        }
    });
}
