//! Everything that is told about a file of rules.

use super::*;

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    check_told(
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
  {"path": "/v", "method": "GET", "feature": "x", "host": 5, "roles": ["a", ""]},
  {"path": "/v", "method": "GET", "feature": "x", "scopes": ["a", 7]},
  [1, {"path": 2}]
]"#,
        &[
            r#"r.json:3:22: rule 0 "" (FETCH ALL a:80/a/../b): unknown field "pth"; did you mean "path"?"#,
            r#"r.json:3:41: rule 0 "" (FETCH ALL a:80/a/../b): roles is a string (expected a list of strings)"#,
            r#"r.json:3:65: rule 0 "" (FETCH ALL a:80/a/../b): consistency "lower" is not one of its words (expected one of minimize_latency, higher)"#,
            r#"r.json:2:12: rule 0 "" (FETCH ALL a:80/a/../b): path "/a/../b" has a dot segment"#,
            r#"r.json:2:33: rule 0 "" (FETCH ALL a:80/a/../b): method "FETCH ALL" is not an HTTP method (expected one such as GET, a comma-separated list, or * alone)"#,
            r#"r.json:3:82: rule 0 "" (FETCH ALL a:80/a/../b): host "a:80" has an invalid port (expected a host without port, or *.example.com)"#,
            r#"r.json:3:96: rule 0 "" (FETCH ALL a:80/a/../b): id "" is not an id (expected 1 to 128 printable ASCII characters)"#,
            r#"r.json:2:57: rule 0 "" (FETCH ALL a:80/a/../b): feature "x y" has a character that an OpenFGA object cannot have"#,
            r#"r.json:2:74: rule 0 "" (FETCH ALL a:80/a/../b): target "nowhere" is not defined (expected one of app, openfga, zitadel)"#,
            r#"r.json:2:99: rule 0 "" (FETCH ALL a:80/a/../b): rate_limit "none" is not defined (expected one of each, reports)"#,
            r#"r.json:3:15: rule 0 "" (FETCH ALL a:80/a/../b): timeout "5 s" is not a duration (expected 1ms to 1h, such as 500ms, 5s or 2m)"#,
            "r.json:4:3: rule 1: must be an object, not a string",
            "r.json:5:3: rule 2: path is missing (expected a pattern such as /api/*path)",
            "r.json:5:3: rule 2: method is missing (expected a method, a list of them, or *)",
            "r.json:5:3: rule 2: feature is missing (expected public_access, authenticated or an OpenFGA object type:id)",
            r#"r.json:8:3: rule 5 (POST,GET /%6fk): serves GET "/%6fk" on the same hosts as rule 3 (parameter names make no difference)"#,
            "r.json:9:18: rule 6 (GET /x): path stands twice",
            "r.json:9:60: rule 6 (GET /x): feature is null (leave the field out, or give it a value)",
            r#"r.json:10:57: rule 7 "get /ok" (GET /z): id "get /ok" is also the id of rule 3"#,
            r#"r.json:11:3: rule 8 (GET /z): serves GET "/z" on the same hosts as rule 7 (parameter names make no difference)"#,
            r#"r.json:11:62: rule 8 (GET /z): timeout "1d" is not a duration (expected 1ms to 1h, such as 500ms, 5s or 2m)"#,
            r#"r.json:12:74: rule 9 "get /ok" (GET /w): id "get /ok" is also the id of rule 3"#,
            r#"r.json:12:62: rule 9 "get /ok" (GET /w): timeout "1d" is not a duration (expected 1ms to 1h, such as 500ms, 5s or 2m)"#,
            "r.json:13:59: rule 10 (GET /v): host is a number (expected a string)",
            r#"r.json:13:77: rule 10 (GET /v): roles has the item "" (expected text without control characters or outer white space; scopes without white space)"#,
            "r.json:14:61: rule 11 (GET /v): scopes is a list with a number in it (expected a list of strings)",
            "r.json:15:3: rule 12: must be an object, not a list",
        ],
    );
}

#[test]
fn the_name_that_was_meant_is_suggested() {
    check_told(
        r#"[{"path": "/a", "metod": "GET", "feature": "x"},
{"path": "/b", "method": "GTE, PURGE, POST", "feature": "x", "target": "zitadle"},
{"path": "/c", "methods": ["PSOT"], "feature": "x", "limit": "reports"},
{"path": "/d", "method": "G-T!", "feature": "x", "rate_limit": "report", "Roles": ["a"]},
{"path": "/e", "method": "*", "feature": "x", "consistency": "highr", "on_unavailable": "alow"},
{"path": "/f", "method": "*", "feature": "public_access", "target": "opnfga", "rate_limit": "each"}]"#,
        &[
            r#"r.json:1:17: rule 0 (/a): unknown field "metod"; did you mean "method"?"#,
            "r.json:1:2: rule 0 (/a): method is missing (expected a method, a list of them, or *)",
            r#"r.json:2:72: rule 1 (GTE, PURGE, POST /b): target "zitadle" is not defined; did you mean "zitadel"?"#,
            r#"r.json:3:53: rule 2 (PSOT /c): unknown field "limit"; did you mean "rate_limit"?"#,
            r#"r.json:4:74: rule 3 (G-T! /d): unknown field "Roles"; did you mean "roles"?"#,
            r#"r.json:4:26: rule 3 (G-T! /d): method "G-T!" is not an HTTP method (expected one such as GET, a comma-separated list, or * alone)"#,
            r#"r.json:4:64: rule 3 (G-T! /d): rate_limit "report" is not defined; did you mean "reports"?"#,
            r#"r.json:5:62: rule 4 (* /e): consistency "highr" is not one of its words; did you mean "higher"?"#,
            r#"r.json:5:89: rule 4 (* /e): on_unavailable "alow" is not one of its words; did you mean "allow"?"#,
            r#"r.json:6:69: rule 5 (* /f): target "opnfga" is not defined; did you mean "openfga"?"#,
            r#"r.json:6:93: rule 5 (* /f): rate_limit "each" counts by principal, which a public rule does not have"#,
            r#"r.json:2:26: warning: rule 1 (GTE, PURGE, POST /b): method "GTE" is not a method that is registered for HTTP; did you mean "GET"?"#,
            r#"r.json:3:27: warning: rule 2 (PSOT /c): methods "PSOT" is not a method that is registered for HTTP; did you mean "POST"?"#,
        ],
    );
}

