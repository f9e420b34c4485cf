use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::rules::{Danger, Methods};

/// The rules of the deployment guide, unchanged.
const GUIDE: &str = r#"[
  {"path": "/api/*path",           "method": "GET", "feature": "feature:report_viewer"},
  {"path": "/management/v1/*path", "method": "*",   "feature": "public_access", "target": "zitadel"},
  {"path": "/stores/*path",        "method": "*",   "feature": "public_access", "target": "openfga"}
]"#;

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn names() -> Names {
    Names {
        default_relation: "viewer".to_owned(),
        default_target: "app".to_owned(),
        targets: set(&["app", "openfga", "zitadel"]),
        limits: set(&["reports"]),
        openfga_targets: set(&["openfga"]),
        zitadel_targets: set(&["zitadel"]),
        any_audience: false,
    }
}

fn parse(file: &Value) -> Result<RuleSet, RuleErrors> {
    RuleSet::parse(file.to_string().as_bytes(), &names())
}

/// A valid rule with one field set or replaced.
fn rule_with(field: &str, value: Value) -> Value {
    let mut rule = json!({"path": "/a/{id}", "method": "GET", "feature": "x"});
    rule[field] = value;
    rule
}

#[track_caller]
fn check_errors(file: &str, expected: &[&str]) {
    let errors = RuleSet::parse(file.as_bytes(), &names()).expect_err("invalid").to_string();
    let lines: Vec<_> = errors.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{errors}");
    for (line, start) in lines.iter().zip(expected) {
        assert!(line.starts_with(start), "{line}\nshould start with\n{start}");
    }
}

#[test]
fn the_deployment_guides_file_loads_unchanged() {
    let rules = RuleSet::parse(GUIDE.as_bytes(), &names()).expect("valid");
    let ids: Vec<_> = rules.rules().iter().map(|rule| rule.id()).collect();
    assert_eq!(ids, ["get /api/*path", "* /management/v1/*path", "* /stores/*path"]);
    let targets: Vec<_> = rules.rules().iter().map(|rule| rule.target()).collect();
    assert_eq!(targets, ["app", "zitadel", "openfga"]);
    let Access::Check(check) = rules.rules()[0].access() else { panic!("a check") };
    assert_eq!(
        (check.relation(), check.object().as_fixed()),
        ("viewer", Some("feature:report_viewer"))
    );
    assert!(rules.rules()[1].is_public() && !rules.rules()[1].is_private_only());
    assert!(rules.rules()[2].is_public() && rules.rules()[2].is_private_only());
    let dangers: Vec<_> = rules.warnings().iter().map(RuleWarning::danger).collect();
    assert_eq!(dangers, [Danger::PublicZitadel, Danger::PublicOpenFga]);
}

