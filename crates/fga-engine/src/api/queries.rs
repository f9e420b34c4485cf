//! Check, batch check and expand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::field;
use super::reply::{Answer, Failure, Json};
use crate::wire::default_on_null;
use crate::{
    CheckRequest, Context, Engine, EngineError, ErrorCode, ExpandRequest, Store, TupleKey,
};

const MAX_BATCH: usize = 50;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ContextualTuples {
    #[serde(deserialize_with = "default_on_null")]
    pub(super) tuple_keys: Vec<TupleKey>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Check {
    tuple_key: Option<TupleKey>,
    #[serde(deserialize_with = "default_on_null")]
    contextual_tuples: ContextualTuples,
    context: Option<Context>,
    authorization_model_id: Option<String>,
    #[serde(deserialize_with = "default_on_null")]
    correlation_id: String,
}

/// A store, and the id of the model that a request names or leaves to us.
pub(super) struct Target {
    pub(super) store: Arc<Store>,
    pub(super) model: String,
}

pub(super) fn target(
    engine: &Engine,
    request: &str,
    store: &str,
    model: Option<&str>,
) -> Result<Target, EngineError> {
    let no_model = || EngineError::no_model(store);
    field::store_id(request, store)?;
    let model = field::model_id(request, model)?;
    let found = engine.find_store(store);
    let store = found.ok_or_else(|| model.map_or_else(no_model, EngineError::model_not_found))?;
    let model = store.model(model)?.id().to_owned();
    Ok(Target { store, model })
}

impl Check {
    /// The rules that hold for every check, in a batch or alone.
    fn validate(&self, request: &str) -> Result<&TupleKey, EngineError> {
        let Some(key) = &self.tuple_key else {
            let message = format!("invalid {request}.TupleKey: value is required");
            return Err(EngineError::new(ErrorCode::TupleKeyValueNotSpecified, message));
        };
        field::user("CheckRequestTupleKey.User", &key.user)?;
        field::relation("CheckRequestTupleKey.Relation", &key.relation)?;
        field::object("CheckRequestTupleKey.Object", &key.object)?;
        self.contextual_tuples.tuple_keys.iter().try_for_each(field::tuple)?;
        Ok(key)
    }

    fn run(&self, target: &Target, key: &TupleKey) -> Result<bool, EngineError> {
        let request = CheckRequest {
            user: &key.user,
            relation: &key.relation,
            object: &key.object,
            contextual_tuples: &self.contextual_tuples.tuple_keys,
            context: self.context.as_ref(),
        };
        target.store.check(Some(&target.model), &request)
    }
}

pub(super) async fn check(
    State(engine): State<Arc<Engine>>,
    Path(store): Path<String>,
    Json(request): Json<Check>,
) -> Result<Answer<Value>, Failure> {
    const NAME: &str = "CheckRequest";
    field::store_id(NAME, &store)?;
    let key = request.validate(NAME)?;
    let target = target(&engine, NAME, &store, request.authorization_model_id.as_deref())?;
    let allowed = request.run(&target, key)?;
    Ok(Answer { model: target.model, body: json!({ "allowed": allowed, "resolution": "" }) })
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct BatchCheck {
    #[serde(deserialize_with = "default_on_null")]
    checks: Vec<Check>,
    authorization_model_id: Option<String>,
}

pub(super) async fn batch_check(
    State(engine): State<Arc<Engine>>,
    Path(store): Path<String>,
    Json(request): Json<BatchCheck>,
) -> Result<Answer<Value>, Failure> {
    const NAME: &str = "BatchCheckRequest";
    field::store_id(NAME, &store)?;
    let refuse = |message: String| Err(Failure(EngineError::validation(message)));
    if request.checks.is_empty() {
        return refuse(format!("invalid {NAME}.Checks: value must contain at least 1 item(s)"));
    }
    let keys = request.checks.iter().map(|check| check.validate("BatchCheckItem"));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let is_id = |id: &str| {
        id.len() <= 36
            && !id.is_empty()
            && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    if request.checks.iter().any(|check| !is_id(&check.correlation_id)) {
        let pattern = r#""^[\\w\\d-]{1,36}$""#;
        return refuse(format!(
            "invalid BatchCheckItem.CorrelationId: value does not match regex pattern {pattern}"
        ));
    }
    let target = target(&engine, NAME, &store, request.authorization_model_id.as_deref())?;
    let count = request.checks.len();
    if count > MAX_BATCH {
        return refuse(format!(
            "batchCheck received {count} checks, the maximum allowed is {MAX_BATCH}"
        ));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = request.checks.iter().find(|check| !seen.insert(&check.correlation_id)) {
        return refuse(format!("received duplicate correlation id: {}", twice.correlation_id));
    }
    let checks = request.checks.iter().zip(keys);
    let result: BTreeMap<&str, Value> = checks
        .map(|(check, key)| (check.correlation_id.as_str(), batch_item(check.run(&target, key))))
        .collect();
    Ok(Answer { model: target.model.clone(), body: json!({ "result": result }) })
}

fn batch_item(outcome: Result<bool, EngineError>) -> Value {
    match outcome {
        Ok(allowed) => json!({ "allowed": allowed }),
        Err(EngineError { code, message }) => {
            let side = if code.http_status() >= 500 { "internal_error" } else { "input_error" };
            json!({ "error": { side: code.as_str(), "message": message } })
        }
    }
}

pub(super) async fn expand(
    State(engine): State<Arc<Engine>>,
    Path(store): Path<String>,
    Json(request): Json<Check>,
) -> Result<Answer<Value>, Failure> {
    const NAME: &str = "ExpandRequest";
    field::store_id(NAME, &store)?;
    let Some(key) = &request.tuple_key else {
        let message = format!("invalid {NAME}.TupleKey: value is required");
        return Err(Failure(EngineError::new(ErrorCode::TupleKeyValueNotSpecified, message)));
    };
    if !key.relation.is_empty() {
        field::relation("ExpandRequestTupleKey.Relation", &key.relation)?;
    }
    if !key.object.is_empty() {
        field::object("ExpandRequestTupleKey.Object", &key.object)?;
    }
    let target = target(&engine, NAME, &store, request.authorization_model_id.as_deref())?;
    if key.relation.is_empty() || key.object.is_empty() {
        let message = "Invalid input. Make sure you provide an object and a relation";
        return Err(Failure(EngineError::new(ErrorCode::InvalidExpandInput, message)));
    }
    let expanded = ExpandRequest {
        object: &key.object,
        relation: &key.relation,
        contextual_tuples: &request.contextual_tuples.tuple_keys,
    };
    let tree = target.store.expand(Some(&target.model), &expanded)?;
    Ok(Answer { model: target.model, body: json!({ "tree": tree }) })
}