#[test]
fn a_feature_that_reads_like_a_reserved_word_is_questioned() {
    let told = |feature: &str| {
        let rules = parse(&json!([rule_with("feature", feature.into())])).expect("valid");
        rules.findings().iter().map(|found| found.suggestion.clone()).collect::<Vec<_>>()
    };
    for (feature, meant) in [
        ("Public_Access", "public_access"),
        ("public", "public_access"),
        ("PUBLIC", "public_access"),
        ("public-access", "public_access"),
        ("publicaccess", "public_access"),
        ("anonymous", "public_access"),
        ("unauthenticated", "public_access"),
        ("authenticate", "authenticated"),
        ("Authenticated", "authenticated"),
        ("authentication", "authenticated"),
        ("authenticted", "authenticated"),
    ] {
        assert_eq!(told(feature), [Some(meant.to_owned())], "{feature}");
    }
    for feature in
        ["public_access", "authenticated", "feature:public", "page:public", "access", "reports"]
    {
        assert_eq!(told(feature), [], "{feature}");
    }
    check_told(
        r#"[{"path": "/a", "method": "GET", "feature": "Public_Access"}]"#,
        &[
            r#"r.json:1:45: warning: rule 0 (GET /a): feature "Public_Access" asks OpenFGA for the object "feature:Public_Access" (write that if it is meant); did you mean "public_access"?"#,
        ],
    );
    let template = json!([{"path": "/a/{id}", "method": "GET", "feature": "public", "object": "document:{id}"}]);
    assert!(parse(&template).expect("valid").findings().is_empty());
}

#[test]
fn the_same_mistake_in_every_rule_is_told_a_few_times_and_counted() {
    let rule = |number: usize| json!({"path": format!("/{number}"), "metod": "GET", "feature": "x", "target": "servr"});
    let file: Value = (0..10_000).map(rule).collect();
    let told = parse(&file).expect_err("invalid").to_string();
    assert!(told.len() <= 20_000, "{} bytes", told.len());
    assert_eq!(told.matches("did you mean \"method\"?").count(), 20, "{told}");
    assert_eq!(told.matches("and 9,980 more of the same").count(), 3, "{told}");
}

#[test]
fn a_mistake_does_not_hide_what_is_odd() {
    let file = json!([rule_with("metod", "GET".into()), rule_with("feature", "public".into())]);
    let told = parse(&file).expect_err("invalid");
    assert_eq!(told.count(Severity::Error), 2, "{told}");
    assert_eq!(told.count(Severity::Warning), 1, "{told}");
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
        ("consistency", json!({"higher": null})),
    ] {
        let rule = rule_with(field, value);
        let told = parse(&json!([rule])).expect_err(field);
        let keys: Vec<_> = told.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys.len(), 1, "{rule}: {told}");
        assert!(keys[0].starts_with(&format!("rules[0].{field}")), "{rule}: {told}");
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
            assert_eq!(errors.count(Severity::Error), 1, "{errors}");
            assert!(errors.to_string().contains(": serves "), "{errors}");
        }
    }
}

#[test]
fn a_file_that_is_no_list_is_refused() {
    let deep = "[".repeat(100_000);
    for (file, kind) in [
        ("", "bad_json"),
        ("{}", "not_a_list"),
        ("null", "not_a_list"),
        ("[", "bad_json"),
        ("[{}", "bad_json"),
        ("[{}] x", "bad_json"),
        (r#"{"path": "/a"}"#, "not_a_list"),
        ("[]\u{feff}", "bad_json"),
        (&deep, "bad_json"),
    ] {
        let told = RuleSet::parse(file.as_bytes(), &names()).expect_err("no list");
        let kinds: Vec<_> = told.iter().map(|error| (error.kind, error.line)).collect();
        assert_eq!(kinds, [(kind, Some(1))], "{told}");
    }
    check_told(
        "[\n  {\"path\": \"/a\",}\n]",
        &["r.json:2:17: the file is not valid JSON: trailing comma"],
    );
    check_told(
        "{}",
        &["r.json:1:1: the file must be a list of rules: invalid type: map, expected a sequence"],
    );
    let large = vec![b' '; 4 * 1024 * 1024 + 1];
    let errors = RuleSet::parse(&large, &names()).expect_err("too large").to_string();
    assert!(errors.contains("4194305 bytes (allowed 4194304)"), "{errors}");
}

#[test]
fn an_empty_list_is_warned_about() {
    assert!(RuleSet::parse(b"[]", &names()).expect("valid").rules().is_empty());
    check_told(
        "[]",
        &["r.json:1:1: warning: there are no rules: every request is answered with 403 no_rule"],
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_rules() {
    let rules = RuleSet::parse(format!("\u{feff}{GUIDE}").as_bytes(), &names()).expect("valid");
    assert_eq!(rules.rules().len(), 3);
    check_told("\u{feff}[7]", &["r.json:1:2: rule 0: must be an object, not a number"]);
}
