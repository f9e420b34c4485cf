//! Writes, reads, changes and files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use fga_engine::{
    ChangesFilter, CheckRequest, Engine, ErrorCode, OnDuplicate, OnMissing, Operation, ReadFilter,
    Store, TupleKey, WriteRequest, dsl,
};

const MODEL: &str = "model\n  schema 1.1\ntype user\ntype group\n  relations\n    define member: [user]\ntype doc\n  relations\n    define viewer: [user, user with less, group#member]\ncondition less(x: int) {\n  x < 10\n}\n";

fn store() -> Arc<Store> {
    let clock = Arc::new(|| UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
    let store = Engine::new(clock).create_store("test");
    store.write_model(dsl::parse(MODEL).unwrap()).unwrap();
    store
}

fn viewer(user: &str) -> TupleKey {
    TupleKey::new("doc:1", "viewer", user)
}

fn writes(tuples: Vec<TupleKey>) -> WriteRequest {
    WriteRequest { writes: tuples, ..WriteRequest::default() }
}

fn deletes(tuples: Vec<TupleKey>) -> WriteRequest {
    WriteRequest { deletes: tuples, ..WriteRequest::default() }
}

fn code(store: &Store, request: &WriteRequest) -> Option<ErrorCode> {
    store.write(request).err().map(|error| error.code)
}

#[test]
fn a_write_happens_whole_or_not_at_all() {
    let store = store();
    store.write(&writes(vec![viewer("user:a")])).unwrap();
    let request = writes(vec![viewer("user:b"), viewer("user:a")]);
    assert_eq!(code(&store, &request), Some(ErrorCode::WriteFailedDueToInvalidInput));
    let request = writes(vec![viewer("user:b"), TupleKey::new("doc:1", "nothing", "user:c")]);
    assert_eq!(code(&store, &request), Some(ErrorCode::ValidationError));
    assert_eq!((store.len(), store.revision()), (1, 1));
}

#[test]
fn duplicates_and_missing_tuples_are_refused_or_ignored_as_asked() {
    let store = store();
    store.write(&writes(vec![viewer("user:a")])).unwrap();
    let again =
        WriteRequest { on_duplicate: OnDuplicate::Ignore, ..writes(vec![viewer("user:a")]) };
    assert_eq!(code(&store, &again), None);
    let conditional = serde_json::json!({"object": "doc:1", "relation": "viewer", "user": "user:a", "condition": {"name": "less"}});
    let conflicting = WriteRequest {
        on_duplicate: OnDuplicate::Ignore,
        ..writes(vec![serde_json::from_value(conditional).unwrap()])
    };
    assert_eq!(code(&store, &conflicting), Some(ErrorCode::Aborted));
    let missing = deletes(vec![viewer("user:b")]);
    assert_eq!(code(&store, &missing), Some(ErrorCode::WriteFailedDueToInvalidInput));
    assert_eq!(code(&store, &WriteRequest { on_missing: OnMissing::Ignore, ..missing }), None);
    // Nothing was changed, so nobody is told.
    assert_eq!(store.revision(), 1);
    assert_eq!(
        store.changes(&ChangesFilter { limit: 10, ..ChangesFilter::default() }).changes.len(),
        1
    );
}

#[test]
fn limits_of_a_write_are_openfgas() {
    let store = store();
    let many = |count: usize| (0..count).map(|n| viewer(&format!("user:{n}"))).collect();
    assert_eq!(code(&store, &WriteRequest::default()), Some(ErrorCode::InvalidWriteInput));
    assert_eq!(code(&store, &writes(many(101))), Some(ErrorCode::ExceededEntityLimit));
    assert_eq!(code(&store, &writes(many(100))), None);
    let twice = writes(vec![viewer("user:x"), viewer("user:x")]);
    assert_eq!(code(&store, &twice), Some(ErrorCode::DuplicateTuplesInRequest));
    let implicit = writes(vec![TupleKey::new("group:1", "member", "group:1#member")]);
    assert_eq!(code(&store, &implicit), Some(ErrorCode::ValidationError));
}

#[test]
fn reads_page_through_a_store_that_changes_meanwhile() {
    let store = store();
    let users: Vec<String> = (0..250).map(|n| format!("user:{n}")).collect();
    store.load_tuples(users.iter().map(|user| viewer(user)).collect()).unwrap();
    let filter = ReadFilter { object: "doc:1", ..ReadFilter::default() };
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.read(&filter, after.as_ref(), 100);
        seen.extend(page.tuples.iter().map(|tuple| tuple.key.user.clone()));
        store.write(&deletes(page.tuples.iter().map(|tuple| tuple.key.clone()).collect())).unwrap();
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), store.len()), (250, 0));
}

