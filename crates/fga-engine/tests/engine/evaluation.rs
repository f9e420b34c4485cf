//! Rules that are easy to get wrong, one small model each.

use std::sync::Arc;

use fga_engine::{
    CheckRequest, Context, Engine, EngineError, ErrorCode, Store, TupleKey, WriteRequest, dsl,
};

fn store(model: &str, tuples: &[(&str, &str, &str)]) -> Arc<Store> {
    let store = Engine::default().create_store("test");
    write_model(&store, model);
    let tuples =
        tuples.iter().map(|(object, relation, user)| TupleKey::new(object, relation, user));
    store.load_tuples(tuples.collect()).unwrap();
    store
}

fn write_model(store: &Store, model: &str) {
    let text = format!("model\n  schema 1.1\ntype user\n{model}");
    store.write_model(dsl::parse(&text).unwrap()).unwrap();
}

fn check(store: &Store, object: &str, relation: &str, user: &str) -> Result<bool, ErrorCode> {
    let request = CheckRequest { user, relation, object, ..CheckRequest::default() };
    store.check(None, &request).map_err(|error| error.code)
}

#[test]
fn a_cycle_in_an_exclusion_denies() {
    let model = "type group\n  relations\n    define member: [user, group#member] but not banned\n    define banned: [user, group#banned]\n";
    let tuples = [
        ("group:1", "member", "user:anne"),
        ("group:1", "banned", "group:2#banned"),
        ("group:2", "banned", "group:1#banned"),
    ];
    assert_eq!(check(&store(model, &tuples), "group:1", "member", "user:anne"), Ok(false));
}

#[test]
fn a_cycle_in_an_intersection_denies() {
    let model =
        "type group\n  relations\n    define a: [user, group#a]\n    define both: [user] and a\n";
    let tuples = [
        ("group:1", "both", "user:anne"),
        ("group:1", "a", "group:2#a"),
        ("group:2", "a", "group:1#a"),
    ];
    assert_eq!(check(&store(model, &tuples), "group:1", "both", "user:anne"), Ok(false));
}

#[test]
fn a_cycle_in_a_union_does_not_hide_a_way_in() {
    let model = "type group\n  relations\n    define member: [user, group#member]\n";
    let tuples = [
        ("group:1", "member", "group:2#member"),
        ("group:2", "member", "group:1#member"),
        ("group:2", "member", "user:anne"),
    ];
    let store = store(model, &tuples);
    assert_eq!(check(&store, "group:1", "member", "user:anne"), Ok(true));
    assert_eq!(check(&store, "group:1", "member", "user:bob"), Ok(false));
}

fn chain(length: usize) -> Vec<TupleKey> {
    let link = |n: usize| {
        TupleKey::new(&format!("group:{n}"), "member", &format!("group:{}#member", n + 1))
    };
    let last = TupleKey::new(&format!("group:{length}"), "member", "user:anne");
    (0..length).map(link).chain(std::iter::once(last)).collect()
}

#[test]
fn twenty_four_usersets_in_a_row_are_followed_and_twenty_five_are_too_complex() {
    let model = "type group\n  relations\n    define member: [user, group#member]\n";
    for (length, expected) in [(24, Ok(true)), (25, Err(ErrorCode::ResolutionTooComplex))] {
        let store = store(model, &[]);
        store.load_tuples(chain(length)).unwrap();
        assert_eq!(check(&store, "group:0", "member", "user:anne"), expected, "{length}");
    }
}

#[test]
fn computed_usersets_do_not_count_towards_the_depth() {
    let mut model = "type doc\n  relations\n    define r0: [user]\n".to_owned();
    for n in 1..200 {
        model.push_str(&format!("    define r{n}: r{}\n", n - 1));
    }
    assert_eq!(
        check(&store(&model, &[("doc:1", "r0", "user:anne")]), "doc:1", "r199", "user:anne"),
        Ok(true)
    );
}

#[test]
fn deep_models_end_in_an_error_and_not_in_a_stack_overflow() {
    let mut model = "type doc\n  relations\n    define parent: [doc]\n    define r0: [user] or r199 from parent\n".to_owned();
    for n in 1..200 {
        model.push_str(&format!("    define r{n}: ((r{} or r{0}) or r{0})\n", n - 1));
    }
    let parents: Vec<_> = (0..24).map(|n| (format!("doc:{n}"), format!("doc:{}", n + 1))).collect();
    let parents: Vec<_> = parents.iter().map(|(a, b)| (a.as_str(), "parent", b.as_str())).collect();
    let answer = check(&store(&model, &parents), "doc:0", "r199", "user:anne");
    assert!(
        matches!(answer, Err(ErrorCode::ResolutionTooComplex | ErrorCode::DeadlineExceeded)),
        "{answer:?}"
    );
}

