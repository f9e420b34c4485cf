//! `auth-gateway token`: what an operator is told about one token.

use auth_gateway::dev::issuer::Fault;
use serde_json::{Value, json};

use crate::support::gateway::Plan;
use crate::support::{Mint, World, story};

/// The verdict in words, with the exit status that goes with it.
async fn inspect(plan: &Plan, words: &[&str], token: &str) -> (Option<i32>, Value) {
    let (status, said, errors) =
        plan.pipe(&[&["token", "-", "--json"], words].concat(), token).await;
    assert!(errors.is_empty(), "{errors}");
    for part in token.split('.').filter(|part| part.len() > 20) {
        assert!(!said.contains(part), "a part of the token was printed");
    }
    (status, serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}")))
}

fn member<'a>(report: &'a Value, name: &str) -> &'a Value {
    let members = report["members"].as_array().unwrap();
    members.iter().find(|member| member["name"] == name).unwrap_or_else(|| panic!("{report}"))
}

fn misfits(report: &Value) -> Vec<&str> {
    let members = report["members"].as_array().unwrap().iter();
    let misfits = members.filter(|member| member["fits"] == false);
    misfits.map(|member| member["name"].as_str().unwrap()).collect()
}

#[test]
fn a_good_token_is_told_claim_by_claim() {
    story(async {
        let world = World::build().without_redis();
        let services = world.services().await;
        let plan = world.plan(&services);
        let project = services.issuer.settings().project.clone();
        let token = services.issuer.token("ann").roles(["admin"]).jwt();
        let (status, report) = inspect(&plan, &[], &format!("Bearer {token}\n")).await;
        assert_eq!(status, Some(0), "{report}");
        assert_eq!((&report["verdict"], &report["kind"]), (&json!("verified"), &json!("jwt")));
        let roles = json!([format!("{project}:admin"), "admin"]);
        assert_eq!((&report["user"], &report["roles"]), (&json!("user:ann"), &roles));
        assert!(misfits(&report).is_empty(), "{report}");
        let kid = services.issuer.active_kid().unwrap();
        assert_eq!(member(&report, "kid")["found"], kid);
        assert!(member(&report, "kid")["wanted"].as_str().unwrap().contains(&kid));
        assert_eq!(member(&report, "iss")["wanted"], format!("exactly {}", services.issuer.url()));
        assert_eq!(member(&report, "aud")["wanted"], format!("one of {project}"));
        assert_eq!(member(&report, "sub")["meaning"], "who calls: user:ann to OpenFGA");
        assert!(
            member(&report, "exp")["meaning"].as_str().unwrap().contains(", in 11 h"),
            "{report}"
        );
        assert!(member(&report, "iat")["wanted"].as_str().unwrap().contains("30 s of skew"));
        assert_eq!(member(&report, "signature")["found"], "verifies");

        let (status, text, _) = plan.pipe(&["token", "-"], &token).await;
        assert_eq!(status, Some(0), "{text}");
        let verified = format!("verified    user:ann of {}", services.issuer.url());
        assert!(text.contains(&verified) && text.contains(":admin, admin"), "{text}");
        assert!(!text.contains("eyJ") && !text.contains(token.rsplit('.').next().unwrap()));
        services.upstream.saw_nothing();
    });
}

#[test]
fn a_bad_token_gets_the_word_that_a_request_would_get() {
    story(async {
        let world = World::build().without_redis().start().await;
        let token = || world.token("ann");
        let signature = token().jwt();
        let (message, _) = signature.rsplit_once('.').unwrap();
        let forged =
            format!("{message}.{}", token().claim("x", 1).jwt().rsplit_once('.').unwrap().1);
        for (token, misfit) in [
            (token().expired().jwt(), "exp"),
            (token().not_yet_valid().jwt(), "nbf"),
            (token().audience(["somebody"]).jwt(), "aud"),
            (token().claim("iss", "https://other.example").jwt(), "iss"),
            (token().claim("sub", "a b").jwt(), "sub"),
            (token().without("exp").jwt(), "exp"),
            (token().claim("nonce", "n").jwt(), "nonce"),
            (world.issuer.id_token("ann").jwt(), "nonce"),
            (token().claim("cnf", json!({"jkt": "x"})).jwt(), "cnf"),
            (token().kid("unknown").jwt(), "kid"),
            (forged, "signature"),
        ] {
            let refused = world.gateway.get("/me/page").bearer(&token).send().await;
            let (status, report) = inspect(&world.plan, &[], &token).await;
            assert_eq!((status, &report["verdict"]), (Some(1), &json!("refused")), "{report}");
            let body: Value = serde_json::from_str(&refused.text()).unwrap();
            assert_eq!(report["reason"], body["reason"], "{misfit}: {report}");
            assert_eq!(report["status"], refused.status, "{misfit}: {report}");
            assert!(misfits(&report).contains(&misfit), "{misfit}: {report}");
            let known = ["unknown", "signature"].contains(&misfit);
            assert!(known || report["detail"].is_string(), "{misfit}: {report}");
        }
        for nonsense in ["", "a.b", "not a token", "eyJ.x.y"] {
            let (status, report) = inspect(&world.plan, &[], nonsense).await;
            assert_eq!(
                (status, &report["reason"]),
                (Some(1), &json!("malformed_token")),
                "{report}"
            );
        }
        world.saw_nothing();
    });
}

