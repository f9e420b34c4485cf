//! A store: its models, its tuples, and what changed.
//!
//! Readers load a version and never wait. Writers take turns, build the next version
//! beside the current one, and publish it whole, so nobody sees half a write.

pub(crate) mod change_log;
pub(crate) mod changes;
mod conditions;
pub(crate) mod read;
mod sweep;
pub(crate) mod write;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::check::{self, CheckRequest};
use crate::clock::Clock;
use crate::error::{EngineError, ErrorCode};
use crate::model::{Model, limits};
use crate::snapshot::Snapshot;
use crate::wire::AuthorizationModel;
use change_log::ChangeLog;
use conditions::Conditions;

/// One of the engine's stores. Cheap to share, safe to use from everywhere.
pub struct Store {
    id: String,
    name: String,
    /// Milliseconds since the Unix epoch.
    created: u64,
    clock: Clock,
    snapshot: ArcSwap<Snapshot>,
    changes: Mutex<ChangeLog>,
    writer: Mutex<Conditions>,
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

impl Store {
    pub(crate) fn new(id: String, name: String, created: u64, clock: Clock) -> Self {
        Self {
            id,
            name,
            created,
            clock,
            snapshot: ArcSwap::from_pointee(Snapshot::new()),
            changes: Mutex::new(ChangeLog::default()),
            writer: Mutex::new(Conditions::default()),
            revisions: watch::Sender::new(0),
        }
    }

    /// A ULID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it was called when it was created; names need not differ.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Milliseconds since the Unix epoch.
    pub const fn created(&self) -> u64 {
        self.created
    }

    /// How many tuples the store holds.
    pub fn len(&self) -> usize {
        self.snapshot.load().tuples.len()
    }

    /// Whether it holds no tuple.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Grows by one with every write that changed a tuple. An answer that was computed
    /// at revision `r` is current as long as this still says `r`.
    pub fn revision(&self) -> u64 {
        self.snapshot.load().revision
    }

    /// Announces every new [`revision`](Self::revision): whoever remembers answers learns when they are old.
    ///
    /// ```
    /// # use fga_engine::{Engine, TupleKey, WriteRequest, dsl};
    /// # let store = Engine::default().create_store("documents");
    /// # store.write_model(dsl::parse("model\n  schema 1.1\ntype user\ntype document\n  relations\n    define viewer: [user]")?)?;
    /// let mut revisions = store.subscribe();
    /// store.load_tuples(vec![TupleKey::new("document:plan", "viewer", "user:anne")])?;
    /// assert!(revisions.has_changed()?);
    /// assert_eq!(*revisions.borrow_and_update(), store.revision());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }

    /// Does the user have the relation with the object? Asked under the model of that id, or under the
    /// latest one.
    ///
    /// ```
    /// # use fga_engine::{CheckRequest, Engine, TupleKey, dsl};
    /// # let store = Engine::default().create_store("documents");
    /// store.write_model(dsl::parse("
    /// model
    ///   schema 1.1
    /// type user
    /// type group
    ///   relations
    ///     define member: [user]
    /// type document
    ///   relations
    ///     define viewer: [user, group#member]
    /// ")?)?;
    /// store.load_tuples(vec![
    ///     TupleKey::new("group:staff", "member", "user:anne"),
    ///     TupleKey::new("document:plan", "viewer", "group:staff#member"),
    /// ])?;
    /// let (relation, object) = ("viewer", "document:plan");
    /// let of = |user| CheckRequest { user, relation, object, ..CheckRequest::default() };
    /// assert!(store.check(None, &of("user:anne"))?);
    /// assert!(!store.check(None, &of("user:bob"))?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// OpenFGA's code and message: a type or relation that the model lacks, a text that is no user or no
    /// object, a condition's parameter that is missing, a search that is too deep or takes too long. An
    /// error is neither "yes" nor "no".
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
    /// Tuples outlive models: those that the new one does not allow stay, and count for nothing.
    ///
    /// ```
    /// # use fga_engine::{Engine, dsl};
    /// # let store = Engine::default().create_store("documents");
    /// let model = "
    /// model
    ///   schema 1.1
    /// type user
    /// type document
    ///   relations
    ///     define owner: [user]
    ///     define viewer: [user] or owner
    /// ";
    /// let id = store.write_model(dsl::parse(model)?)?;
    /// assert_eq!(store.model(None)?.id(), id);
    ///
    /// let undefined = "model\n  schema 1.1\ntype user\ntype document\n  relations\n    define viewer: editor";
    /// let refused = store.write_model(dsl::parse(undefined)?).unwrap_err();
    /// assert_eq!(refused.code.as_str(), "invalid_authorization_model");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        Arc::make_mut(&mut snapshot.models).add(model);
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
    pub fn models(&self) -> Vec<Arc<Model>> {
        self.snapshot().models.all().to_vec()
    }

    pub(crate) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    fn take_turn(&self) -> MutexGuard<'_, Conditions> {
        self.writer.lock()
    }

    fn change_log(&self) -> MutexGuard<'_, ChangeLog> {
        self.changes.lock()
    }
}