#[test]
fn every_field_reaches_the_rule() {
    let rules = parse(&json!([{
        "id": "orders", "path": "/orders/:id", "methods": ["post", "PUT"], "host": "*.Example.com",
        "feature": "orders", "relation": "editor", "object": "order:{id}", "target": "app",
        "roles": ["clerk", "boss"], "scopes": ["write"], "audience": "shop", "rate_limit": "reports",
        "timeout": "1500ms", "consistency": "higher", "on_unavailable": "allow",
        "encoded_slashes": "allow",
    }]))
    .expect("valid");
    let rule = &rules.rules()[0];
    assert_eq!((rule.index(), rule.id()), (0, "orders"));
    assert_eq!(rule.host().map(ToString::to_string).as_deref(), Some("*.example.com"));
    assert_eq!(*rule.methods(), Methods::Listed(Box::new([Method::POST, Method::PUT])));
    assert_eq!(rule.feature(), Some("feature:orders"));
    let Access::Check(check) = rule.access() else { panic!("a check") };
    assert_eq!((check.relation(), check.object().as_str()), ("editor", "order:{id}"));
    assert_eq!(check.object().type_name(), "order");
    assert_eq!(rule.requirements().roles().len(), 2);
    assert_eq!(rule.requirements().scopes(), [Box::<str>::from("write")]);
    assert_eq!(rule.requirements().audience(), [Box::<str>::from("shop")]);
    assert_eq!(rule.limit(), Some("reports"));
    assert_eq!(rule.timeout(), Some(Duration::from_millis(1_500)));
    assert_eq!(rule.consistency(), crate::rules::Consistency::Higher);
    assert!(rule.allows_encoded_slashes());
    assert_eq!(rules.warnings()[0].danger(), Danger::FailsOpen);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    check_errors(
        r#"[
          {"path": "/a/../b", "method": "FETCH ALL", "feature": "x y", "target": "nowhere", "rate_limit": "none",
           "timeout": "5 s", "pth": 1, "roles": "admin", "consistency": "lower", "host": "a:80", "id": ""},
          "rule",
          {},
          {"path": "/ok", "method": "GET", "feature": "x"},
          {"path": "/ok/", "method": "GET", "feature": "x"},
          {"path": "/%6fk", "method": "POST,GET", "feature": "y"},
          {"path": "/x", "path": "/y", "method": "GET", "feature": null},
          {"path": "/z", "method": "GET", "feature": "x", "id": "get /ok"},
          {"path": "/z", "method": "GET", "feature": "x", "timeout": "1d"},
          {"path": "/w", "method": "GET", "feature": "x", "timeout": "1d", "id": "get /ok"},
          {"path": "/v", "method": "GET", "feature": "x", "host": 5},
          {"path": "/v", "method": "GET", "feature": "x"}
        ]"#,
        &[
            r#"rule 0: field "pth": is not a field of a rule (expected one of path, method, methods, host, "#,
            r#"rule 0: field "roles": invalid type: string "admin", expected a sequence"#,
            r#"rule 0: field "consistency": unknown variant `lower`, expected `minimize_latency` or `higher`"#,
            r#"rule 0: field "path": "/a/../b" has a dot segment"#,
            r#"rule 0: field "method": "FETCH ALL" is not an HTTP method (expected "#,
            r#"rule 0: field "host": "a:80" has an invalid port (expected a host without port"#,
            r#"rule 0: field "id": "" is not an id (expected "#,
            r#"rule 0: field "feature": "x y" has a character"#,
            r#"rule 0: field "target": "nowhere" is not defined (expected one of app, openfga, zitadel)"#,
            r#"rule 0: field "rate_limit": "none" is not defined (expected one of reports)"#,
            r#"rule 0: field "timeout": "5 s" is not a duration (expected "#,
            "rule 1: is a string (expected an object)",
            r#"rule 2: field "path": is missing (expected "#,
            r#"rule 2: field "method": is missing (expected "#,
            r#"rule 2: field "feature": is missing (expected "#,
            r#"rule 5: serves GET "/%6fk" on the same hosts as rule 3"#,
            r#"rule 6: field "path": stands twice"#,
            r#"rule 6: field "feature": is null"#,
            r#"rule 7: field "id": "get /ok" is also the id of rule 3"#,
            r#"rule 8: serves GET "/z" on the same hosts as rule 7"#,
            r#"rule 8: field "timeout": "1d" is not a duration"#,
            r#"rule 9: field "id": "get /ok" is also the id of rule 3"#,
            r#"rule 9: field "timeout": "1d" is not a duration"#,
            r#"rule 10: field "host": invalid type: integer `5`, expected a string"#,
        ],
    );
}

