//! Every way in which a request is turned away: one word, the same in the body, the log, the metric.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use serde_json::json;

use crate::support::world::ORIGIN;
use crate::support::{Mint, SOON, World, eventually, issuer, story};

struct Case {
    request: String,
    status: u16,
    reason: &'static str,
}

/// `GET target` with these headers is refused for this reason.
struct Table<'a> {
    world: &'a World,
    cases: Vec<Case>,
}

impl<'a> Table<'a> {
    fn get(&mut self, target: &str, headers: &[(&str, &str)], status: u16, reason: &'static str) {
        let headers = [&[("Origin", ORIGIN)], headers].concat();
        let request = self.world.gateway.bytes("GET", target, &headers);
        self.cases.push(Case { request, status, reason });
    }

    fn bearer(&mut self, target: &str, token: &str, status: u16, reason: &'static str) {
        self.get(target, &[("Authorization", &format!("Bearer {token}"))], status, reason);
    }

    /// Everything that one request is refused for, whoever sent others before it.
    async fn of(world: &'a World) -> Vec<Case> {
        let (user, stranger) = (world.viewer("ann").await, issuer::start().await);
        let mut table = Table { world, cases: Vec::new() };
        messages(&mut table, &world.token(&user).jwt());
        tokens(&mut table, &user, &stranger.token(&user).jwt());
        permissions(&mut table, &user);
        table.cases
    }
}

fn messages(table: &mut Table<'_>, token: &str) {
    let bearer = format!("Bearer {token}");
    table.get("/public/../api", &[], 400, "bad_path");
    table.bearer("/features/a%20b", token, 400, "bad_object");
    let both = [("Content-Length", "3"), ("Transfer-Encoding", "chunked")];
    table.get("/public/a", &both, 400, "bad_request");
    let two = [("Authorization", bearer.as_str()), ("Authorization", bearer.as_str())];
    table.get("/api/report", &two, 400, "conflicting_credentials");
    table.get("/public/a", &[("Content-Length", "1048577")], 413, "body_too_large");
    table.get(&format!("/public/{}", "a".repeat(8_192)), &[], 414, "uri_too_long");
    table.get("/public/a", &[("X-Large", &"a".repeat(33_000))], 431, "headers_too_large");
    table.get("/public/a", &[("Via", "1.1 auth-gateway")], 508, "loop");
}

fn tokens(table: &mut Table<'_>, user: &str, stranger: &str) {
    let world = table.world;
    let (token, report) = (|| world.token(user), "/api/report");
    table.get(report, &[], 401, "missing_token");
    table.get(report, &[("Authorization", "Basic YTpi")], 401, "missing_token");
    table.bearer(report, "a.b", 401, "malformed_token");
    table.bearer(report, &token().claim("sub", "a b").jwt(), 401, "malformed_token");
    table.bearer(report, &token().claim("sub", "*").jwt(), 401, "malformed_token");
    let mut forged = crate::support::attack::Parts::of(&token().jwt());
    forged.signature[9] ^= 1;
    table.bearer(report, &forged.token(), 401, "bad_signature");
    table.bearer(report, &token().kid("no such key").jwt(), 401, "unknown_key");
    table.bearer(report, &token().header("alg", "HS256").jwt(), 401, "algorithm_not_allowed");
    table.bearer(report, stranger, 401, "wrong_issuer");
    table.bearer(report, &token().audience(["other"]).jwt(), 401, "wrong_audience");
    table.bearer(report, &token().without("aud").jwt(), 401, "wrong_audience");
    table.bearer(report, &token().expired().jwt(), 401, "expired");
    table.bearer(report, &token().not_yet_valid().jwt(), 401, "not_yet_valid");
    table.bearer(report, &world.issuer.id_token(user).jwt(), 401, "wrong_token_kind");
    table.bearer(report, &world.issuer.logout_token(user).jwt(), 401, "wrong_token_kind");
    let bound = token().claim("cnf", json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}));
    table.bearer(report, &bound.jwt(), 401, "wrong_token_kind");
    table.bearer(report, "made-up-opaque-token", 401, "inactive");
}

fn permissions(table: &mut Table<'_>, user: &str) {
    let token = table.world.token(user).jwt();
    table.get("/nowhere", &[], 403, "no_rule");
    table.bearer("/features/other", &token, 403, "denied");
    table.bearer("/admin/panel", &token, 403, "missing_role");
    table.bearer("/scoped/orders", &token, 403, "missing_scope");
    table.get("/stores/x", &[("X-Forwarded-For", "192.0.2.1")], 403, "private_only");
    let request = table.world.gateway.bytes("DELETE", "/api/report", &[("Origin", ORIGIN)]);
    table.cases.push(Case { request, status: 405, reason: "method_not_allowed" });
}

