//! Which objects, which users, and why: `cargo run -p fga-engine --example lists`.

use fga_engine::{
    Engine, ExpandRequest, ListObjectsRequest, ListUsersRequest, TupleKey, UserFilter, dsl,
};

const MODEL: &str = "
model
  schema 1.1

type user

type document
  relations
    define blocked: [user]
    define viewer: [user, user:*] but not blocked
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Engine::default().create_store("documents");
    store.write_model(dsl::parse(MODEL)?)?;
    store.load_tuples(vec![
        TupleKey::new("document:news", "viewer", "user:*"),
        TupleKey::new("document:news", "blocked", "user:bob"),
        TupleKey::new("document:plan", "viewer", "user:bob"),
    ])?;

    for user in ["user:anne", "user:bob"] {
        let request = ListObjectsRequest {
            kind: "document",
            relation: "viewer",
            user,
            ..ListObjectsRequest::default()
        };
        println!("{user} views {:?}", store.list_objects(None, &request)?);
    }

    let request = ListUsersRequest {
        object_kind: "document",
        object_id: "plan",
        relation: "viewer",
        filter: UserFilter { kind: "user", relation: None },
        ..ListUsersRequest::default()
    };
    println!("document:plan is viewed by {:?}", store.list_users(None, &request)?);

    let request =
        ExpandRequest { object: "document:news", relation: "viewer", ..ExpandRequest::default() };
    println!("document:news, why: {:#}", store.expand(None, &request)?);
    Ok(())
}
