//! Writing tuples: everything is checked first, then applied, then published at once.

use std::sync::Arc;

use ahash::AHashSet;

use super::change_log::{Operation, Recorded};
use super::conditions::Conditions;
use super::{Store, sweep};
use crate::clock;
use crate::error::{EngineError, ErrorCode};
use crate::model::Model;
use crate::name;
use crate::snapshot::Snapshot;
use crate::tree::{Entry, Key, Tree};
use crate::tuple::TupleKey;
use crate::validity::{self, Resolved};

/// Tuples in one request of the API, writes and deletes together.
const MAX_TUPLES: usize = 100;
/// Bytes of a stored condition's parameters, as JSON.
const MAX_CONTEXT: usize = 32 * 1024;

const EXISTENCE: &str =
    "tuple to be written already existed or the tuple to be deleted did not exist";

/// What to do with a tuple that exists already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnDuplicate {
    /// Nothing of the request happens.
    #[default]
    Refuse,
    /// It stays; refused all the same if it has another condition.
    Ignore,
}

/// What to do with a tuple that is to be deleted and does not exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnMissing {
    /// Nothing of the request happens.
    #[default]
    Refuse,
    /// The rest happens.
    Ignore,
}

/// Deletes and writes that happen together or not at all. Conditions of `deletes` are
/// ignored.
#[derive(Debug, Clone, Default)]
pub struct WriteRequest {
    /// Tuples to add.
    pub writes: Vec<TupleKey>,
    /// When one of `writes` is there.
    pub on_duplicate: OnDuplicate,
    /// Tuples to remove.
    pub deletes: Vec<TupleKey>,
    /// When one of `deletes` is not there.
    pub on_missing: OnMissing,
    /// The model that `writes` must fit; the latest one if absent.
    pub model: Option<String>,
}

/// A write whose names and conditions have no numbers yet.
struct Planned<'t, 'm> {
    tuple: &'t TupleKey,
    resolved: Resolved<'t, 'm>,
}

impl Store {
    /// Applies deletes and writes as one, at most 100 together.
    ///
    /// ```
    /// # use fga_engine::{Engine, TupleKey, WriteRequest, dsl};
    /// # let store = Engine::default().create_store("documents");
    /// # store.write_model(dsl::parse("model\n  schema 1.1\ntype user\ntype document\n  relations\n    define viewer: [user]")?)?;
    /// let viewer = |user| vec![TupleKey::new("document:plan", "viewer", user)];
    /// store.write(&WriteRequest { writes: viewer("user:anne"), ..WriteRequest::default() })?;
    ///
    /// let handover = WriteRequest {
    ///     deletes: viewer("user:anne"),
    ///     writes: viewer("user:bob"),
    ///     ..WriteRequest::default()
    /// };
    /// store.write(&handover)?;
    /// let again = store.write(&handover).unwrap_err();
    /// assert_eq!(again.code.as_str(), "write_failed_due_to_invalid_input");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// OpenFGA's code and message: a tuple that the model does not allow, one that is written but there, or
    /// deleted but not there. Nothing was changed then.
    pub fn write(&self, request: &WriteRequest) -> Result<(), EngineError> {
        let count = request.writes.len() + request.deletes.len();
        if count == 0 {
            let message =
                "Invalid input. Make sure you provide at least one write, or at least one delete";
            return Err(EngineError::new(ErrorCode::InvalidWriteInput, message));
        }
        let model = match self.model(request.model.as_deref()) {
            Ok(model) => Some(model),
            Err(_) if request.writes.is_empty() => None,
            Err(_) => {
                return Err(EngineError::model_not_found(
                    request.model.as_deref().unwrap_or_default(),
                ));
            }
        };
        let writes = validate(request, model.as_deref())?;
        if count > MAX_TUPLES {
            let message =
                format!("The number of write operations exceeds the allowed limit of {MAX_TUPLES}");
            return Err(EngineError::new(ErrorCode::ExceededEntityLimit, message));
        }
        self.apply(&writes, request)
    }