#[test]
fn a_userset_has_its_own_relation() {
    let model = "type group\n  relations\n    define member: [user]\n    define other: [user]\n";
    let store = store(model, &[]);
    assert_eq!(check(&store, "group:1", "member", "group:1#member"), Ok(true));
    assert_eq!(check(&store, "group:2", "member", "group:1#member"), Ok(false));
    assert_eq!(check(&store, "group:1", "other", "group:1#member"), Ok(false));
}

#[test]
fn everybody_means_users_and_not_usersets() {
    let model = "type group\n  relations\n    define member: [user]\ntype doc\n  relations\n    define viewer: [user:*]\n";
    let store = store(model, &[("doc:1", "viewer", "user:*")]);
    assert_eq!(check(&store, "doc:1", "viewer", "user:anyone"), Ok(true));
    assert_eq!(check(&store, "doc:1", "viewer", "user:*"), Ok(true));
    assert_eq!(check(&store, "doc:1", "viewer", "group:1#member"), Ok(false));
    assert_eq!(check(&store, "doc:2", "viewer", "user:anyone"), Ok(false));
}

#[test]
fn tuples_that_the_model_no_longer_allows_are_ignored() {
    let before = "type group\n  relations\n    define member: [user]\ntype doc\n  relations\n    define viewer: [user, user:*, group#member]\n";
    let tuples = [
        ("doc:1", "viewer", "user:anne"),
        ("doc:2", "viewer", "user:*"),
        ("doc:3", "viewer", "group:1#member"),
        ("group:1", "member", "user:anne"),
    ];
    let store = store(before, &tuples);
    write_model(
        &store,
        "type group\n  relations\n    define member: [user]\ntype doc\n  relations\n    define viewer: [group]\n    define editor: [user]\n",
    );
    for doc in ["doc:1", "doc:2", "doc:3"] {
        assert_eq!(check(&store, doc, "viewer", "user:anne"), Ok(false), "{doc}");
    }
    let delete = WriteRequest {
        deletes: vec![TupleKey::new("doc:1", "viewer", "user:anne")],
        ..WriteRequest::default()
    };
    store.write(&delete).unwrap();
    assert_eq!(store.len(), 3);
}

#[test]
fn requests_outside_the_model_are_errors_before_anything_else() {
    let store = store("type doc\n  relations\n    define viewer: [user]\n", &[]);
    let bad = [
        ("doc:1", "viewer", "nobody:1", "invalid relation: type 'nobody' not found"),
        ("doc:1", "nothing", "user:1", "invalid relation: relation 'doc#nothing' not found"),
        ("none:1", "viewer", "user:1", "invalid relation: type 'none' not found"),
        (
            "doc:*",
            "viewer",
            "user:1",
            "invalid relation: the 'object' field cannot reference a typed wildcard",
        ),
        ("doc", "viewer", "user:1", "invalid relation: invalid 'object' field format"),
        ("doc:1", "viewer", "a#b#c", "invalid relation: the 'user' field is malformed"),
    ];
    for (object, relation, user, message) in bad {
        let request = CheckRequest { user, relation, object, ..CheckRequest::default() };
        let message = EngineError { code: ErrorCode::ValidationError, message: message.to_owned() };
        assert_eq!(store.check(None, &request), Err(message));
    }
}

const CONDITIONAL: &str = "type group\n  relations\n    define member: [user with less]\ntype doc\n  relations\n    define viewer: [user, user with less, group#member]\n    define parent: [doc with less, doc]\n    define inherited: viewer from parent\ncondition less(x: int) {\n  x < 10\n}\n";

fn conditional(object: &str, relation: &str, user: &str, context: serde_json::Value) -> TupleKey {
    let tuple = serde_json::json!({
        "object": object, "relation": relation, "user": user,
        "condition": {"name": "less", "context": context},
    });
    serde_json::from_value(tuple).unwrap()
}

fn check_with(
    store: &Store,
    object: &str,
    relation: &str,
    context: serde_json::Value,
) -> Result<bool, EngineError> {
    let context: Context = serde_json::from_value(context).unwrap();
    let request = CheckRequest {
        user: "user:anne",
        relation,
        object,
        context: Some(&context),
        ..CheckRequest::default()
    };
    store.check(None, &request)
}

