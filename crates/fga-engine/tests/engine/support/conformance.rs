//! Reads OpenFGA's test cases.

use fga_engine::TupleKey;
use serde_json::Value;

pub struct Case {
    pub name: String,
    pub stages: Vec<Value>,
}

pub fn cases() -> Vec<Case> {
    let files = [
        include_str!("../../data/openfga/schema_1_1.json"),
        include_str!("../../data/openfga/conditions.json"),
    ];
    let mut cases = Vec::new();
    for file in files {
        // JSON has no infinity: no client can send one, and as text it is refused as well.
        let file =
            file.replace(": Infinity", ": \"Infinity\"").replace(": -Infinity", ": \"-Infinity\"");
        let file: Value = serde_json::from_str(&file).unwrap();
        for test in file["tests"].as_array().unwrap() {
            cases.push(Case {
                name: test["name"].as_str().unwrap().to_owned(),
                stages: test["stages"].as_array().unwrap().clone(),
            });
        }
    }
    cases
}

pub fn tuples_of(value: &Value) -> Vec<TupleKey> {
    serde_json::from_value::<Option<Vec<TupleKey>>>(value.clone()).unwrap().unwrap_or_default()
}
