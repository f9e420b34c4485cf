#![no_main]
//! The texts of a tuple are refused or stored and found again.

use fga_engine::{CheckRequest, Engine, TupleKey, dsl};
use libfuzzer_sys::fuzz_target;

const MODEL: &str =
    "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user, user:*, doc#viewer]\n";

fuzz_target!(|parts: (&str, &str, &str)| {
    let (object, relation, user) = parts;
    let store = Engine::default().create_store("fuzz");
    if let Ok(model) = dsl::parse(MODEL)
        && store.write_model(model).is_ok()
        && store.load_tuples(vec![TupleKey::new(object, relation, user)]).is_ok()
    {
        let request = CheckRequest { user, relation, object, ..CheckRequest::default() };
        let _ = store.check(None, &request);
    }
});