#[test]
fn one_wrong_field_is_named() {
    for (field, value) in [
        ("path", json!("api")),
        ("path", json!(["/api"])),
        ("method", json!("")),
        ("method", json!("GET,")),
        ("method", json!("GET,*")),
        ("method", json!("GET POST")),
        ("method", json!(["GET"])),
        ("methods", json!(["GET"])),
        ("host", json!("*")),
        ("host", json!("*.*.example.com")),
        ("host", json!("a*.example.com")),
        ("host", json!("*.127.0.0.1")),
        ("host", json!("https://example.com")),
        ("feature", json!("")),
        ("feature", json!("feature:")),
        ("feature", json!("document:{id}")),
        ("feature", json!("feature:*")),
        ("feature", json!("feature:a#b")),
        ("action", json!("can view")),
        ("action", json!("")),
        ("object", json!("document:{name}")),
        ("object", json!("document")),
        ("target", json!("App")),
        ("rate_limit", json!("")),
        ("timeout", json!("0s")),
        ("timeout", json!("5")),
        ("timeout", json!("s")),
        ("timeout", json!("-1s")),
        ("timeout", json!("2h")),
        ("timeout", json!("99999999999999999999s")),
        ("timeout", json!("9999999999999999999h")),
        ("timeout", json!(5)),
        ("roles", json!([])),
        ("roles", json!([""])),
        ("roles", json!(["a", 5])),
        ("scopes", json!(["a b"])),
        ("scopes", json!(null)),
        ("audience", json!("")),
        ("audience", json!({"a": "b"})),
        ("id", json!("a\nb")),
        ("id", json!("a".repeat(129))),
        ("expose_openfga", json!(true)),
        ("expose_openfga", json!("true")),
        ("encoded_slashes", json!("decode")),
        ("encoded_slashes", json!(true)),
        ("path", json!("/@scope%2fname")),
        ("on_unavailable", json!("maybe")),
        ("context", json!({})),
        ("Path", json!("/b")),
    ] {
        let rule = rule_with(field, value);
        let RuleErrors::Rules(errors) = parse(&json!([rule])).expect_err(field) else {
            panic!("{rule}")
        };
        assert_eq!(errors.len(), 1, "{rule}: {errors:?}");
        assert_eq!(errors[0].field(), Some(field), "{rule}: {errors:?}");
    }
}

#[test]
fn a_field_without_effect_is_refused() {
    for feature in ["public_access", "authenticated"] {
        for (field, value) in [
            ("action", json!("viewer")),
            ("relation", json!("viewer")),
            ("object", json!("document:{id}")),
            ("consistency", json!("higher")),
            ("on_unavailable", json!("deny")),
            ("expose_openfga", json!(true)),
        ] {
            let mut rule = rule_with(field, value);
            rule["feature"] = feature.into();
            assert!(parse(&json!([rule])).is_err(), "{rule}");
        }
    }
    for field in ["roles", "scopes", "audience"] {
        let mut rule = rule_with(field, json!(["a"]));
        assert!(parse(&json!([rule])).is_ok(), "{rule}");
        rule["feature"] = "authenticated".into();
        assert!(parse(&json!([rule])).is_ok(), "{rule}");
        rule["feature"] = "public_access".into();
        assert!(parse(&json!([rule])).is_err(), "{rule}");
    }
    let mut rule = rule_with("action", json!("viewer"));
    rule["relation"] = "viewer".into();
    assert!(parse(&json!([rule])).is_err(), "action and relation");
}

#[test]
fn an_object_can_stand_without_a_feature() {
    let rule = json!({"path": "/docs/{id}", "method": "GET", "object": "document:{id}"});
    let rules = parse(&json!([rule])).expect("valid");
    assert_eq!(rules.rules()[0].feature(), None);
}

