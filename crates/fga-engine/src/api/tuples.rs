//! Writing and reading tuples, and what changed.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Value, json};

use super::field;
use super::reply::{Answer, Failure, Json};
use crate::clock::rfc3339;
use crate::wire::default_on_null;
use crate::{
    ChangesFilter, Engine, EngineError, ErrorCode, OnDuplicate, OnMissing, Operation, ReadFilter,
    ReadPosition, TupleKey, WriteRequest,
};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Write {
    writes: Option<Writes>,
    deletes: Option<Deletes>,
    authorization_model_id: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Writes {
    #[serde(deserialize_with = "default_on_null")]
    tuple_keys: Vec<TupleKey>,
    #[serde(deserialize_with = "default_on_null")]
    on_duplicate: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Deletes {
    #[serde(deserialize_with = "default_on_null")]
    tuple_keys: Vec<TupleKey>,
    #[serde(deserialize_with = "default_on_null")]
    on_missing: String,
}

pub(super) async fn write(
    State(engine): State<Arc<Engine>>,
    Path(store): Path<String>,
    Json(request): Json<Write>,
) -> Result<Answer<Value>, Failure> {
    const NAME: &str = "WriteRequest";
    field::store_id(NAME, &store)?;
    let model = field::model_id(NAME, request.authorization_model_id.as_deref())?;
    for (tuples, list) in [
        (request.writes.as_ref().map(|writes| &writes.tuple_keys), "WriteRequestWrites"),
        (request.deletes.as_ref().map(|deletes| &deletes.tuple_keys), "WriteRequestDeletes"),
    ] {
        let Some(tuples) = tuples else { continue };
        if tuples.is_empty() {
            let message =
                format!("invalid {list}.TupleKeys: value must contain at least 1 item(s)");
            return Err(Failure(EngineError::validation(message)));
        }
        tuples.iter().try_for_each(field::tuple)?;
    }
    let store = engine
        .find_store(&store)
        .ok_or_else(|| EngineError::model_not_found(model.unwrap_or_default()))?;
    let model = model.map(str::to_owned);
    let answered =
        store.model(model.as_deref()).map_or_else(|_| String::new(), |m| m.id().to_owned());
    let (writes, deletes) =
        (request.writes.unwrap_or_default(), request.deletes.unwrap_or_default());
    store.write(&WriteRequest {
        on_duplicate: on_duplicate(&writes.on_duplicate)?,
        on_missing: on_missing(&deletes.on_missing)?,
        writes: writes.tuple_keys,
        deletes: deletes.tuple_keys,
        model,
    })?;
    Ok(Answer { model: answered, body: json!({}) })
}

fn on_duplicate(option: &str) -> Result<OnDuplicate, EngineError> {
    match option {
        "" | "error" => Ok(OnDuplicate::Refuse),
        "ignore" => Ok(OnDuplicate::Ignore),
        _ => Err(EngineError::validation(format!("invalid on_duplicate option: {option}"))),
    }
}

fn on_missing(option: &str) -> Result<OnMissing, EngineError> {
    match option {
        "" | "error" => Ok(OnMissing::Refuse),
        "ignore" => Ok(OnMissing::Ignore),
        _ => Err(EngineError::validation(format!("invalid on_missing option: {option}"))),
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Read {
    tuple_key: Option<TupleKey>,
    page_size: Option<i64>,
    continuation_token: Option<String>,
}

pub(super) async fn read(
    State(engine): State<Arc<Engine>>,
    Path(store): Path<String>,
    Json(request): Json<Read>,
) -> Result<Json<Value>, Failure> {
    const NAME: &str = "ReadRequest";
    field::store_id(NAME, &store)?;
    let limit = field::page_size(NAME, request.page_size)?;
    let after = field::token(NAME, request.continuation_token.as_deref())?;
    let after = after.map(|token| read_position(&token)).transpose()?;
    if let Some(key) = &request.tuple_key {
        validate_filter(key)?;
    }
    let key = request.tuple_key.unwrap_or_default();
    let filter = ReadFilter { object: &key.object, relation: &key.relation, user: &key.user };
    let Some(store) = engine.find_store(&store) else {
        return Ok(Json(json!({ "tuples": [], "continuation_token": "" })));
    };
    let page = store.read(&filter, after.as_ref(), limit);
    let tuples = page
        .tuples
        .iter()
        .map(|tuple| json!({ "key": tuple.key, "timestamp": rfc3339(tuple.written) }));
    let token = page.next.map_or_else(String::new, |next| {
        field::encode_token(&json!([next.object, next.relation, next.user]).to_string())
    });
    Ok(Json(json!({ "tuples": tuples.collect::<Vec<_>>(), "continuation_token": token })))
}

fn read_position(token: &str) -> Result<ReadPosition, EngineError> {
    let parts: Result<(String, String, String), _> = serde_json::from_str(token);
    let (object, relation, user) = parts.map_err(|_| EngineError::invalid_token())?;
    Ok(ReadPosition { object, relation, user })
}

fn validate_filter(key: &TupleKey) -> Result<(), EngineError> {
    if !key.relation.is_empty() {
        field::relation("ReadRequestTupleKey.Relation", &key.relation)?;
    }
    if !key.object.is_empty() {
        field::object("ReadRequestTupleKey.Object", &key.object)?;
    }
    if !key.user.is_empty() {
        field::typed_user("ReadRequestTupleKey.User", &key.user)?;
    }
    let (kind, id) = crate::name::split_object(&key.object);
    if kind.is_empty() || (id.is_empty() && key.user.is_empty()) {
        return Err(EngineError::validation(
            "the 'tuple_key' field was provided but the object type field is required and both the object id and user cannot be empty",
        ));
    }
    Ok(())
}

#[derive(Deserialize)]
pub(super) struct Changes {
    #[serde(rename = "type", default)]
    kind: String,
    page_size: Option<i64>,
    continuation_token: Option<String>,
    start_time: Option<String>,
}

pub(super) async fn changes(
    State(engine): State<Arc<Engine>>,
    Path(store): Path<String>,
    Query(request): Query<Changes>,
) -> Result<Json<Value>, Failure> {
    const NAME: &str = "ReadChangesRequest";
    field::store_id(NAME, &store)?;
    let limit = field::page_size(NAME, request.page_size.map(|size| size.min(100)))?;
    let token = field::token(NAME, request.continuation_token.as_deref())?;
    let after = token.map(|token| change_position(&token, &request.kind)).transpose()?;
    let since = request.start_time.as_deref().filter(|time| !time.is_empty());
    let since = since.map(|time| start_time(time, engine.now())).transpose()?;
    let kind = Some(request.kind.as_str()).filter(|kind| !kind.is_empty());
    let filter = ChangesFilter { after, since, kind, limit };
    let changes =
        engine.find_store(&store).map_or_else(Vec::new, |store| store.changes(&filter).changes);
    let token = match changes.last() {
        Some(last) => field::encode_token(&format!("{}|{}", last.sequence, request.kind)),
        None => request.continuation_token.unwrap_or_default(),
    };
    let changes = changes.iter().map(|change| {
        let operation = match change.operation {
            Operation::Write => "TUPLE_OPERATION_WRITE",
            Operation::Delete => "TUPLE_OPERATION_DELETE",
        };
        json!({
            "tuple_key": change.tuple, "operation": operation, "timestamp": rfc3339(change.time),
        })
    });
    Ok(Json(json!({ "changes": changes.collect::<Vec<_>>(), "continuation_token": token })))
}

fn change_position(token: &str, kind: &str) -> Result<u64, EngineError> {
    let (sequence, token_kind) = token.split_once('|').ok_or_else(EngineError::invalid_token)?;
    let sequence = sequence.parse().map_err(|_| EngineError::invalid_token())?;
    if token_kind != kind {
        let message = "The type in the querystring and the continuation token don't match";
        return Err(EngineError::new(ErrorCode::TokenTypeMismatch, message));
    }
    Ok(sequence)
}

/// Milliseconds since the Unix epoch.
fn start_time(time: &str, now: u64) -> Result<u64, EngineError> {
    let invalid = |rule: &str| {
        EngineError::validation(format!("invalid ReadChangesRequest.StartTime: {rule}"))
    };
    let time = DateTime::parse_from_rfc3339(time).map_err(|error| invalid(&error.to_string()))?;
    let millis = u64::try_from(time.timestamp_millis()).unwrap_or(0);
    if millis >= now {
        return Err(invalid("value must be less than now"));
    }
    Ok(millis)
}
