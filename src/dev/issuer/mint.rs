//! Tokens for whoever asks, in the sandbox.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::get;

use super::State as Issuer;
use super::token::TokenBuilder;

pub(super) fn router(issuer: Arc<Issuer>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/token/{subject}", get(jwt))
        .route("/opaque/{subject}", get(opaque))
        .with_state(issuer)
}

async fn page() -> Html<&'static str> {
    Html(
        "<!doctype html><title>Tokens</title><h1>Tokens for the sandbox</h1>\
         <p>/token/NAME gives a JWT, /opaque/NAME an opaque token, for any NAME.</p><ul>\
         <li><a href=/token/ann>ann</a> may view the reports\
         <li><a href=/token/bob>bob</a> may not\
         <li><a href=/token/carol>carol</a> may; for the rate limit\
         <li><a href=/opaque/ann>ann, opaque</a></ul>",
    )
}

async fn jwt(
    State(issuer): State<Arc<Issuer>>,
    Path(subject): Path<String>,
) -> Result<String, (StatusCode, String)> {
    TokenBuilder::access(&issuer, &subject).sign().map_err(failed)
}

async fn opaque(
    State(issuer): State<Arc<Issuer>>,
    Path(subject): Path<String>,
) -> Result<String, (StatusCode, String)> {
    TokenBuilder::access(&issuer, &subject).opaque().map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
