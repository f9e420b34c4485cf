//! Creating, listing and deleting stores.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::field;
use super::reply::{Failure, Json};
use crate::clock::rfc3339;
use crate::{Engine, EngineError, ErrorCode, Store};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Create {
    name: String,
}

pub(super) async fn create(
    State(engine): State<Arc<Engine>>,
    Json(request): Json<Create>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    field::store_name("CreateStoreRequest", &request.name)?;
    let store = engine.create_store(&request.name);
    let created = rfc3339(store.created());
    let body = json!({
        "id": store.id(), "name": store.name(), "created_at": created, "updated_at": created,
    });
    Ok((StatusCode::CREATED, Json(body)))
}

#[derive(Deserialize)]
pub(super) struct List {
    page_size: Option<i64>,
    continuation_token: Option<String>,
    name: Option<String>,
}

pub(super) async fn list(
    State(engine): State<Arc<Engine>>,
    Query(request): Query<List>,
) -> Result<Json<Value>, Failure> {
    let limit = field::page_size("ListStoresRequest", request.page_size)?;
    let after = field::token("ListStoresRequest", request.continuation_token.as_deref())?;
    if after.as_ref().is_some_and(|after| field::ulid("", after).is_err()) {
        return Err(Failure(EngineError::invalid_token()));
    }
    let name = request.name.filter(|name| !name.is_empty());
    let mut stores = engine.stores();
    stores.retain(|store| {
        after.as_deref().is_none_or(|after| store.id() > after)
            && name.as_deref().is_none_or(|name| store.name() == name)
    });
    let has_more = stores.len() > limit;
    stores.truncate(limit);
    let last = stores.last().filter(|_| has_more);
    let token = last.map_or_else(String::new, |store| field::encode_token(store.id()));
    let stores: Vec<_> = stores.iter().map(|store| describe(store)).collect();
    Ok(Json(json!({ "stores": stores, "continuation_token": token })))
}

pub(super) async fn read(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    field::store_id("GetStoreRequest", &id)?;
    let store = engine
        .find_store(&id)
        .ok_or_else(|| EngineError::new(ErrorCode::StoreNotFound, "Store ID not found"))?;
    Ok(Json(describe(&store)))
}

pub(super) async fn delete(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    field::store_id("DeleteStoreRequest", &id)?;
    engine.delete_store(&id);
    Ok(StatusCode::NO_CONTENT)
}

fn describe(store: &Store) -> Value {
    let created = rfc3339(store.created());
    json!({
        "id": store.id(), "name": store.name(),
        "created_at": created, "updated_at": created, "deleted_at": null,
    })
}
