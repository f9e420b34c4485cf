//! What a check costs in a store of a million tuples, and what a tuple weighs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::pedantic,
    missing_docs,
    unreachable_pub,
    reason = "a bench may panic"
)]

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

#[path = "../tests/engine/support/http.rs"]
mod http;
#[path = "../tests/engine/support/openfga.rs"]
mod openfga;

use criterion::{Criterion, criterion_group, criterion_main};
use fga_engine::{CheckRequest, Engine, Store, TupleKey, dsl};

const TUPLES: usize = 1_000_000;
const USERS: usize = 300_000;
const FEATURES: usize = 2_000;
const ROLES: usize = 1_000;
/// Chains of a document and five folders.
const CHAINS: usize = 30_000;
const LEVELS: usize = 5;
/// Different questions that a benchmark goes through.
const QUESTIONS: usize = 1_024;

const MODEL: &str = "
model
  schema 1.1
type user
type role
  relations
    define member: [user]
type feature
  relations
    define viewer: [user, role#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user] or viewer from parent
type document
  relations
    define parent: [folder]
    define viewer: [user] or viewer from parent
";

fn user(number: usize) -> String {
    format!("user:3184628712364{:06}", number % USERS)
}

/// Spreads neighbouring numbers over the whole range.
const fn scatter(number: usize) -> usize {
    number.wrapping_mul(2_654_435_761) % 4_294_967_291
}

const DIRECT: usize = (TUPLES - FEATURES - CHAINS * (LEVELS + 1)) / 2;

/// Made one after the other, so that they do not count as the store's memory.
fn tuples() -> impl Iterator<Item = TupleKey> {
    let usersets = (0..FEATURES).map(|feature| {
        let userset = format!("role:{}#member", feature % ROLES);
        TupleKey::new(&format!("feature:f{feature}"), "viewer", &userset)
    });
    let chains = (0..CHAINS).flat_map(|chain| {
        let folder = move |level| format!("folder:{chain}-{level}");
        let document = TupleKey::new(&format!("document:{chain}"), "parent", &folder(1));
        let folders = (1..LEVELS)
            .map(move |level| TupleKey::new(&folder(level), "parent", &folder(level + 1)));
        let viewer = TupleKey::new(&folder(LEVELS), "viewer", &user(chain));
        std::iter::once(document).chain(folders).chain(std::iter::once(viewer))
    });
    let members = (0..DIRECT).map(|number| {
        TupleKey::new(
            &format!("role:{}", number % ROLES),
            "member",
            &user(number / ROLES * 7 + number),
        )
    });
    let viewers = (0..DIRECT).map(|number| {
        let feature = format!("feature:f{}", number % FEATURES);
        TupleKey::new(&feature, "viewer", &user(number / FEATURES * 11 + number))
    });
    usersets.chain(chains).chain(members).chain(viewers)
}

/// Resident memory in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

fn load() -> Arc<Store> {
    let engine = Engine::default();
    let store = engine.create_store("bench");
    store.write_model(dsl::parse(MODEL).unwrap()).unwrap();
    let before = resident();
    let mut tuples = tuples().peekable();
    while tuples.peek().is_some() {
        store.load_tuples(tuples.by_ref().take(100).collect()).unwrap();
    }
    let bytes = resident().saturating_sub(before);
    println!("{} tuples, about {} bytes each", store.len(), bytes / store.len());
    store
}

/// Runs through the questions, one per iteration; all must have the same answer.
fn bench(
    c: &mut Criterion,
    name: &str,
    store: &Store,
    questions: &[(String, &str, String)],
    answer: bool,
) {
    let next = Cell::new(0);
    c.bench_function(name, |bencher| {
        bencher.iter(|| {
            let (user, relation, object) = &questions[next.get() % questions.len()];
            next.set(next.get() + 1);
            let request = CheckRequest { user, relation, object, ..CheckRequest::default() };
            assert_eq!(store.check(None, black_box(&request)), Ok(answer));
        });
    });
}

fn checks(c: &mut Criterion) {
    let store = load();
    let questions = |of: &dyn Fn(usize) -> (String, &'static str, String)| -> Vec<_> {
        (0..QUESTIONS).map(|number| of(scatter(number))).collect()
    };
    let direct = questions(&|n| {
        let n = n % DIRECT;
        (user(n / ROLES * 7 + n), "member", format!("role:{}", n % ROLES))
    });
    bench(c, "direct relation", &store, &direct, true);
    let nobody =
        questions(&|n| (format!("user:nobody{n}"), "member", format!("role:{}", n % ROLES)));
    bench(c, "direct relation, denied", &store, &nobody, false);
    let userset = questions(&|n| {
        let n = n % DIRECT;
        (user(n / ROLES * 7 + n), "viewer", format!("feature:f{}", n % ROLES))
    });
    bench(c, "role to feature", &store, &userset, true);
    let hierarchy =
        questions(&|n| (user(n % CHAINS), "viewer", format!("document:{}", n % CHAINS)));
    bench(c, "five-level hierarchy", &store, &hierarchy, true);
    writes(c, &store);
    beside_the_server(c);
}

/// The first kind of question to a real OpenFGA over loopback, one after the other; its median over
/// that of `direct relation` is the ratio.
fn beside_the_server(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(openfga::OpenFga::start());
    let store = runtime.block_on(server.create_store());
    let model = dsl::parse(MODEL).unwrap();
    let model = serde_json::json!({
        "schema_version": model.schema_version,
        "type_definitions": model.type_definitions,
    });
    let tuple = serde_json::json!({"user": user(1), "relation": "member", "object": "role:1"});
    let post = |path: &str, body: serde_json::Value| {
        let (status, body) =
            runtime.block_on(server.post(&format!("/stores/{store}/{path}"), &body));
        assert!(status < 300, "{body}");
        body
    };
    post("authorization-models", model);
    post("write", serde_json::json!({"writes": {"tuple_keys": [tuple]}}));
    c.bench_function("direct relation, OpenFGA over loopback", |bencher| {
        bencher.iter(|| {
            let body = post("check", serde_json::json!({"tuple_key": tuple}));
            assert_eq!(body["allowed"], true);
        });
    });
}

fn writes(c: &mut Criterion, store: &Store) {
    let tuple = vec![TupleKey::new("feature:f1", "viewer", "user:writer")];
    let write = fga_engine::WriteRequest { writes: tuple.clone(), ..Default::default() };
    let delete = fga_engine::WriteRequest { deletes: tuple, ..Default::default() };
    c.bench_function("write and delete one tuple", |bencher| {
        bencher.iter(|| {
            store.write(&write).unwrap();
            store.write(&delete).unwrap();
        });
    });
}

criterion_group!(benches, checks);
criterion_main!(benches);