#[test]
fn an_opaque_token_is_asked_about() {
    story(async {
        let world = World::build().without_redis();
        let services = world.services().await;
        let plan = world.plan(&services);
        let token = services.issuer.token("ann").opaque_token();
        let (status, report) = inspect(&plan, &[], &token).await;
        assert_eq!((status, &report["user"]), (Some(0), &json!("user:ann")), "{report}");
        assert_eq!(
            (&report["kind"], &member(&report, "active")["fits"]),
            (&json!("opaque"), &json!(true))
        );

        services.issuer.revoke(&token);
        let (status, report) = inspect(&plan, &[], &token).await;
        assert_eq!((status, &report["reason"]), (Some(1), &json!("inactive")), "{report}");
        services.issuer.set_fault(Fault::Status(500));
        let (status, report) = inspect(&plan, &[], &token).await;
        assert_eq!((status, &report["verdict"]), (Some(1), &json!("undecided")), "{report}");
        assert_eq!(report["reason"], "introspection_unavailable");
        assert!(report["detail"].as_str().unwrap().contains("500"), "{report}");

        let without = plan.clone().env("ZITADEL_CLIENT_ID", "").env("ZITADEL_CLIENT_SECRET", "");
        let (status, report) = inspect(&without, &[], &token).await;
        assert_eq!((status, &report["reason"]), (Some(1), &json!("malformed_token")), "{report}");
        assert!(report["detail"].as_str().unwrap().contains("ZITADEL_CLIENT_ID"), "{report}");
    });
}

#[test]
fn without_the_issuer_nobody_can_say_unless_its_keys_are_at_hand() {
    story(async {
        let world = World::build().without_redis();
        let services = world.services().await;
        let plan = world.plan(&services);
        let (token, keys) = (services.issuer.token("ann").jwt(), services.issuer.key_set());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.json");
        std::fs::write(&file, keys.to_string()).unwrap();
        let file = file.to_str().unwrap();
        services.issuer.down().await;
        let (status, report) = inspect(&plan, &[], &token).await;
        assert_eq!((status, &report["verdict"]), (Some(1), &json!("undecided")), "{report}");
        assert_eq!(report["reason"], "keys_unavailable");
        assert!(report["detail"].as_str().unwrap().contains(services.issuer.url()), "{report}");

        let (status, report) = inspect(&plan, &["--keys", file], &token).await;
        assert_eq!((status, &report["verdict"]), (Some(0), &json!("verified")), "{report}");
        std::fs::write(file, r#"{"keys": []}"#).unwrap();
        let (status, _, said) = plan.pipe(&["token", "-", "--keys", file], &token).await;
        assert_eq!(status, Some(78), "{said}");
        assert!(said.contains(file), "{said}");
    });
}

#[test]
fn a_token_is_taken_from_standard_input_or_a_file_only() {
    story(async {
        let world = World::build().without_redis();
        let services = world.services().await;
        let plan = world.plan(&services);
        let token = services.issuer.token("ann").jwt();
        let (status, printed, said) = plan.pipe(&["token", &token], "").await;
        assert_eq!((status, &*printed), (Some(2), ""), "{said}");
        assert!(said.contains("@FILE") && !said.contains("eyJ"), "{said}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let at_file = format!("@{}", file.display());
        let (status, _, said) = plan.pipe(&["token", &at_file], "").await;
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains(file.to_str().unwrap()), "{said}");
        std::fs::write(&file, &token).unwrap();
        assert_eq!(plan.pipe(&["token", &at_file], "").await.0, Some(0));
        let (status, _, said) =
            plan.without_env("OPENFGA_URL").pipe(&["token", &at_file], "").await;
        assert_eq!(status, Some(78), "{said}");
    });
}