    /// Adds tuples without the API's limit on their number, as when a file is loaded;
    /// existing ones stay as they are.
    ///
    /// # Errors
    /// OpenFGA's code and message for the first invalid tuple; nothing was changed then.
    pub fn load_tuples(&self, tuples: Vec<TupleKey>) -> Result<(), EngineError> {
        let model = self.model(None)?;
        let on_duplicate = OnDuplicate::Ignore;
        let request = WriteRequest { writes: tuples, on_duplicate, ..WriteRequest::default() };
        let writes = validate(&request, Some(&model))?;
        self.apply(&writes, &request)
    }

    fn apply(&self, writes: &[Planned<'_, '_>], request: &WriteRequest) -> Result<(), EngineError> {
        let mut conditions = self.take_turn();
        let mut next = Snapshot::clone(&self.snapshot());
        let deletes = existing_deletes(&next, request)?;
        let writes = missing_writes(&next, writes, request.on_duplicate)?;
        if deletes.is_empty() && writes.is_empty() {
            return Ok(());
        }
        let time = clock::millis((self.clock)());
        let mut changes = Vec::with_capacity(deletes.len() + writes.len());
        for entry in deletes {
            next.tuples.remove(entry.key);
            changes.push(Recorded { entry, operation: Operation::Delete, time });
        }
        for planned in writes {
            let entry = entry(&mut conditions, &mut next, planned, time)?;
            next.tuples.insert(entry);
            changes.push(Recorded { entry, operation: Operation::Write, time });
        }
        next.revision += 1;
        self.publish(&mut conditions, next, changes);
        Ok(())
    }

    fn publish(&self, conditions: &mut Conditions, mut next: Snapshot, changes: Vec<Recorded>) {
        let mut log = self.change_log();
        for change in changes {
            log.record(change);
        }
        sweep::if_worth_it(conditions, &mut next, &mut log);
        let revision = next.revision;
        self.snapshot.store(Arc::new(next));
        drop(log);
        self.revisions.send_replace(revision);
    }

    /// Replaces everything, as when a snapshot file is loaded.
    pub(crate) fn restore(
        &self,
        tuples: &[(TupleKey, u64)],
        sequence: u64,
    ) -> Result<(), EngineError> {
        let mut conditions = self.take_turn();
        let mut next = Snapshot::clone(&self.snapshot());
        next.tuples = Tree::new();
        let symbols = Arc::make_mut(&mut next.symbols);
        let mut keys = Vec::with_capacity(tuples.len());
        for (tuple, time) in tuples {
            let malformed = || EngineError::validation(format!("Invalid tuple '{tuple}'"));
            let object = name::ObjectRef::parse(&tuple.object).ok_or_else(malformed)?;
            let user = name::UserRef::parse(&tuple.user).ok_or_else(malformed)?;
            let object_kind = symbols.intern_kind(object.kind);
            let relation = symbols.intern_relation(&tuple.relation);
            let user_relation = match user {
                name::UserRef::Userset(_, relation) => symbols.intern_relation(relation),
                _ => 0,
            };
            let user_kind = symbols.intern_kind(user.kind());
            let object = next.names.intern(object_kind, object.id).ok_or_else(too_many_names)?;
            let user = next.names.intern(user_kind, user.id()).ok_or_else(too_many_names)?;
            keys.push((Key::new(object, relation, user_relation, user), tuple, *time));
        }
        keys.sort_unstable_by_key(|(key, ..)| *key);
        for (key, tuple, written) in keys {
            let condition = conditions.number(&next.conditions, tuple.condition.as_ref());
            next.tuples.insert(Entry { key, written, condition });
        }
        next.revision += 1;
        self.change_log().start_at(sequence);
        self.publish(&mut conditions, next, Vec::new());
        Ok(())
    }
}

fn validate<'t, 'm>(
    request: &'t WriteRequest,
    model: Option<&'m Model>,
) -> Result<Vec<Planned<'t, 'm>>, EngineError> {
    let mut planned = Vec::with_capacity(request.writes.len());
    for tuple in &request.writes {
        let Some(model) = model else {
            return Err(EngineError::model_not_found(""));
        };
        let resolved = validity::for_write(model, tuple).map_err(|fault| fault.in_write(tuple))?;
        let (user, user_relation) = name::split_userset(&tuple.user);
        if user == tuple.object && user_relation == tuple.relation {
            let reason = "cannot write a tuple that is implicit";
            return Err(EngineError::validation(format!(
                "Invalid tuple '{tuple}'. Reason: {reason}"
            )));
        }
        validate_size(tuple)?;
        planned.push(Planned { tuple, resolved });
    }
    for tuple in &request.deletes {
        if !name::is_user(&tuple.user) {
            let message = format!("Invalid tuple '{tuple}'. Reason: the 'user' field is malformed");
            return Err(EngineError::validation(message));
        }
    }
    let mut seen = AHashSet::new();
    for tuple in request.deletes.iter().chain(&request.writes) {
        if !seen.insert((&tuple.object, &tuple.relation, &tuple.user)) {
            let message = format!("duplicate tuple in write: {}", fields(tuple));
            return Err(EngineError::new(ErrorCode::DuplicateTuplesInRequest, message));
        }
    }
    Ok(planned)
}

