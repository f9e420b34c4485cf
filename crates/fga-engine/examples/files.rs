//! A store from a `.fga.yaml` file, and its tuples page by page:
//! `cargo run -p fga-engine --example files -- permissions.fga.yaml`.

use std::path::PathBuf;

use fga_engine::{Engine, ReadFilter};

const PAGE: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let path = path.ok_or("a model (.fga, .json) or a store file (.fga.yaml) is wanted")?;
    let store = Engine::default().load_file(&path)?;
    println!("{}: {} tuples", store.name(), store.len());
    let mut position = None;
    loop {
        let page = store.read(&ReadFilter::default(), position.as_ref(), PAGE);
        for tuple in &page.tuples {
            println!("{}", tuple.key);
        }
        let Some(next) = page.next else { return Ok(()) };
        position = Some(next);
    }
}
