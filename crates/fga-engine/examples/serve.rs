//! OpenFGA's HTTP API in memory: `cargo run -p fga-engine --example serve -- 127.0.0.1:8080`, then
//!
//! ```text
//! curl -s -X POST http://127.0.0.1:8080/stores -d '{"name": "documents"}'
//! ```
//!
//! It asks for no credentials, so it listens on loopback unless it is told otherwise.

use std::sync::Arc;

use fga_engine::{Engine, api};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(&address).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, api::router(Arc::new(Engine::default()))).await
}
