//! No input brings the engine down, and none takes it long.

use std::time::{Duration, Instant};

use fga_engine::{
    AuthorizationModel, CheckRequest, Context, Engine, ObjectRef, TupleKey, UserRef, dsl,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Generous for a debug build on a busy machine; what is meant is "not minutes".
const BOUND: Duration = Duration::from_secs(10);

fn bounded<T>(run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = run();
    assert!(start.elapsed() < BOUND, "took {:?}", start.elapsed());
    value
}

fn load(model: AuthorizationModel) {
    let store = Engine::default().create_store("test");
    let _ = bounded(|| store.write_model(model));
}

fn fragments(of: &'static [&'static str], max: usize) -> impl Strategy<Value = String> {
    let fragment =
        prop_oneof![9 => prop::sample::select(of).prop_map(str::to_owned), 1 => ".{0,3}"];
    prop::collection::vec(fragment, 0..max).prop_map(|parts| parts.concat())
}

const DSL: &[&str] = &[
    "model\n  schema 1.1\n",
    "type user\n",
    "type doc\n",
    "  relations\n",
    "    define a: ",
    "    define b: ",
    "[user]",
    "[user:*, doc#a with c]",
    "a",
    "b",
    " or ",
    " and ",
    " but not ",
    " from ",
    "(",
    ")",
    "\n",
    " # x\n",
    "condition c(x: int) {\n x < 1\n}\n",
    "{",
    "}",
    ", ",
    ": ",
    "list<string>",
    "module m\n",
    "extend ",
    "\"",
    "'",
];
const CEL: &[&str] = &[
    "x",
    "l",
    "m",
    "s",
    "ip",
    "t",
    " + ",
    " - ",
    " < ",
    " == ",
    " && ",
    " || ",
    "!",
    "-",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "?",
    ":",
    ".",
    ",",
    "1",
    "2u",
    "0.5",
    "'a'",
    "\"",
    "true",
    "null",
    " in ",
    "size(l)",
    "l.all(e, e > 0)",
    "l.map(e, e)",
    "m.k",
    "timestamp('2023-01-01T00:00:00Z')",
    "duration('1h')",
    "ip.in_cidr('10.0.0.0/8')",
    "string(x)",
    ".matches('a+')",
    "has(m.k)",
    "[1, 2]",
    "{'a': 1}",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c:#*@ ]{0,6}".prop_map(Value::from),
        prop::sample::select(vec!["user", "doc", "a", "b", "1.1"]).prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "type",
        "relations",
        "metadata",
        "this",
        "union",
        "child",
        "computedUserset",
        "relation",
        "tupleToUserset",
        "tupleset",
        "difference",
        "base",
        "subtract",
        "intersection",
        "directly_related_user_types",
        "wildcard",
        "condition",
        "a",
        "b",
        "type_definitions",
        "schema_version",
        "conditions",
        "name",
        "expression",
        "parameters",
        "type_name",
        "generic_types",
    ]);
    leaf.prop_recursive(8, 128, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Rewrites over two relations, most of them sensible.
fn any_rewrite() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"this": {}})),
        Just(json!({"computedUserset": {"relation": "a"}})),
        Just(json!({"computedUserset": {"relation": "b"}})),
        Just(
            json!({"tupleToUserset": {"tupleset": {"relation": "p"}, "computedUserset": {"relation": "a"}}})
        ),
    ];
    leaf.prop_recursive(5, 32, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|child| json!({"union": {"child": child}})),
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|child| json!({"intersection": {"child": child}})),
            (inner.clone(), inner).prop_map(
                |(base, subtract)| json!({"difference": {"base": base, "subtract": subtract}})
            ),
        ]
    })
}

fn condition(expression: &str) -> Value {
    json!({
        "schema_version": "1.1",
        "type_definitions": [
            {"type": "user"},
            {"type": "doc", "relations": {"a": {"this": {}}},
             "metadata": {"relations": {"a": {"directly_related_user_types": [{"type": "user", "condition": "c"}]}}}}],
        "conditions": {"c": {"name": "c", "expression": expression, "parameters": {
            "x": {"type_name": "TYPE_NAME_INT"}, "s": {"type_name": "TYPE_NAME_STRING"},
            "ip": {"type_name": "TYPE_NAME_IPADDRESS"}, "t": {"type_name": "TYPE_NAME_TIMESTAMP"},
            "l": {"type_name": "TYPE_NAME_LIST", "generic_types": [{"type_name": "TYPE_NAME_INT"}]},
            "m": {"type_name": "TYPE_NAME_ANY"}}}},
    })
}

