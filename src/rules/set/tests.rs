mod mistakes;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::finding::Severity;
use crate::rules::warning::Danger;
use crate::rules::{LimitName, Methods, TargetName};

/// The rules of the deployment guide, unchanged.
const GUIDE: &str = r#"[
  {"path": "/api/*path",           "method": "GET", "feature": "feature:report_viewer"},
  {"path": "/management/v1/*path", "method": "*",   "feature": "public_access", "target": "zitadel"},
  {"path": "/stores/*path",        "method": "*",   "feature": "public_access", "target": "openfga"}
]"#;

fn names() -> Names {
    let target = |(position, name): (usize, &&str)| {
        let (is_openfga, is_zitadel) = (*name == "openfga", *name == "zitadel");
        ((*name).to_owned(), TargetName { position, is_openfga, is_zitadel })
    };
    let limit = |name: &str, counts_principals| {
        (name.to_owned(), LimitName { limit: (), counts_principals })
    };
    Names {
        default_relation: "viewer".to_owned(),
        default_target: "app".to_owned(),
        targets: ["app", "openfga", "zitadel"].iter().enumerate().map(target).collect(),
        limits: BTreeMap::from([limit("reports", false), limit("each", true)]),
        any_audience: false,
    }
}

fn parse(file: &Value) -> Result<RuleSet, Findings> {
    RuleSet::parse(file.to_string().as_bytes(), &names())
}

/// A valid rule with one field set or replaced.
fn rule_with(field: &str, value: Value) -> Value {
    let mut rule = json!({"path": "/a/{id}", "method": "GET", "feature": "x"});
    rule[field] = value;
    rule
}

/// Compares everything that is told about a file, line by line.
#[track_caller]
fn check_told(file: &str, expected: &[&str]) {
    let told = match RuleSet::parse(file.as_bytes(), &names()) {
        Ok(rules) => rules.findings().clone(),
        Err(findings) => findings,
    };
    let told = told.in_file(std::path::Path::new("r.json")).to_string();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}

/// The kinds of the warnings.
fn kinds(rules: &RuleSet) -> Vec<&'static str> {
    rules.findings().iter().map(|finding| finding.kind).collect()
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
    assert_eq!(kinds(&rules), ["public_zitadel", "public_openfga"]);
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
    assert_eq!(kinds(&rules), ["fails_open"]);
}

#[test]
fn public_rules_to_administration_are_warned_about() {
    for (path, target, expose, danger) in [
        ("/stores/*path", "openfga", false, &["public_openfga"][..]),
        ("/stores/*path", "openfga", true, &["exposed_openfga"]),
        ("/admin/v1/*path", "zitadel", false, &["public_zitadel"]),
        ("/v2/users/*path", "zitadel", false, &["public_zitadel"]),
        ("/*path", "zitadel", false, &["public_zitadel"]),
        ("/{any}/x", "zitadel", false, &["public_zitadel"]),
        ("/oauth/v2/*path", "zitadel", false, &[]),
        ("/ui/*path", "zitadel", false, &[]),
        ("/*path", "app", false, &[]),
    ] {
        let mut rule =
            json!({"path": path, "method": "*", "feature": "public_access", "target": target});
        if expose {
            rule["expose_openfga"] = true.into();
        }
        let rules = parse(&json!([rule])).expect("valid");
        assert_eq!(kinds(&rules), danger, "{path} {target}");
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
        rules.warnings(&names).iter().map(RuleWarning::danger).collect::<Vec<_>>()
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
    let told = errors.in_file(std::path::Path::new("r.json")).to_string();
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            r#"r.json:1:45: rule 1 (GET /b): action "owner" is not a relation of the type "feature" in the authorization model"#,
            r#"r.json:1:105: rule 2 (GET /c/{id}): object "document:{id}" has a type that the authorization model does not define"#,
            r#"r.json:1:164: rule 3 (GET /d): feature "group:y" has a type that the authorization model does not define"#,
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