fn validate_size(tuple: &TupleKey) -> Result<(), EngineError> {
    let Some(condition) = &tuple.condition else {
        return Ok(());
    };
    let size = serde_json::to_string(&condition.context).map_or(usize::MAX, |json| json.len());
    if size <= MAX_CONTEXT {
        return Ok(());
    }
    Err(EngineError::validation(format!(
        "Invalid tuple '{tuple}'. Reason: condition context size limit exceeded: {size} bytes exceeds {MAX_CONTEXT} bytes"
    )))
}

fn fields(tuple: &TupleKey) -> String {
    format!("user: '{}', relation: '{}', object: '{}'", tuple.user, tuple.relation, tuple.object)
}

fn existing_deletes(
    snapshot: &Snapshot,
    request: &WriteRequest,
) -> Result<Vec<Entry>, EngineError> {
    let mut entries = Vec::with_capacity(request.deletes.len());
    for tuple in &request.deletes {
        let key = snapshot.find_key(&tuple.object, &tuple.relation, &tuple.user);
        match key.and_then(|key| snapshot.tuples.get(key)) {
            Some(entry) => entries.push(*entry),
            None if request.on_missing == OnMissing::Ignore => {}
            None => {
                let message = format!(
                    "cannot delete a tuple which does not exist: {}: {EXISTENCE}",
                    fields(tuple)
                );
                return Err(EngineError::new(ErrorCode::WriteFailedDueToInvalidInput, message));
            }
        }
    }
    Ok(entries)
}

fn missing_writes<'p, 't, 'm>(
    snapshot: &Snapshot,
    writes: &'p [Planned<'t, 'm>],
    on_duplicate: OnDuplicate,
) -> Result<Vec<&'p Planned<'t, 'm>>, EngineError> {
    let mut missing = Vec::with_capacity(writes.len());
    for planned in writes {
        let tuple = planned.tuple;
        let key = snapshot.find_key(&tuple.object, &tuple.relation, &tuple.user);
        let Some(entry) = key.and_then(|key| snapshot.tuples.get(key)) else {
            missing.push(planned);
            continue;
        };
        if on_duplicate == OnDuplicate::Refuse {
            let message = format!(
                "cannot write a tuple which already exists: {}: {EXISTENCE}",
                fields(tuple)
            );
            return Err(EngineError::new(ErrorCode::WriteFailedDueToInvalidInput, message));
        }
        if snapshot.condition(entry) != tuple.condition.as_ref() {
            let message = format!(
                "transactional write failed due to conflict: attempted to write a tuple which already exists with a different condition: {}",
                fields(tuple)
            );
            return Err(EngineError::new(ErrorCode::Aborted, message));
        }
    }
    Ok(missing)
}

fn entry(
    conditions: &mut Conditions,
    next: &mut Snapshot,
    planned: &Planned<'_, '_>,
    written: u64,
) -> Result<Entry, EngineError> {
    let resolved = &planned.resolved;
    let object = next.names.intern(resolved.object_kind, resolved.object.id);
    let user = next.names.intern(resolved.user_kind, resolved.user.id());
    let (Some(object), Some(user)) = (object, user) else {
        return Err(too_many_names());
    };
    let key = Key::new(object, resolved.relation.symbol, resolved.user_relation, user);
    let condition = conditions.number(&next.conditions, planned.tuple.condition.as_ref());
    Ok(Entry { key, written, condition })
}

fn too_many_names() -> EngineError {
    EngineError::new(ErrorCode::ExceededEntityLimit, "the store has too many distinct objects")
}
