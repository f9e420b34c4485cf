//! An OpenFGA evaluator that runs in the process: schema 1.1 and 1.2, with conditions.
//!
//! [`Engine`] holds stores in memory. Every [`Store`] answers checks on an immutable
//! version of its tuples, so a check takes no lock; a write publishes the next version
//! whole. Codes and messages of errors are OpenFGA's, which lets [`api::router`] stand
//! in for an OpenFGA server.
//!
//! Reading order: [`name`] and [`mod@tuple`] (the grammar), [`model`] and [`condition`]
//! (what is allowed), `names`, `tree` and `snapshot` (how tuples lie in memory),
//! [`store`] (versions and writes), [`check`](mod@check) (the evaluation), `list_objects`,
//! `list_users` and `expand` (the other questions), [`dsl`] and [`files`] (models and
//! tuples from text), [`api`] (HTTP).

#![allow(missing_docs, reason = "fields and variants of OpenFGA's own vocabulary")]

pub mod api;
pub mod check;
pub mod clock;
pub mod condition;
pub mod dsl;
pub mod error;
pub(crate) mod expand;
pub mod files;
pub(crate) mod list_objects;
pub(crate) mod list_users;
pub mod model;
pub mod name;
pub(crate) mod names;
pub mod persist;
pub(crate) mod snapshot;
pub mod store;
pub(crate) mod symbols;
pub(crate) mod tree;
pub mod tuple;
pub mod validity;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

pub use crate::check::CheckRequest;
pub use crate::clock::Clock;
pub use crate::error::{EngineError, ErrorCode};
pub use crate::list_objects::ListObjectsRequest;
pub use crate::list_users::{ListUsersRequest, ListedUser, UserFilter};
pub use crate::store::Store;
pub use crate::store::changes::{Change, ChangesFilter, ChangesPage, Operation};
pub use crate::store::read::{ReadFilter, ReadPosition, StoredTuple, TuplePage};
pub use crate::store::write::{OnDuplicate, OnMissing, WriteRequest};
pub use crate::tuple::{Context, RelationshipCondition, TupleKey};

/// All stores of a process.
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
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, stores: ArcSwap::default(), writer: Mutex::new(()) }
    }

    /// Creates an empty store.
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

    #[must_use]
    pub fn find_store(&self, id: &str) -> Option<Arc<Store>> {
        self.stores.load().get(id).cloned()
    }

    /// Whoever still holds the store can go on using it.
    pub fn delete_store(&self, id: &str) {
        self.update(|stores| {
            stores.remove(id);
        });
    }

    /// All stores, oldest first.
    #[must_use]
    pub fn stores(&self) -> Vec<Arc<Store>> {
        self.stores.load().values().cloned().collect()
    }

    fn update(&self, change: impl FnOnce(&mut BTreeMap<String, Arc<Store>>)) {
        let _turn = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stores = BTreeMap::clone(&self.stores.load());
        change(&mut stores);
        self.stores.store(Arc::new(stores));
    }

    pub(crate) fn now(&self) -> u64 {
        clock::millis((self.clock)())
    }
}
