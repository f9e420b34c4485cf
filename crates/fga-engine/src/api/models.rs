//! Writing and reading authorization models.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::field;
use super::reply::{Failure, Json};
use crate::model::limits;
use crate::wire::{AuthorizationModel, ConditionDefinition};
use crate::{Engine, EngineError, ErrorCode};

const SCHEMAS: [&str; 3] = ["1.0", "1.1", "1.2"];

pub(super) async fn write(
    State(engine): State<Arc<Engine>>,
    Path(store): Path<String>,
    Json(model): Json<AuthorizationModel>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    field::store_id("WriteAuthorizationModelRequest", &store)?;
    if !SCHEMAS.contains(&model.schema_version.as_str()) {
        const RULE: &str = "invalid WriteAuthorizationModelRequest.SchemaVersion: value must be in list [1.0 1.1 1.2]";
        // The API lists all broken rules and takes its code from the first.
        let before = limits::enforce(&model).err();
        return Err(Failure(before.map_or_else(
            || EngineError::validation(RULE),
            |error| EngineError { message: format!("{}; {RULE}", error.message), ..error },
        )));
    }
    let store = engine
        .find_store(&store)
        .ok_or_else(|| EngineError::new(ErrorCode::StoreNotFound, "Store ID not found"))?;
    let id = store.write_model(model)?;
    Ok((StatusCode::CREATED, Json(json!({ "authorization_model_id": id }))))
}

pub(super) async fn read(
    State(engine): State<Arc<Engine>>,
    Path((store, id)): Path<(String, String)>,
) -> Result<Json<Value>, Failure> {
    field::store_id("ReadAuthorizationModelRequest", &store)?;
    field::ulid("ReadAuthorizationModelRequest.Id", &id)?;
    let store = engine.find_store(&store).ok_or_else(|| EngineError::model_not_found(&id))?;
    let model = store.model(Some(&id))?;
    Ok(Json(json!({ "authorization_model": complete(model.definition()) })))
}

#[derive(Deserialize)]
pub(super) struct List {
    page_size: Option<i64>,
    continuation_token: Option<String>,
}

/// Newest first.
pub(super) async fn list(
    State(engine): State<Arc<Engine>>,
    Path(store): Path<String>,
    Query(request): Query<List>,
) -> Result<Json<Value>, Failure> {
    const NAME: &str = "ReadAuthorizationModelsRequest";
    field::store_id(NAME, &store)?;
    let limit = field::page_size(NAME, request.page_size)?;
    let after = field::token(NAME, request.continuation_token.as_deref())?;
    let mut models = engine.find_store(&store).map_or_else(Vec::new, |store| store.models());
    models.reverse();
    if let Some(after) = after {
        let position = models.iter().position(|model| model.id() == after);
        let position = position.ok_or_else(EngineError::invalid_token)?;
        models.drain(..=position);
    }
    let has_more = models.len() > limit;
    models.truncate(limit);
    let last = models.last().filter(|_| has_more);
    let token = last.map_or_else(String::new, |model| field::encode_token(model.id()));
    let models: Vec<_> = models.iter().map(|model| complete(model.definition())).collect();
    Ok(Json(json!({ "authorization_models": models, "continuation_token": token })))
}

/// OpenFGA writes out a condition's empty metadata too; the other empty fields are always
/// there.
fn complete(model: &AuthorizationModel) -> Value {
    let mut json = serde_json::to_value(model).unwrap_or_default();
    let conditions = json.get_mut("conditions").and_then(Value::as_object_mut);
    for (name, condition) in conditions.into_iter().flatten() {
        let has_metadata =
            model.conditions.get(name).is_some_and(|c: &ConditionDefinition| c.metadata.is_some());
        if let (Value::Object(condition), false) = (condition, has_metadata) {
            condition.insert("metadata".to_owned(), Value::Null);
        }
    }
    json
}
