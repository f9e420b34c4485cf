#![no_main]
//! A model as JSON is refused or written, whatever it says.

use fga_engine::Engine;
use fga_engine::wire::AuthorizationModel;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(model) = serde_json::from_slice::<AuthorizationModel>(data) {
        let _ = Engine::default().create_store("fuzz").write_model(model);
    }
});