fn evaluate(expression: &str) {
    let store = Engine::default().create_store("test");
    let model = serde_json::from_value(condition(expression)).unwrap();
    if bounded(|| store.write_model(model)).is_err() {
        return;
    }
    let tuple =
        json!({"object": "doc:1", "relation": "a", "user": "user:1", "condition": {"name": "c"}});
    store.load_tuples(vec![serde_json::from_value(tuple).unwrap()]).unwrap();
    let long: Vec<u32> = (0..2_000).collect();
    let context = json!({"x": 9_223_372_036_854_775_807_i64, "s": "aaaaaaaaaaaaaaaaaaaaaaaa", "ip": "::1", "t": "2023-01-01T00:00:00Z", "l": long, "m": {"k": [1, null]}});
    let context: Context = serde_json::from_value(context).unwrap();
    let request = CheckRequest {
        user: "user:1",
        relation: "a",
        object: "doc:1",
        context: Some(&context),
        ..CheckRequest::default()
    };
    let _ = bounded(|| store.check(None, &request));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_a_model_or_an_error(text in fragments(DSL, 40)) {
        if let Ok(model) = bounded(|| dsl::parse(&text)) {
            load(model);
        }
    }

    #[test]
    fn any_json_is_a_model_or_an_error(json in any_json()) {
        if let Ok(model) = serde_json::from_value(json) {
            load(model);
        }
    }

    #[test]
    fn any_rewrites_are_a_model_or_an_error_and_checks_end(
        a in any_rewrite(), b in any_rewrite(),
        tuples in prop::collection::vec((0..3_u32, prop::sample::select(vec!["a", "b", "p"]), 0..3_u32, any::<bool>()), 0..12),
    ) {
        let users = json!([{"type": "user"}, {"type": "doc", "relation": "a"}, {"type": "doc", "relation": "b"}]);
        let of = |rewrite: &Value| {
            let types = if rewrite.to_string().contains("this") { users.clone() } else { json!([]) };
            json!({"directly_related_user_types": types})
        };
        let metadata = json!({"a": of(&a), "b": of(&b), "p": {"directly_related_user_types": [{"type": "doc"}]}});
        let model = json!({"schema_version": "1.1", "type_definitions": [
            {"type": "user"},
            {"type": "doc", "relations": {"a": a, "b": b, "p": {"this": {}}}, "metadata": {"relations": metadata}}]});
        let store = Engine::default().create_store("test");
        if bounded(|| store.write_model(serde_json::from_value(model).unwrap())).is_err() {
            return Ok(());
        }
        for (object, relation, user, userset) in tuples {
            let user = match (relation, userset) {
                ("p", _) => format!("doc:{user}"),
                (_, true) => format!("doc:{user}#a"),
                _ => format!("user:{user}"),
            };
            let _ = store.load_tuples(vec![TupleKey::new(&format!("doc:{object}"), relation, &user)]);
        }
        for relation in ["a", "b"] {
            let request = CheckRequest { user: "user:0", relation, object: "doc:0", ..CheckRequest::default() };
            let _ = bounded(|| store.check(None, &request));
        }
    }

    #[test]
    fn any_expression_is_a_condition_or_an_error(expression in fragments(CEL, 24)) {
        evaluate(&expression);
    }

    #[test]
    fn any_context_is_accepted_or_an_error(context in any_json()) {
        let Ok(context) = serde_json::from_value::<Context>(json!({"x": 1, "s": context, "m": context, "l": [1], "ip": context, "t": context})) else {
            return Ok(());
        };
        let store = Engine::default().create_store("test");
        store.write_model(serde_json::from_value(condition("m == s || x in l")).unwrap_or_default()).unwrap_or_default();
        let request = CheckRequest { user: "user:1", relation: "a", object: "doc:1", context: Some(&context), ..CheckRequest::default() };
        let _ = bounded(|| store.check(None, &request));
    }

    #[test]
    fn names_are_parsed_without_surprises(text in "[a-c:#*@ \u{85}\u{e9}\u{c2}]{0,12}") {
        if let Some(object) = ObjectRef::parse(&text) {
            prop_assert_eq!(format!("{}:{}", object.kind, object.id), text.clone());
            prop_assert!(!text.contains(['#', ' ']) && text.matches(':').count() == 1);
        }
        if let Some(UserRef::Userset(object, relation)) = UserRef::parse(&text) {
            prop_assert_eq!(format!("{}:{}#{}", object.kind, object.id, relation), text.clone());
        }
    }

    #[test]
    fn any_tuple_is_written_or_refused(object in ".{0,8}", relation in ".{0,4}", user in ".{0,8}") {
        let store = Engine::default().create_store("test");
        store.write_model(dsl::parse("model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define a: [user]").unwrap()).unwrap();
        let _ = store.load_tuples(vec![TupleKey::new(&object, &relation, &user)]);
        let request = CheckRequest { user: &user, relation: &relation, object: &object, ..CheckRequest::default() };
        let _ = store.check(None, &request);
    }
}

#[test]
fn nesting_bombs_are_errors() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{1:", "}"),
        ("!", ""),
        ("-", ""),
        ("x?x:", "x"),
        ("[1].map(e,", ")"),
        ("x.y(", ")"),
        ("l[", "]"),
    ] {
        let count = 500 / (open.len() + close.len()).max(1);
        for count in [count, 40, 31, 15] {
            evaluate(&format!("{}x{}", open.repeat(count), close.repeat(count)));
        }
    }
    evaluate(&format!("x{}", ".y".repeat(250)));
    evaluate(&format!("x{}", "+x".repeat(250)));
    evaluate(&format!("true{}", "&&true".repeat(80)));
    evaluate(&format!("m{}", "[0]".repeat(160)));

    let (open, close) = (r#"{"union": {"child": ["#, "]}}");
    let text = format!(r#"{}{{"this": {{}}}}{}"#, open.repeat(5_000), close.repeat(5_000));
    assert!(serde_json::from_str::<fga_engine::wire::Userset>(&text).is_err());
    let deep = "a: ".repeat(5_000);
    assert!(serde_yaml_rejects(&deep));
}

fn serde_yaml_rejects(text: &str) -> bool {
    let folder = std::env::temp_dir().join(format!("engine-bomb-{}.yaml", std::process::id()));
    std::fs::write(&folder, text).unwrap();
    let rejected = bounded(|| fga_engine::files::load(&folder)).is_err();
    std::fs::remove_file(folder).unwrap();
    rejected
}

#[test]
fn exponential_models_are_accepted_or_refused_in_bounded_time() {
    let mut text = "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define p: [doc]\n    define r0: [doc#r0]\n".to_owned();
    for n in 1..60 {
        text.push_str(&format!("    define r{n}: r{0} or r{0} from p or r{0}\n", n - 1));
    }
    load(bounded(|| dsl::parse(&text)).unwrap());
}
