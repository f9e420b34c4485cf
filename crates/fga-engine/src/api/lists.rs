//! The two lists.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::field;
use super::queries::{ContextualTuples, target};
use super::reply::{Answer, Failure, Json};
use crate::wire::default_on_null;
use crate::{
    Context, Engine, EngineError, ListObjectsRequest, ListUsersRequest, ListedUser, TupleKey,
    UserFilter,
};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ListObjects {
    #[serde(rename = "type", deserialize_with = "default_on_null")]
    kind: String,
    #[serde(deserialize_with = "default_on_null")]
    relation: String,
    #[serde(deserialize_with = "default_on_null")]
    user: String,
    #[serde(deserialize_with = "default_on_null")]
    contextual_tuples: ContextualTuples,
    context: Option<Context>,
    authorization_model_id: Option<String>,
}

fn objects(
    engine: &Engine,
    name: &str,
    store: &str,
    request: &ListObjects,
) -> Result<(String, Vec<String>), EngineError> {
    field::store_id(name, store)?;
    field::kind(&format!("{name}.Type"), &request.kind)?;
    field::relation(&format!("{name}.Relation"), &request.relation)?;
    if request.user.is_empty() || request.user.len() > 512 {
        let message =
            format!("invalid {name}.User: value length must be between 1 and 512 bytes, inclusive");
        return Err(EngineError::validation(message));
    }
    request.contextual_tuples.tuple_keys.iter().try_for_each(field::tuple)?;
    let target = target(engine, name, store, request.authorization_model_id.as_deref())?;
    let found = target.store.list_objects(
        Some(&target.model),
        &ListObjectsRequest {
            kind: &request.kind,
            relation: &request.relation,
            user: &request.user,
            contextual_tuples: &request.contextual_tuples.tuple_keys,
            context: request.context.as_ref(),
        },
    )?;
    Ok((target.model, found))
}

pub(super) async fn list_objects(
    State(engine): State<Arc<Engine>>,
    Path(store): Path<String>,
    Json(request): Json<ListObjects>,
) -> Result<Answer<Value>, Failure> {
    let (model, objects) = objects(&engine, "ListObjectsRequest", &store, &request)?;
    Ok(Answer { model, body: json!({ "objects": objects }) })
}

pub(super) async fn streamed_list_objects(
    State(engine): State<Arc<Engine>>,
    Path(store): Path<String>,
    Json(request): Json<ListObjects>,
) -> Result<Response, Failure> {
    let (_, objects) = objects(&engine, "StreamedListObjectsRequest", &store, &request)?;
    let lines =
        objects.iter().map(|object| format!("{}\n", json!({ "result": { "object": object } })));
    let headers = [(header::CONTENT_TYPE, "application/json")];
    Ok((headers, lines.collect::<String>()).into_response())
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TypedObject {
    #[serde(rename = "type", deserialize_with = "default_on_null")]
    kind: String,
    #[serde(deserialize_with = "default_on_null")]
    id: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Filter {
    #[serde(rename = "type", deserialize_with = "default_on_null")]
    kind: String,
    #[serde(deserialize_with = "default_on_null")]
    relation: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ListUsers {
    #[serde(deserialize_with = "default_on_null")]
    object: TypedObject,
    #[serde(deserialize_with = "default_on_null")]
    relation: String,
    #[serde(deserialize_with = "default_on_null")]
    user_filters: Vec<Filter>,
    #[serde(deserialize_with = "default_on_null")]
    contextual_tuples: Vec<TupleKey>,
    context: Option<Context>,
    authorization_model_id: Option<String>,
}

pub(super) async fn list_users(
    State(engine): State<Arc<Engine>>,
    Path(store): Path<String>,
    Json(request): Json<ListUsers>,
) -> Result<Answer<Value>, Failure> {
    const NAME: &str = "ListUsersRequest";
    field::store_id(NAME, &store)?;
    field::kind("Object.Type", &request.object.kind)?;
    field::object("Object.Id", &format!("{}:{}", request.object.kind, request.object.id))?;
    field::relation("ListUsersRequest.Relation", &request.relation)?;
    let [filter] = request.user_filters.as_slice() else {
        let message = format!("invalid {NAME}.UserFilters: value must contain exactly 1 item(s)");
        return Err(Failure(EngineError::validation(message)));
    };
    request.contextual_tuples.iter().try_for_each(field::tuple)?;
    let target = target(&engine, NAME, &store, request.authorization_model_id.as_deref())?;
    let relation = Some(filter.relation.as_str()).filter(|relation| !relation.is_empty());
    let users = target.store.list_users(
        Some(&target.model),
        &ListUsersRequest {
            object_kind: &request.object.kind,
            object_id: &request.object.id,
            relation: &request.relation,
            filter: UserFilter { kind: &filter.kind, relation },
            contextual_tuples: &request.contextual_tuples,
            context: request.context.as_ref(),
        },
    )?;
    let users: Vec<_> = users.iter().map(user).collect();
    Ok(Answer { model: target.model, body: json!({ "users": users }) })
}

fn user(user: &ListedUser) -> Value {
    match user {
        ListedUser::Object { kind, id } => json!({ "object": { "type": kind, "id": id } }),
        ListedUser::Userset { kind, id, relation } => {
            json!({ "userset": { "type": kind, "id": id, "relation": relation } })
        }
        ListedUser::Wildcard { kind } => json!({ "wildcard": { "type": kind } }),
    }
}