#[test]
fn parameters_of_the_tuple_win_over_those_of_the_request() {
    let store = store(CONDITIONAL, &[]);
    store
        .load_tuples(vec![conditional("doc:1", "viewer", "user:anne", serde_json::json!({"x": 5}))])
        .unwrap();
    assert_eq!(check_with(&store, "doc:1", "viewer", serde_json::json!({"x": 50})), Ok(true));
}

#[test]
fn a_missing_parameter_is_an_error_unless_another_way_allows() {
    let store = store(CONDITIONAL, &[]);
    let tuples = vec![
        conditional("group:1", "member", "user:anne", serde_json::json!({})),
        TupleKey::new("doc:1", "viewer", "group:1#member"),
        TupleKey::new("doc:2", "viewer", "group:1#member"),
        TupleKey::new("doc:2", "viewer", "user:anne"),
    ];
    store.load_tuples(tuples).unwrap();
    let error = check_with(&store, "doc:1", "viewer", serde_json::json!({"y": 1})).unwrap_err();
    assert_eq!(error.code, ErrorCode::ValidationError);
    assert!(
        error.message.ends_with(
            "'less' - tuple 'group:1#member@user:anne' is missing context parameters '[x]'"
        ),
        "{error}"
    );
    assert_eq!(check_with(&store, "doc:2", "viewer", serde_json::json!({})), Ok(true));
}

#[test]
fn a_condition_that_fails_in_a_tupleset_is_hidden_by_one_that_holds() {
    let store =
        store(CONDITIONAL, &[("doc:1", "parent", "doc:2"), ("doc:4", "viewer", "user:bob")]);
    store
        .load_tuples(vec![conditional("doc:1", "parent", "doc:3", serde_json::json!({}))])
        .unwrap();
    store
        .load_tuples(vec![conditional("doc:5", "parent", "doc:3", serde_json::json!({}))])
        .unwrap();
    assert_eq!(check_with(&store, "doc:1", "inherited", serde_json::json!({})), Ok(false));
    assert!(check_with(&store, "doc:5", "inherited", serde_json::json!({})).is_err());
}

#[test]
fn contextual_tuples_count_as_stored_ones_and_win_over_them() {
    let store = store(CONDITIONAL, &[]);
    store
        .load_tuples(vec![conditional(
            "doc:1",
            "viewer",
            "user:anne",
            serde_json::json!({"x": 50}),
        )])
        .unwrap();
    let contextual = [conditional("doc:1", "viewer", "user:anne", serde_json::json!({"x": 5}))];
    let request = CheckRequest {
        user: "user:anne",
        relation: "viewer",
        object: "doc:1",
        contextual_tuples: &contextual,
        ..CheckRequest::default()
    };
    assert_eq!(store.check(None, &request), Ok(true));
    let invalid = [TupleKey::new("doc:1", "viewer", "doc:2")];
    let request = CheckRequest { contextual_tuples: &invalid, ..request };
    assert_eq!(store.check(None, &request).unwrap_err().code, ErrorCode::InvalidTuple);
    assert_eq!(check(&store, "doc:1", "viewer", "user:anne"), Ok(false));
}

#[test]
fn models_that_no_tuple_could_satisfy_are_refused() {
    let bad = [
        ("type doc\n  relations\n    define a: b\n    define b: a\n", "potential loop"),
        ("type doc\n  relations\n    define a: [doc#a]\n", "no entrypoints defined"),
        (
            "type doc\n  relations\n    define a: [user] or b\n    define b: a\n",
            "cannot contain a cycle",
        ),
        ("type doc\n  relations\n    define a: missing\n", "relation is undefined"),
        (
            "type doc\n  relations\n    define p: [doc]\n    define a: x from p\n",
            "undefined relation",
        ),
        (
            "type doc\n  relations\n    define p: [doc] or q\n    define q: [doc]\n    define a: q from p\n",
            "must be a direct relation",
        ),
        ("type doc\n  relations\n    define a: [nobody]\n", "is not valid"),
        ("type doc\n  relations\n    define a: [user with nothing]\n", "is undefined for relation"),
        ("type doc\n  relations\n    define this: [user]\n", "reserved keywords"),
        ("type doc\ntype doc\n", "duplicate types"),
    ];
    for (model, reason) in bad {
        let text = format!("model\n  schema 1.1\ntype user\n{model}");
        let store = Engine::default().create_store("test");
        let error = store.write_model(dsl::parse(&text).unwrap()).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidAuthorizationModel, "{model}");
        assert!(error.message.contains(reason), "{model}: {error}");
    }
}
