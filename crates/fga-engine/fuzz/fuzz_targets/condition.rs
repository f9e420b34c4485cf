#![no_main]
//! A condition's expression is refused, or evaluated within its bounds.

use fga_engine::{CheckRequest, Engine, dsl};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|expression: &str| {
    let text = format!(
        "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user with c]\n\
         condition c(x: int, s: string, l: list<int>) {{\n  {expression}\n}}\n"
    );
    let store = Engine::default().create_store("fuzz");
    if let Ok(model) = dsl::parse(&text)
        && store.write_model(model).is_ok()
    {
        let context = serde_json::json!({"x": 1, "s": "a", "l": [1, 2]});
        let request = CheckRequest {
            user: "user:a",
            relation: "viewer",
            object: "doc:1",
            context: context.as_object(),
            ..CheckRequest::default()
        };
        let _ = store.check(None, &request);
    }
});
