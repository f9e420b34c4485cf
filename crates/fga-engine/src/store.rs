//! A store: its models, its tuples, and what changed.
//!
//! Readers load a version and never wait. Writers take turns, build the next version
//! beside the current one, and publish it whole, so nobody sees half a write.

pub(crate) mod changes;
pub(crate) mod read;
mod sweep;
pub(crate) mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::AHashMap;
use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use crate::check::{self, CheckRequest};
use crate::clock::Clock;
use crate::error::{EngineError, ErrorCode};
use crate::model::wire::AuthorizationModel;
use crate::model::{Model, limits};
use crate::snapshot::Snapshot;
use crate::store::changes::ChangeLog;
use crate::store::write::Writer;

/// One of the engine's stores. Cheap to share, safe to use from everywhere.
pub struct Store {
    id: String,
    name: String,
    /// Milliseconds since the Unix epoch.
    created: u64,
    clock: Clock,
    snapshot: ArcSwap<Snapshot>,
    changes: Mutex<ChangeLog>,
    writer: Mutex<Writer>,
    revisions: watch::Sender<u64>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[derive(Default, Clone)]
pub(crate) struct Models {
    by_id: AHashMap<String, Arc<Model>>,
    /// Oldest first.
    pub(crate) order: Vec<Arc<Model>>,
}

impl Store {
    pub(crate) fn new(id: String, name: String, created: u64, clock: Clock) -> Self {
        Self {
            id,
            name,
            created,
            clock,
            snapshot: ArcSwap::from_pointee(Snapshot::new()),
            changes: Mutex::new(ChangeLog::default()),
            writer: Mutex::new(Writer::default()),
            revisions: watch::Sender::new(0),
        }
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn created(&self) -> u64 {
        self.created
    }

    /// How many tuples the store holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.snapshot.load().tuples.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Grows by one with every write that changed a tuple. An answer that was computed
    /// at revision `r` is current as long as this still says `r`.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.snapshot.load().revision
    }

    /// Announces every new [`revision`](Self::revision).
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }

    /// Answers a check with a pinned model, or with the latest one.
    ///
    /// # Errors
    /// OpenFGA's code and message, among them a missing condition parameter.
    pub fn check(
        &self,
        model: Option<&str>,
        request: &CheckRequest<'_>,
    ) -> Result<bool, EngineError> {
        let snapshot = self.snapshot();
        let model = snapshot.models.find(&self.id, model)?;
        check::check(model, &snapshot, request)
    }

    /// Validates a model and makes it the latest one; returns its id.
    ///
    /// # Errors
    /// OpenFGA's code and message for the first rule that the model breaks.
    pub fn write_model(&self, definition: AuthorizationModel) -> Result<String, EngineError> {
        limits::enforce(&definition)?;
        let id = ulid::Ulid::from_datetime((self.clock)()).to_string();
        self.add_model(AuthorizationModel { id: id.clone(), ..definition })?;
        Ok(id)
    }

    pub(crate) fn add_model(&self, definition: AuthorizationModel) -> Result<(), EngineError> {
        let _turn = self.take_turn();
        let mut snapshot = Snapshot::clone(&self.snapshot());
        let model = Model::compile(definition, Arc::make_mut(&mut snapshot.symbols));
        let model = Arc::new(model.map_err(|fault| {
            EngineError::new(ErrorCode::InvalidAuthorizationModel, fault.to_string())
        })?);
        let models = Arc::make_mut(&mut snapshot.models);
        models.by_id.insert(model.id().to_owned(), Arc::clone(&model));
        models.order.push(model);
        self.snapshot.store(Arc::new(snapshot));
        Ok(())
    }

    /// A model by id, or the latest one.
    ///
    /// # Errors
    /// `authorization_model_not_found` or `latest_authorization_model_not_found`.
    pub fn model(&self, id: Option<&str>) -> Result<Arc<Model>, EngineError> {
        self.snapshot().models.find(&self.id, id).cloned()
    }

    /// All models, oldest first.
    #[must_use]
    pub fn models(&self) -> Vec<Arc<Model>> {
        self.snapshot().models.order.clone()
    }

    pub(crate) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    fn take_turn(&self) -> MutexGuard<'_, Writer> {
        // A writer that panicked published nothing, so the state behind the lock is whole.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_log(&self) -> MutexGuard<'_, ChangeLog> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Models {
    fn find(&self, store: &str, id: Option<&str>) -> Result<&Arc<Model>, EngineError> {
        match id {
            Some(id) if !id.is_empty() => self.by_id.get(id).ok_or_else(|| model_not_found(id)),
            _ => self.order.last().ok_or_else(|| {
                let message = format!("No authorization models found for store '{store}'");
                EngineError::new(ErrorCode::LatestAuthorizationModelNotFound, message)
            }),
        }
    }
}

pub(crate) fn model_not_found(id: &str) -> EngineError {
    let message = format!("Authorization Model '{id}' not found");
    EngineError::new(ErrorCode::AuthorizationModelNotFound, message)
}