#[test]
fn rules_for_the_same_requests_are_refused() {
    for (first, second, is_duplicate) in [
        (("GET", "/a/{x}", None), ("GET", "/a/:y", None), true),
        (("*", "/a", None), ("*", "/a", None), true),
        (("GET,PUT", "/a", None), ("PUT", "/a", None), true),
        (("GET", "/*a", None), ("GET", "/{*b}", None), true),
        (("GET", "/a!", None), ("GET", "/a%21", None), true),
        (("GET", "/a", Some("A.example")), ("GET", "/a", Some("a.example.")), true),
        (("GET", "/a", None), ("*", "/a", None), false),
        (("GET", "/a", None), ("HEAD", "/a", None), false),
        (("GET", "/a", None), ("GET", "/a/", None), false),
        (("GET", "/a", None), ("GET", "/a", Some("a.example")), false),
        (("GET", "/a", Some("*.a.example")), ("GET", "/a", Some("a.example")), false),
    ] {
        let entry = |(method, path, host): (&str, &str, Option<&str>)| {
            let mut rule = json!({"path": path, "method": method, "feature": "x"});
            if let Some(host) = host {
                rule["host"] = host.into();
            }
            rule
        };
        let result = parse(&json!([entry(first), entry(second)]));
        assert_eq!(result.is_err(), is_duplicate, "{first:?} {second:?}");
        if let Err(errors) = result {
            assert_eq!(errors.count(), 1, "{errors}");
            assert!(errors.to_string().starts_with("rule 1: serves "), "{errors}");
        }
    }
}

#[test]
fn a_file_that_is_no_list_is_refused() {
    let deep = "[".repeat(100_000);
    for file in ["", "{}", "null", "[", "[{}", "[{}] x", r#"{"path": "/a"}"#, "\u{feff}[]", &deep] {
        let errors = RuleSet::parse(file.as_bytes(), &names()).expect_err("no list");
        assert!(matches!(errors, RuleErrors::File(_)), "{errors}");
    }
    let large = vec![b' '; 4 * 1024 * 1024 + 1];
    let errors = RuleSet::parse(&large, &names()).expect_err("too large").to_string();
    assert!(errors.contains("4194305 bytes (allowed 4194304)"), "{errors}");
    assert!(RuleSet::parse(b"[]", &names()).expect("valid").rules().is_empty());
}

#[test]
fn public_rules_to_administration_are_warned_about() {
    for (path, target, expose, danger) in [
        ("/stores/*path", "openfga", false, Some(Danger::PublicOpenFga)),
        ("/stores/*path", "openfga", true, Some(Danger::ExposedOpenFga)),
        ("/admin/v1/*path", "zitadel", false, Some(Danger::PublicZitadel)),
        ("/v2/users/*path", "zitadel", false, Some(Danger::PublicZitadel)),
        ("/*path", "zitadel", false, Some(Danger::PublicZitadel)),
        ("/{any}/x", "zitadel", false, Some(Danger::PublicZitadel)),
        ("/oauth/v2/*path", "zitadel", false, None),
        ("/ui/*path", "zitadel", false, None),
        ("/*path", "app", false, None),
    ] {
        let mut rule =
            json!({"path": path, "method": "*", "feature": "public_access", "target": target});
        if expose {
            rule["expose_openfga"] = true.into();
        }
        let rules = parse(&json!([rule])).expect("valid");
        let found = rules.warnings().first().map(RuleWarning::danger);
        assert_eq!(found, danger, "{path} {target}");
        assert_eq!(rules.rules()[0].is_private_only(), target == "openfga" && !expose);
    }
}

#[test]
fn a_role_of_no_named_project_is_warned_about_where_any_audience_is_accepted() {
    let check = |roles: Value, any_audience: bool| {
        let rule =
            json!([{"path": "/a", "method": "GET", "feature": "authenticated", "roles": roles}]);
        let names = Names { any_audience, ..names() };
        let rules = RuleSet::parse(rule.to_string().as_bytes(), &names).expect("valid");
        rules.warnings().iter().map(RuleWarning::danger).collect::<Vec<_>>()
    };
    assert_eq!(check(json!(["admin"]), true), [Danger::RoleOfAnyProject]);
    assert_eq!(check(json!(["77:admin", "admin"]), true), [Danger::RoleOfAnyProject]);
    assert_eq!(check(json!(["77:admin"]), true), []);
    assert_eq!(check(json!(["admin"]), false), []);
}