#[test]
fn reads_filter_by_object_type_relation_and_user() {
    let store = store();
    let tuples = vec![
        viewer("user:a"),
        viewer("group:1#member"),
        TupleKey::new("doc:2", "viewer", "user:a"),
        TupleKey::new("group:1", "member", "user:a"),
    ];
    store.load_tuples(tuples).unwrap();
    let count = |object, relation, user| {
        store.read(&ReadFilter { object, relation, user }, None, 100).tuples.len()
    };
    assert_eq!(count("", "", ""), 4);
    assert_eq!(count("doc:1", "", ""), 2);
    assert_eq!(count("doc:", "", "user:a"), 2);
    assert_eq!(count("doc:1", "viewer", "group:1#member"), 1);
    assert_eq!(count("doc:1", "viewer", "group:1"), 0);
    assert_eq!(count("doc:1", "", "group:"), 1);
    assert_eq!(count("group:1", "member", "user:a"), 1);
    assert_eq!(count("nothing:1", "", ""), 0);
}

#[tokio::test]
async fn subscribers_learn_of_every_write() {
    let store = store();
    let mut revisions = store.subscribe();
    store.write(&writes(vec![viewer("user:a")])).unwrap();
    revisions.changed().await.unwrap();
    assert_eq!(*revisions.borrow_and_update(), store.revision());
    store.write(&deletes(vec![viewer("user:a")])).unwrap();
    revisions.changed().await.unwrap();
    let all = store.changes(&ChangesFilter { limit: 10, ..ChangesFilter::default() });
    let operations: Vec<_> = all.changes.iter().map(|change| change.operation).collect();
    assert_eq!(operations, [Operation::Write, Operation::Delete]);
    assert!(all.is_complete);
    let filter = ChangesFilter {
        after: Some(all.changes[0].sequence),
        limit: 10,
        ..ChangesFilter::default()
    };
    assert_eq!(store.changes(&filter).changes, all.changes[1..]);
    let of_groups = ChangesFilter { kind: Some("group"), limit: 10, ..ChangesFilter::default() };
    assert_eq!(store.changes(&of_groups).changes, []);
}

#[test]
fn a_reader_never_sees_half_a_write() {
    let store = store();
    let (a, b) = (viewer("user:a"), viewer("user:b"));
    store.write(&writes(vec![a.clone()])).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2_000 {
                let swap = |from: &TupleKey, to: &TupleKey| WriteRequest {
                    deletes: vec![from.clone()],
                    writes: vec![to.clone()],
                    ..WriteRequest::default()
                };
                store.write(&swap(&a, &b)).unwrap();
                store.write(&swap(&b, &a)).unwrap();
            }
            stop.store(true, Ordering::Relaxed);
        });
        while !stop.load(Ordering::Relaxed) {
            let page = store.read(&ReadFilter::default(), None, 10);
            assert_eq!(page.tuples.len(), 1);
        }
    });
}

#[test]
fn names_and_conditions_that_nothing_uses_are_swept_out() {
    let store = store();
    store.write(&writes(vec![viewer("user:stays"), viewer("group:1#member")])).unwrap();
    let conditional = |user: String, x: usize| {
        let condition = serde_json::json!({"name": "less", "context": {"x": x}});
        let condition = Some(serde_json::from_value(condition).unwrap());
        TupleKey { condition, ..viewer(&user) }
    };
    store.load_tuples(vec![conditional("user:less".to_owned(), 3)]).unwrap();
    for round in 0..7 {
        let users =
            (0..60_000).map(|n| conditional(format!("user:{round}-{n}"), round * 60_000 + n));
        let users: Vec<_> = users.collect();
        store.load_tuples(users.clone()).unwrap();
        for chunk in users.chunks(100) {
            store.write(&deletes(chunk.to_vec())).unwrap();
        }
    }
    let check = |user| {
        let request =
            CheckRequest { user, relation: "viewer", object: "doc:1", ..CheckRequest::default() };
        store.check(None, &request)
    };
    for user in ["user:stays", "group:1#member", "user:less"] {
        assert_eq!(check(user), Ok(true), "{user}");
    }
    assert_eq!(check("user:6-1"), Ok(false));
    assert_eq!(store.len(), 3);
    let newest = ChangesFilter { limit: usize::MAX, ..ChangesFilter::default() };
    let last = store.changes(&newest).changes.pop().unwrap();
    assert_eq!((last.tuple.user.as_str(), last.operation), ("user:6-59999", Operation::Delete));
}