impl Case {
    async fn is_told_in_one_word(&self, world: &World) {
        let counted = async || {
            let labels = [("reason", self.reason)];
            world.gateway.metric("auth_gateway_rejections_total", &labels).await.unwrap_or(0.0)
        };
        let before = counted().await;
        let answer = world.gateway.raw(&self.request).await.expect("an answer");
        answer.refused(self.status, self.reason);
        assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
        let id = answer.json()["request_id"].clone();
        let line = world.gateway.await_access(|line| line["request_id"] == id).await;
        assert_eq!((&line["outcome"], &line["status"]), (&json!(self.reason), &json!(self.status)));
        eventually("the refusal is counted", SOON, async || {
            (counted().await > before).then_some(())
        })
        .await;
    }

    /// OpenFGA tells nobody what has reached it; the log tells who was asked.
    async fn reaches_nobody(&self, world: &World) {
        let answer = world.gateway.raw(&self.request).await.expect("an answer");
        assert_eq!((answer.status, answer.reason().as_str()), (self.status, self.reason));
        let id = answer.json()["request_id"].clone();
        let line = world.gateway.await_access(|line| line["request_id"] == id).await;
        assert!(line["upstream"].is_null(), "{line}");
        world.saw_nothing();
    }
}

/// Puts all requests to the test, and fails with the list of those that do not stand it; why not is
/// told row by row before.
async fn all_stand(world: &World, test: impl AsyncFn(&Case)) {
    let mut failed = Vec::new();
    for case in Table::of(world).await {
        if AssertUnwindSafe(test(&case)).catch_unwind().await.is_err() {
            let shown: String = case.request.chars().take(200).collect();
            failed.push(format!("{} {}: {shown}", case.status, case.reason));
        }
    }
    assert!(failed.is_empty(), "{} rows fail\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn every_refusal_has_one_word_in_body_log_and_metric() {
    story(async {
        let world = World::lease().await;
        all_stand(&world, async |case| case.is_told_in_one_word(&world).await).await;
        world.saw_nothing();
    });
}

#[test]
fn a_refused_request_never_reaches_an_upstream() {
    story(async {
        let world = World::lease().await;
        all_stand(&world, async |case| case.reaches_nobody(&world).await).await;
        // What cannot be reached at all would see nothing either.
        world.gateway.get("/public/page").send().await.is(200);
        world.upstream.only_request();
    });
}

/// Nobody should have to decode a token at three in the morning.
#[test]
fn the_log_tells_what_a_refused_token_says_and_what_would_do() {
    story(async {
        let world = World::lease().await;
        let user = World::user("ann");
        let (token, project) = (|| world.token(&user), &world.issuer.settings().project);
        let kid = world.issuer.active_kid().unwrap();
        for (credential, told) in [
            (
                token().audience(["a\nb"]).jwt(),
                format!(r"token says aud 'a\nb'; accepted: '{project}'"),
            ),
            (
                token().kid("old").jwt(),
                format!("token says kid 'old', alg 'RS256'; the issuer's keys: '{kid}'"),
            ),
            (token().not_yet_valid().jwt(), "token says it starts in 8".to_owned()),
            (token().not_yet_valid().opaque_token(), "token says it starts in 8".to_owned()),
            (
                token().claim("token_type", "DPoP").opaque_token(),
                "token shows its kind in its claims: 'token_type'".to_owned(),
            ),
        ] {
            let answer = world.gateway.get("/api/report").bearer(&credential).send().await;
            let id = answer.is(401).json()["request_id"].clone();
            let line = world.gateway.await_log(|line| {
                line["message"] == "JWT validation failed" && line["request_id"] == id
            });
            let line = line.await;
            assert!(
                line["detail"].as_str().is_some_and(|detail| detail.starts_with(&told)),
                "{line}"
            );
        }
        world.saw_nothing();
    });
}

#[test]
fn a_refusal_reveals_nothing_about_what_lies_behind() {
    story(async {
        let world = World::lease().await;
        let token = world.token("somebody").jwt();
        let answers = [
            world.gateway.get("/api/report").bearer(&token).send().await,
            world.gateway.get("/api/report").bearer("x.y.z").send().await,
            world.gateway.get("/nowhere").send().await,
        ];
        for answer in answers {
            let all = format!("{:?} {}", answer.headers, answer.text()).to_ascii_lowercase();
            let secret = [
                world.store.to_ascii_lowercase(),
                world.openfga.authority(),
                world.upstream.authority(),
                "report_viewer".into(),
                "pingora".into(),
            ];
            for word in secret {
                assert!(!all.contains(&word), "{word} in {all}");
            }
        }
        world.saw_nothing();
    });
}

#[test]
fn a_refusal_keeps_the_connection_for_the_next_request() {
    story(async {
        let world = World::lease().await;
        let mut wire = world.gateway.connect().await;
        for _ in 0..3 {
            wire.send(world.gateway.bytes("GET", "/api/report", &[])).await;
            wire.reply("GET").await.unwrap().refused(401, "missing_token");
        }
        wire.send(world.gateway.bytes("GET", "/public/page", &[])).await;
        wire.reply("GET").await.unwrap().is(200);
        assert_eq!(world.upstream.take_requests().len(), 1);
    });
}

#[test]
fn claims_that_a_rule_asks_for_open_it() {
    story(async {
        let world = World::lease().await;
        let user = World::user("ann");
        let admin = world.token(&user).roles(["admin", "editor"]);
        world.gateway.get("/admin/panel").bearer(admin).send().await.is(200);
        // The documentation of ZITADEL prints the claim inside an array.
        let role = json!([{"admin": {"212345678901234567": "example.localhost"}}]);
        let claim =
            format!("urn:zitadel:iam:org:project:{}:roles", world.issuer.settings().project);
        let wrapped = world.token(&user).claim(&claim, role);
        world.gateway.get("/admin/panel").bearer(wrapped).send().await.is(200);
        let scoped = world.token(&user).claim("scope", "openid orders.read");
        world.gateway.get("/scoped/orders").bearer(scoped).send().await.is(200);
        assert_eq!(world.upstream.take_requests().len(), 3);

        let other = world.token(&user).roles(["editor"]);
        let refused = world.gateway.get("/admin/panel").bearer(other).send().await;
        refused.refused(403, "missing_role");
        let longer = world.token(&user).claim("scope", "orders.read.all");
        let refused = world.gateway.get("/scoped/orders").bearer(longer).send().await;
        refused.refused(403, "missing_scope");
        world.saw_nothing();
    });
}

#[test]
fn opaque_tokens_and_personal_access_tokens_are_introspected() {
    story(async {
        let world = World::lease().await;
        let user = world.viewer("ann").await;
        let get = |token: &str| world.gateway.get("/api/report").bearer(token).send();

        let opaque = world.token(&user).opaque_token();
        get(&opaque).await.is(200);
        assert_eq!(world.upstream.only_request().headers_named("x-user-id"), [user.as_str()]);
        let before = world.issuer.hits().introspection;
        get(&opaque).await.is(200);
        assert_eq!(world.issuer.hits().introspection, before, "an active answer is remembered");
        get(&world.token(&user).pat()).await.is(200);
        world.upstream.take_requests();

        let others = world.token(&user).audience(["other"]).opaque_token();
        get(&others).await.refused(401, "inactive");
        let expired = world.token(&user).expired().opaque_token();
        get(&expired).await.refused(401, "inactive");
        world.saw_nothing();
    });
}

#[test]
fn limits_refuse_by_principal_and_by_address() {
    story(async {
        let limits = World::build().env("PRINCIPAL_LIMIT", "2").env("CLIENT_LIMIT", "8");
        let world = limits.start().await;
        let status = async |token: &str| world.gateway.get("/me/page").bearer(token).send().await;
        let refused = |reply: &crate::support::reply::Reply| (reply.status, reply.reason());

        // A window may end anywhere in between, so only what cannot be is asserted: more than twice
        // the limit in a row.
        let token = world.token("ann").jwt();
        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.push(status(&token).await);
        }
        let limited = seen.iter().find(|reply| reply.status == 429).expect("a limit of two");
        limited.refused(429, "principal_limited");
        assert!(seen[..2].iter().all(|reply| reply.status == 200), "{seen:?}");

        world.gateway.change_client();
        let mut last = Vec::new();
        for user in 0..17 {
            last.push(refused(&status(&world.token(&format!("user-{user}")).jwt()).await));
        }
        assert!(last.contains(&(429, "client_limited".into())), "{last:?}");
        // Somebody at another address is not concerned.
        world.gateway.change_client();
        status(&world.token("zoe").jwt()).await.is(200);
    });
}

#[test]
fn a_permission_that_is_taken_back_ends_with_its_time_in_the_cache() {
    story(async {
        let world = World::build().set("openfga.allow_ttl", "100ms").start().await;
        let user = world.viewer("ann").await;
        let token = world.token(&user).jwt();
        let get = || world.gateway.get("/api/report").bearer(&token).send();
        get().await.is(200);
        world.revoke(&user, "feature:report_viewer").await;
        eventually("the user is refused", SOON, async || (get().await.status == 403).then_some(()))
            .await;
        world.upstream.take_requests();
        get().await.refused(403, "denied");
        world.saw_nothing();
    });
}