#[test]
fn rules_are_compared_with_the_model() {
    let rules = parse(&json!([
        {"path": "/a", "method": "GET", "feature": "x"},
        {"path": "/b", "method": "GET", "feature": "x", "action": "owner"},
        {"path": "/c/{id}", "method": "GET", "object": "document:{id}"},
        {"path": "/d", "method": "GET", "feature": "group:y"},
        {"path": "/e", "method": "GET", "feature": "public_access"},
    ]))
    .expect("valid");
    let errors = rules.check_relations(|type_name, relation| {
        (type_name == "feature").then_some(relation == "viewer")
    });
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            r#"rule 1: field "action": "owner" is not a relation of the type "feature" in the authorization model"#,
            r#"rule 2: field "object": "document:{id}" has a type that the authorization model does not define"#,
            r#"rule 3: field "feature": "group:y" has a type that the authorization model does not define"#,
        ]
    );
}

#[test]
fn the_version_names_the_content() {
    let version =
        |file: &str| RuleSet::parse(file.as_bytes(), &names()).expect("valid").version().to_owned();
    assert_eq!(version("[]"), "09612b07b5ecb5a5");
    assert_ne!(version("[]"), version("[ ]"));
    assert_eq!(version(GUIDE).len(), 16);
}

#[test]
fn a_preflight_asks_for_another_method() {
    let rules = RuleSet::parse(GUIDE.as_bytes(), &names()).expect("valid");
    let path = CanonicalPath::parse(b"/api/x", crate::rules::PathPolicy::default()).expect("path");
    let find = |method| rules.find_for_method(None, &path, &method);
    assert!(matches!(find(Method::GET), Found::Rule { .. }));
    assert!(matches!(find(Method::POST), Found::MethodNotAllowed { allow: "GET, HEAD" }));
}

/// One rule over every parameter of a pattern, and what its template makes of a path that a client
/// sends.
fn ask(rules: &RuleSet, raw: &str) -> Option<(String, String)> {
    let path = CanonicalPath::parse(raw.as_bytes(), crate::rules::PathPolicy::default()).ok()?;
    let Found::Rule { rule, params } = rules.find_for_method(None, &path, &Method::GET) else {
        return None;
    };
    let Access::Check(check) = rule.access() else { panic!("a check") };
    let object = check.object().render(&params).ok()?.into_owned();
    // What differs only in these is one path to every service.
    let key = path.match_key().trim_end_matches('/').to_owned();
    Some((object, key))
}

fn raw_paths() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", "/", "a", "b", "-", "--", "!", "%21", "%61", "%2D", "%2f", "%2F", ".", "%2e",
        "/s/",
    ]);
    prop::collection::vec(piece, 1..10).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn two_canonical_paths_ask_for_two_objects(
        pattern in prop::sample::select(vec![
            ("/{a}", &["a"][..]), ("/{a}/{b}", &["a", "b"]), ("/{a}/s/{b}", &["a", "b"]),
            ("/{a}/*b", &["a", "b"]), ("/s/*a", &["a"]), ("/{a}/{b}/*c", &["a", "b", "c"]),
        ]),
        separator in prop::sample::select(vec!["-", "--", "/", "-!-", "%2F"]),
        allow in any::<bool>(),
        raws in prop::collection::vec(raw_paths(), 64),
    ) {
        let (pattern, names) = pattern;
        let values: Vec<_> = names.iter().map(|name| format!("{{{name}}}")).collect();
        let rules = parse(&json!([{
            "path": pattern, "method": "GET", "object": format!("document:{}", values.join(separator)),
            "encoded_slashes": if allow { "allow" } else { "refuse" },
        }])).expect("valid");
        let mut askers = HashMap::new();
        for raw in &raws {
            let Some((object, path)) = ask(&rules, raw) else { continue };
            if separator != "%2F" {
                prop_assert_eq!(object.contains("%2F"), path.contains("%2F"));
            }
            if let Some(other) = askers.insert(object.clone(), path.clone()) {
                prop_assert_eq!(&other, &path, "both ask for {}", object);
            }
        }
    }
}
