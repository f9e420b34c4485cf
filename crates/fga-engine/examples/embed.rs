//! A store, a model, tuples, a question: `cargo run -p fga-engine --example embed`.

use fga_engine::{CheckRequest, Engine, TupleKey, WriteRequest, dsl};

const MODEL: &str = "
model
  schema 1.1

type user

type team
  relations
    define member: [user]

type folder
  relations
    define viewer: [user, team#member]

type document
  relations
    define parent: [folder]
    define owner: [user]
    define viewer: [user] or owner or viewer from parent
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::default();
    let store = engine.create_store("documents");
    store.write_model(dsl::parse(MODEL)?)?;
    store.write(&WriteRequest {
        writes: vec![
            TupleKey::new("team:staff", "member", "user:anne"),
            TupleKey::new("folder:plans", "viewer", "team:staff#member"),
            TupleKey::new("document:2027", "parent", "folder:plans"),
        ],
        ..WriteRequest::default()
    })?;

    for user in ["user:anne", "user:bob"] {
        let question = CheckRequest {
            user,
            relation: "viewer",
            object: "document:2027",
            ..CheckRequest::default()
        };
        println!("may {user} view document:2027? {}", store.check(None, &question)?);
    }
    Ok(())
}