#[test]
fn a_saved_engine_comes_back_as_it_was() {
    let folder = std::env::temp_dir().join(format!("engine-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("state.json");
    let engine = Engine::default();
    let store = engine.create_store("kept");
    let model = store.write_model(dsl::parse(MODEL).unwrap()).unwrap();
    let conditional = serde_json::json!({"object": "doc:2", "relation": "viewer", "user": "user:a", "condition": {"name": "less", "context": {"x": 3}}});
    store
        .load_tuples(vec![viewer("group:1#member"), serde_json::from_value(conditional).unwrap()])
        .unwrap();
    engine.save(&path).unwrap();

    let restored = Engine::default();
    restored.restore(&path).unwrap();
    let again = restored.find_store(store.id()).unwrap();
    assert_eq!(again.model(None).unwrap().id(), model);
    assert_eq!(again.name(), "kept");
    let everything = |store: &Store| store.read(&ReadFilter::default(), None, 10).tuples;
    assert_eq!(everything(&again), everything(&store));
    let request = CheckRequest {
        user: "user:a",
        relation: "viewer",
        object: "doc:2",
        ..CheckRequest::default()
    };
    assert_eq!(again.check(None, &request), Ok(true));
    again.write(&writes(vec![viewer("user:new")])).unwrap();
    let changes = again.changes(&ChangesFilter { limit: 10, ..ChangesFilter::default() }).changes;
    assert_eq!((changes.len(), changes[0].sequence), (1, 2));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn store_files_bring_models_and_tuples_in_every_format() {
    let folder = std::env::temp_dir().join(format!("engine-files-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("model.fga", MODEL);
    write(
        "more.yaml",
        "- user: user:b\n  relation: viewer\n  object: doc:1\n  condition:\n    name: less\n    context:\n      x: 3\n",
    );
    write("more.json", r#"[{"user": "user:c", "relation": "viewer", "object": "doc:1"}]"#);
    write(
        "more.jsonl",
        "{\"user\": \"user:d\", \"relation\": \"viewer\", \"object\": \"doc:1\"}\n\n",
    );
    write("more.csv", "user_type,user_id,relation,object_type,object_id\nuser,e,viewer,doc,1\n");
    write(
        "store.fga.yaml",
        "name: Guide\nmodel_file: ./model.fga\ntuple_file: ./more.yaml\ntuple_files:\n  - more.json\n  - more.jsonl\n  - more.csv\ntuples:\n  - user: user:a\n    relation: viewer\n    object: doc:1\ntests: []\n",
    );
    let engine = Engine::default();
    let store = engine.load_file(&folder.join("store.fga.yaml")).unwrap();
    assert_eq!((store.name(), store.len()), ("Guide", 5));

    let json = serde_json::to_string(store.model(None).unwrap().definition()).unwrap();
    // As some editors write it.
    write("model.json", &format!("\u{feff}{json}"));
    assert!(engine.load_file(&folder.join("model.json")).unwrap().is_empty());
    write("inline.fga.yaml", &format!("model: |\n  {}\n", MODEL.replace('\n', "\n  ")));
    assert!(engine.load_file(&folder.join("inline.fga.yaml")).is_ok());

    write("broken.fga.yaml", "model: |\n  model\n    schema 1.1\n  type\n");
    let error = engine.load_file(&folder.join("broken.fga.yaml")).unwrap_err();
    assert!(
        error.to_string().contains("broken.fga.yaml") && error.to_string().contains("line 3"),
        "{error}"
    );
    assert!(engine.load_file(&folder.join("missing.fga")).is_err());
    std::fs::remove_dir_all(folder).unwrap();
}
