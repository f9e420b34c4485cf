//! OpenFGA's answers without a server: models of schema 1.1 and 1.2, tuples, conditions.
//!
//! An [`Engine`] holds stores in memory. A [`Store`] answers [`check`](Store::check),
//! [`list_objects`](Store::list_objects), [`list_users`](Store::list_users) and
//! [`expand`](Store::expand) on an immutable version of its tuples, so a question takes no lock and
//! sees no half of a write; a [`write`](Store::write) publishes the next version whole. Errors carry
//! OpenFGA's codes and messages, which lets [`api::router`] stand in for an OpenFGA server.
//!
//! Models and tuples come from OpenFGA's language ([`dsl::parse`]), from the files that the `fga`
//! command reads ([`files`]), or over HTTP; [`Engine::save`] and [`Engine::restore`] keep everything
//! in one file.
//!
//! Inside, in the order in which it is best read: `name` and `tuple` (the grammar), `wire` and `model`
//! (what is allowed), `condition` (CEL), `names`, `tree` and `snapshot` (how tuples lie in memory),
//! `store` (versions and writes), `check` (the search), `list_objects`, `list_users` and `expand`
//! (the other questions), `dsl` and `files` (from text), `api` (HTTP).

pub mod api;
mod check;
mod clock;
mod condition;
pub mod dsl;
mod error;
mod expand;
pub mod files;
mod list_objects;
mod list_users;
mod model;
mod models;
mod name;
mod names;
pub mod persist;
mod snapshot;
mod store;
mod symbols;
mod tree;
mod tuple;
mod validity;
#[expect(
    missing_docs,
    reason = "fields and variants bear the names of OpenFGA's API, which explains them"
)]
pub mod wire;

pub use check::CheckRequest;
pub use clock::Clock;
pub use error::{EngineError, ErrorCode};
pub use expand::ExpandRequest;
pub use list_objects::ListObjectsRequest;
pub use list_users::{ListUsersRequest, ListedUser, UserFilter};
pub use model::Model;
pub use name::{ObjectRef, UserRef};
pub use store::Store;
pub use store::change_log::Operation;
pub use store::changes::{Change, ChangesFilter, ChangesPage};
pub use store::read::{ReadFilter, ReadPosition, StoredTuple, TuplePage};
pub use store::write::{OnDuplicate, OnMissing, WriteRequest};
pub use tuple::{Context, RelationshipCondition, TupleKey};
pub use wire::AuthorizationModel;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

/// Stores in memory: where everything begins.
///
/// ```
/// use fga_engine::{CheckRequest, Engine, TupleKey, WriteRequest, dsl};
///
/// let engine = Engine::default();
/// let store = engine.create_store("documents");
/// let model = "
/// model
///   schema 1.1
/// type user
/// type document
///   relations
///     define viewer: [user]
/// ";
/// store.write_model(dsl::parse(model)?)?;
/// let tuple = TupleKey::new("document:plan", "viewer", "user:anne");
/// store.write(&WriteRequest { writes: vec![tuple], ..WriteRequest::default() })?;
///
/// let question = CheckRequest {
///     user: "user:anne",
///     relation: "viewer",
///     object: "document:plan",
///     ..CheckRequest::default()
/// };
/// assert!(store.check(None, &question)?);
/// assert_eq!(engine.find_store(store.id()).map(|store| store.len()), Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Engine {
    clock: Clock,
    /// By id; ids sort by the time of creation.
    stores: ArcSwap<BTreeMap<String, Arc<Store>>>,
    writer: Mutex<()>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("stores", &self.stores.load().len()).finish_non_exhaustive()
    }
}

impl Default for Engine {
    /// Takes the time from the system.
    fn default() -> Self {
        Self::new(clock::system())
    }
}

impl Engine {
    /// Takes the time from `clock`: tests hand in their own.
    pub fn new(clock: Clock) -> Self {
        Self { clock, stores: ArcSwap::default(), writer: Mutex::new(()) }
    }

    /// Creates an empty store; it answers nothing before [`Store::write_model`].
    pub fn create_store(&self, name: &str) -> Arc<Store> {
        let now = (self.clock)();
        let id = ulid::Ulid::from_datetime(now).to_string();
        self.add_store(id, name, clock::millis(now))
    }

    pub(crate) fn add_store(&self, id: String, name: &str, created: u64) -> Arc<Store> {
        let store = Store::new(id.clone(), name.to_owned(), created, Arc::clone(&self.clock));
        let store = Arc::new(store);
        self.update(|stores| {
            stores.insert(id, Arc::clone(&store));
        });
        store
    }

    /// The store of that id.
    pub fn find_store(&self, id: &str) -> Option<Arc<Store>> {
        self.stores.load().get(id).cloned()
    }

    /// Forgets a store; whoever still holds it can go on using it.
    pub fn delete_store(&self, id: &str) {
        self.update(|stores| {
            stores.remove(id);
        });
    }

    /// All stores, oldest first.
    pub fn stores(&self) -> Vec<Arc<Store>> {
        self.stores.load().values().cloned().collect()
    }

    fn update(&self, change: impl FnOnce(&mut BTreeMap<String, Arc<Store>>)) {
        let _turn = self.writer.lock();
        let mut stores = BTreeMap::clone(&self.stores.load());
        change(&mut stores);
        self.stores.store(Arc::new(stores));
    }

    pub(crate) fn now(&self) -> u64 {
        clock::millis((self.clock)())
    }
}

/// The README's example is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
