//! OpenFGA's own test cases, through the in-process API.

use std::collections::BTreeSet;

use crate::support::conformance::{Case, cases, tuples_of};
use fga_engine::{
    CheckRequest, Context, Engine, EngineError, ListObjectsRequest, ListUsersRequest, ListedUser,
    Store, TupleKey, UserFilter,
};
use serde_json::Value;

fn context_of(assertion: &Value) -> Option<Context> {
    assertion.get("context").and_then(Value::as_object).cloned()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

fn check(store: &Store, assertion: &Value, extra: &[TupleKey]) -> Result<bool, EngineError> {
    let mut contextual = extra.to_vec();
    contextual.extend(tuples_of(&assertion["contextualTuples"]));
    let tuple = &assertion["tuple"];
    let context = context_of(assertion);
    store.check(
        None,
        &CheckRequest {
            user: text(tuple, "user"),
            relation: text(tuple, "relation"),
            object: text(tuple, "object"),
            contextual_tuples: &contextual,
            context: context.as_ref(),
        },
    )
}

fn expect<T: PartialEq + std::fmt::Debug>(
    result: Result<T, EngineError>,
    assertion: &Value,
    expected: T,
) -> Option<String> {
    let outcome = match (&result, assertion["errorCode"].as_u64()) {
        (Ok(found), None) => *found == expected,
        (Err(error), Some(code)) => u64::from(error.code.number()) == code,
        _ => false,
    };
    (!outcome).then(|| format!("{assertion}\n  found {result:?}"))
}

fn run(
    case: &Case,
    assertions: impl Fn(&Store, &Value, &[TupleKey]) -> Vec<String>,
) -> Vec<String> {
    let engine = Engine::default();
    let store = engine.create_store("test");
    let mut failures = Vec::new();
    for stage in &case.stages {
        store.write_model(serde_json::from_value(stage["modelJSON"].clone()).unwrap()).unwrap();
        let tuples = tuples_of(&stage["tuples"]);
        store.load_tuples(tuples.clone()).unwrap();
        failures.extend(assertions(&store, stage, &[]));
        if case.stages.len() == 1 && !tuples.is_empty() {
            let empty = engine.create_store("test");
            empty.write_model(serde_json::from_value(stage["modelJSON"].clone()).unwrap()).unwrap();
            failures.extend(assertions(&empty, stage, &tuples));
        }
    }
    failures.into_iter().map(|failure| format!("{}: {failure}", case.name)).collect()
}

fn run_all(assertions: impl Fn(&Store, &Value, &[TupleKey]) -> Vec<String>) {
    let failures: Vec<_> = cases().iter().flat_map(|case| run(case, &assertions)).collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

fn each<'v>(stage: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    stage[field].as_array().into_iter().flatten()
}

#[test]
fn every_check_gives_openfgas_answer() {
    run_all(|store, stage, extra| {
        each(stage, "checkAssertions")
            .filter_map(|assertion| {
                let expected = assertion["expectation"].as_bool().unwrap_or_default();
                expect(check(store, assertion, extra), assertion, expected)
            })
            .collect()
    });
}

#[test]
fn every_list_of_objects_is_openfgas() {
    run_all(|store, stage, extra| {
        each(stage, "listObjectsAssertions")
            .filter_map(|assertion| {
                let mut contextual = extra.to_vec();
                contextual.extend(tuples_of(&assertion["contextualTuples"]));
                let request = &assertion["request"];
                let context = context_of(assertion);
                let found = store.list_objects(
                    None,
                    &ListObjectsRequest {
                        kind: text(request, "type"),
                        relation: text(request, "relation"),
                        user: text(request, "user"),
                        contextual_tuples: &contextual,
                        context: context.as_ref(),
                    },
                );
                let found = found.map(|found| found.into_iter().collect::<BTreeSet<_>>());
                expect(found, assertion, strings(&assertion["expectation"]))
            })
            .collect()
    });
}

fn strings(value: &Value) -> BTreeSet<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

#[test]
fn every_list_of_users_is_openfgas() {
    run_all(|store, stage, extra| {
        each(stage, "listUsersAssertions")
            .filter_map(|assertion| {
                let mut contextual = extra.to_vec();
                contextual.extend(tuples_of(&assertion["contextualTuples"]));
                let request = &assertion["request"];
                let filter = request["filters"][0].as_str().unwrap_or_default();
                let (kind, relation) =
                    filter.split_once('#').map_or((filter, None), |(k, r)| (k, Some(r)));
                let (object_kind, object_id) =
                    text(request, "object").split_once(':').unwrap_or_default();
                let context = context_of(assertion);
                let found = store.list_users(
                    None,
                    &ListUsersRequest {
                        object_kind,
                        object_id,
                        relation: text(request, "relation"),
                        filter: UserFilter { kind, relation },
                        contextual_tuples: &contextual,
                        context: context.as_ref(),
                    },
                );
                let found = found.map(|users| users.iter().map(user_text).collect::<BTreeSet<_>>());
                expect(found, assertion, strings(&assertion["expectation"]))
            })
            .collect()
    });
}

fn user_text(user: &ListedUser) -> String {
    match user {
        ListedUser::Object { kind, id } => format!("{kind}:{id}"),
        ListedUser::Userset { kind, id, relation } => format!("{kind}:{id}#{relation}"),
        ListedUser::Wildcard { kind } => format!("{kind}:*"),
    }
}
