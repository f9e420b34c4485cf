//! OpenFGA's HTTP API on the engine: same paths, same JSON, same errors.
//!
//! Clients of a real server work unchanged. Not offered: the `AuthZEN` endpoints, and
//! assertions, which only the playground uses.

mod field;
mod lists;
mod models;
mod queries;
mod reply;
mod stores;
mod tuples;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};

use crate::{Engine, EngineError, ErrorCode};
use reply::Failure;

/// OpenFGA's limit for a message: 512 * 1204 bytes.
const MAX_BODY: usize = 512 * 1204;

/// The API as a router; the caller decides where it listens and who may reach it. It
/// asks for no credentials.
///
/// ```
/// use std::sync::Arc;
///
/// use fga_engine::{Engine, api};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let served = axum::serve(listener, api::router(Arc::new(Engine::default())));
/// // Goes on until the program ends; here it is not even started.
/// drop(served.into_future());
/// # Ok(())
/// # }
/// ```
pub fn router(engine: Arc<Engine>) -> Router {
    let store = Router::new()
        .route("/authorization-models", get(models::list).post(models::write))
        .route("/authorization-models/{id}", get(models::read))
        .route("/write", post(tuples::write))
        .route("/read", post(tuples::read))
        .route("/changes", get(tuples::changes))
        .route("/check", post(queries::check))
        .route("/batch-check", post(queries::batch_check))
        .route("/expand", post(queries::expand))
        .route("/list-objects", post(lists::list_objects))
        .route("/streamed-list-objects", post(lists::streamed_list_objects))
        .route("/list-users", post(lists::list_users));
    Router::new()
        .route("/healthz", get(healthy))
        .route("/stores", get(stores::list).post(stores::create))
        .route("/stores/{store}", get(stores::read).delete(stores::delete))
        .nest("/stores/{store}", store)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(engine)
}

async fn healthy() -> (StatusCode, reply::Json<serde_json::Value>) {
    (StatusCode::OK, reply::Json(serde_json::json!({ "status": "SERVING" })))
}

async fn not_found() -> Failure {
    Failure(EngineError::new(ErrorCode::UndefinedEndpoint, "Not Found"))
}

async fn method_not_allowed(_: Method) -> Failure {
    Failure(EngineError::new(ErrorCode::Unimplemented, "Method Not Allowed"))
}
