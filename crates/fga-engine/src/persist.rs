//! The whole engine in one JSON file.
//!
//! The file is written beside the old one and then takes its place, so a crash leaves
//! either the old state or the new one. The list of changes is not kept, but their
//! numbering goes on, so that continuation tokens stay valid.
//!
//! ```
//! use fga_engine::{Engine, TupleKey, dsl};
//!
//! # let folder = std::env::temp_dir().join(format!("fga-save-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let path = folder.join("state.json");
//! let engine = Engine::default();
//! let store = engine.create_store("documents");
//! # store.write_model(dsl::parse("model\n  schema 1.1\ntype user\ntype document\n  relations\n    define viewer: [user]")?)?;
//! store.load_tuples(vec![TupleKey::new("document:plan", "viewer", "user:anne")])?;
//! engine.save(&path)?;
//!
//! let restored = Engine::default();
//! restored.restore(&path)?;
//! assert_eq!(restored.find_store(store.id()).map(|store| store.len()), Some(1));
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::error::EngineError;
use crate::snapshot::Snapshot;
use crate::tree::Key;
use crate::tuple::TupleKey;
use crate::wire::AuthorizationModel;
use crate::{Engine, Store};

/// Layout of the file; another number is not read.
const VERSION: u32 = 1;

/// Why the engine's state cannot be saved or restored.
#[expect(missing_docs, reason = "each says in its message what it is")]
#[derive(Debug, Error)]
pub enum PersistError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("the file has layout {found}, this version reads {VERSION}")]
    Version { found: u32 },
    #[error("store {store}: {cause}")]
    Refused { store: String, cause: EngineError },
}

#[derive(Serialize)]
struct Saved<'a> {
    version: u32,
    stores: Vec<SavedStore<'a>>,
}

#[derive(Serialize)]
struct SavedStore<'a> {
    id: &'a str,
    name: &'a str,
    created: u64,
    next_change: u64,
    models: Vec<AuthorizationModel>,
    #[serde(serialize_with = "all_tuples")]
    tuples: &'a Snapshot,
}

#[derive(Deserialize)]
struct Restored {
    version: u32,
    stores: Vec<RestoredStore>,
}

#[derive(Deserialize)]
struct RestoredStore {
    id: String,
    name: String,
    created: u64,
    next_change: u64,
    models: Vec<AuthorizationModel>,
    tuples: Vec<(TupleKey, u64)>,
}

fn all_tuples<S: Serializer>(snapshot: &Snapshot, serializer: S) -> Result<S::Ok, S::Error> {
    let entries = snapshot.tuples.from(Key::new(0, 0, 0, 0));
    serializer.collect_seq(entries.map(|entry| (snapshot.tuple(entry), entry.written)))
}

impl Engine {
    /// Writes all stores to a file.
    ///
    /// # Errors
    /// [`PersistError`]; the file is unchanged then.
    pub fn save(&self, path: &Path) -> Result<(), PersistError> {
        let stores = self.stores();
        let snapshots: Vec<_> = stores.iter().map(|store| (store, store.position())).collect();
        let stores = snapshots.iter().map(|(store, (snapshot, next_change))| SavedStore {
            id: store.id(),
            name: store.name(),
            created: store.created(),
            next_change: *next_change,
            models: store.models().iter().map(|model| model.definition().clone()).collect(),
            tuples: snapshot,
        });
        let saved = Saved { version: VERSION, stores: stores.collect() };
        let beside = path.with_extension("tmp");
        let mut writer = BufWriter::new(File::create(&beside)?);
        serde_json::to_writer(&mut writer, &saved)?;
        writer.flush()?;
        writer.get_ref().sync_all()?;
        fs::rename(&beside, path)?;
        Ok(())
    }

    /// Adds the stores of a file; those with the same id are replaced.
    ///
    /// # Errors
    /// [`PersistError`]; stores before the one at fault are there then.
    pub fn restore(&self, path: &Path) -> Result<(), PersistError> {
        let file: Restored = serde_json::from_reader(BufReader::new(File::open(path)?))?;
        if file.version != VERSION {
            return Err(PersistError::Version { found: file.version });
        }
        for saved in file.stores {
            let id = saved.id.clone();
            let store = self.add_store(saved.id, &saved.name, saved.created);
            fill(&store, saved.models, &saved.tuples, saved.next_change)
                .map_err(|cause| PersistError::Refused { store: id, cause })?;
        }
        Ok(())
    }
}

fn fill(
    store: &Store,
    models: Vec<AuthorizationModel>,
    tuples: &[(TupleKey, u64)],
    next_change: u64,
) -> Result<(), EngineError> {
    models.into_iter().try_for_each(|model| store.add_model(model))?;
    store.restore(tuples, next_change)
}
