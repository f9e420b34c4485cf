//! Tuples that count only under a condition: `cargo run -p fga-engine --example conditions`.

use fga_engine::{CheckRequest, Context, Engine, RelationshipCondition, TupleKey, dsl};
use serde_json::json;

const MODEL: &str = "
model
  schema 1.1

type user

type document
  relations
    define viewer: [user with until]

condition until(now: timestamp, end: timestamp) {
  now < end
}
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Engine::default().create_store("documents");
    store.write_model(dsl::parse(MODEL)?)?;
    // The tuple fixes one parameter, the request brings the other.
    let until = RelationshipCondition {
        name: "until".to_owned(),
        context: context(&[("end", "2027-01-01T00:00:00Z")]),
    };
    let tuple = TupleKey::new("document:plan", "viewer", "user:anne");
    store.load_tuples(vec![TupleKey { condition: Some(until), ..tuple }])?;

    for now in ["2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"] {
        let context = context(&[("now", now)]);
        let question = CheckRequest {
            user: "user:anne",
            relation: "viewer",
            object: "document:plan",
            context: Some(&context),
            ..CheckRequest::default()
        };
        println!("at {now}: {}", store.check(None, &question)?);
    }

    // A parameter that nobody gives is an error and no answer.
    let question = CheckRequest {
        user: "user:anne",
        relation: "viewer",
        object: "document:plan",
        ..CheckRequest::default()
    };
    match store.check(None, &question) {
        Ok(answer) => println!("without a time: {answer}"),
        Err(error) => println!("without a time: {error}"),
    }
    Ok(())
}

fn context(parameters: &[(&str, &str)]) -> Context {
    parameters.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
}
