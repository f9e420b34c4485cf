#![no_main]
//! Text in OpenFGA's language is refused or becomes a model that is refused or written.

use fga_engine::{Engine, dsl};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(model) = dsl::parse(text) {
        let _ = Engine::default().create_store("fuzz").write_model(model);
    }
});
