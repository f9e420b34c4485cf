//! Models and tuples from files, as the `fga` command reads them.

mod csv;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use thiserror::Error;

use crate::dsl::{self, DslError};
use crate::error::EngineError;
use crate::tuple::TupleKey;
use crate::wire::AuthorizationModel;
use crate::{Engine, Store};

/// Why a file cannot be loaded.
#[expect(missing_docs, reason = "each says in its message what it is")]
#[derive(Debug, Error)]
pub enum LoadError {
    #[error("{path}: {cause}")]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("{path}: {cause}")]
    Json { path: PathBuf, cause: serde_json::Error },
    #[error("{path}: {cause}")]
    Yaml { path: PathBuf, cause: serde_yaml::Error },
    #[error("{path}: {cause}")]
    Dsl { path: PathBuf, cause: DslError },
    #[error("{path}, line {line}: not a tuple")]
    Csv { path: PathBuf, line: usize },
    #[error("{path}: neither 'model' nor 'model_file' is set")]
    NoModel { path: PathBuf },
    #[error("{path}: {cause}")]
    Refused { path: PathBuf, cause: EngineError },
}

/// What a file brings: a model, and the tuples of a store file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// What a store file calls itself.
    pub name: Option<String>,
    /// Not validated yet.
    pub model: AuthorizationModel,
    /// Of the store file and of all files that it names.
    pub tuples: Vec<TupleKey>,
}

/// A `.fga.yaml` store file; its tests are left to the `fga` command.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StoreFile {
    name: Option<String>,
    model: Option<String>,
    model_file: Option<PathBuf>,
    tuples: Option<Vec<TupleKey>>,
    tuple_file: Option<PathBuf>,
    tuple_files: Option<Vec<PathBuf>>,
}

impl Engine {
    /// Creates a store from a model file (`.fga`, `.json`) or a store file (`.fga.yaml`).
    ///
    /// ```no_run
    /// use std::path::Path;
    ///
    /// use fga_engine::Engine;
    ///
    /// let store = Engine::default().load_file(Path::new("permissions.fga.yaml"))?;
    /// println!("{} tuples", store.len());
    /// # Ok::<(), fga_engine::files::LoadError>(())
    /// ```
    ///
    /// # Errors
    /// [`LoadError`] names the file that is to blame.
    pub fn load_file(&self, path: &Path) -> Result<Arc<Store>, LoadError> {
        let loaded = load(path)?;
        let refused = |cause| LoadError::Refused { path: path.to_owned(), cause };
        let store = self.create_store(loaded.name.as_deref().unwrap_or("embedded"));
        let written = store.write_model(loaded.model);
        let filled = written.and_then(|_| match loaded.tuples {
            tuples if tuples.is_empty() => Ok(()),
            tuples => store.load_tuples(tuples),
        });
        if let Err(cause) = filled {
            self.delete_store(store.id());
            return Err(refused(cause));
        }
        Ok(store)
    }
}

/// Reads a model file or a store file with everything it refers to.
///
/// ```
/// use fga_engine::files;
///
/// # let folder = std::env::temp_dir().join(format!("fga-load-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("permissions.fga.yaml");
/// std::fs::write(&path, "
/// name: documents
/// model: |
///   model
///     schema 1.1
///   type user
///   type document
///     relations
///       define viewer: [user]
/// tuples:
///   - user: user:anne
///     relation: viewer
///     object: document:plan
/// ")?;
/// let loaded = files::load(&path)?;
/// assert_eq!((loaded.name.as_deref(), loaded.tuples.len()), (Some("documents"), 1));
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`LoadError`] names the file that is to blame.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    if !has_extension(path, &["yaml", "yml"]) {
        return Ok(Loaded { model: load_model(path)?, ..Loaded::default() });
    }
    let file: StoreFile = from_yaml(path, &read(path)?)?;
    let beside = |file: &Path| path.parent().unwrap_or(Path::new("")).join(file);
    let model = match (&file.model, &file.model_file) {
        (Some(text), _) => parse_model(path, text)?,
        (None, Some(file)) => load_model(&beside(file))?,
        (None, None) => {
            return Err(LoadError::NoModel { path: path.to_owned() });
        }
    };
    let mut tuples = file.tuples.unwrap_or_default();
    for file in file.tuple_file.iter().chain(file.tuple_files.iter().flatten()) {
        tuples.extend(load_tuples(&beside(file))?);
    }
    Ok(Loaded { name: file.name, model, tuples })
}

/// Reads a model in the DSL or, from a `.json` file or text that starts with a brace, in
/// JSON.
///
/// # Errors
/// [`LoadError`] names the file.
pub fn load_model(path: &Path) -> Result<AuthorizationModel, LoadError> {
    parse_model(path, &read(path)?)
}

fn parse_model(path: &Path, text: &str) -> Result<AuthorizationModel, LoadError> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text)
            .map_err(|cause| LoadError::Json { path: path.to_owned(), cause });
    }
    dsl::parse(text).map_err(|cause| LoadError::Dsl { path: path.to_owned(), cause })
}

/// Reads tuples from a `.yaml`, `.json`, `.jsonl` or `.csv` file.
///
/// ```
/// use fga_engine::{TupleKey, files};
///
/// # let folder = std::env::temp_dir().join(format!("fga-tuples-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let path = folder.join("tuples.csv");
/// let table = "user_type,user_id,relation,object_type,object_id\nuser,anne,viewer,document,plan\n";
/// std::fs::write(&path, table)?;
/// let tuples = files::load_tuples(&path)?;
/// assert_eq!(tuples, [TupleKey::new("document:plan", "viewer", "user:anne")]);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`LoadError`] names the file.
pub fn load_tuples(path: &Path) -> Result<Vec<TupleKey>, LoadError> {
    let text = read(path)?;
    let json = |cause| LoadError::Json { path: path.to_owned(), cause };
    if has_extension(path, &["csv"]) {
        return csv::tuples(&text).map_err(|line| LoadError::Csv { path: path.to_owned(), line });
    }
    if has_extension(path, &["jsonl"]) {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        return lines.map(|line| serde_json::from_str(line).map_err(json)).collect();
    }
    if has_extension(path, &["json"]) {
        return serde_json::from_str(&text).map_err(json);
    }
    from_yaml(path, &text)
}

fn from_yaml<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, LoadError> {
    serde_yaml::from_str(text).map_err(|cause| LoadError::Yaml { path: path.to_owned(), cause })
}

fn read(path: &Path) -> Result<String, LoadError> {
    let read = fs::read_to_string(path);
    let mut text = read.map_err(|cause| LoadError::Read { path: path.to_owned(), cause })?;
    // Some editors begin a text with a byte order mark.
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().unwrap_or_default();
    extensions.iter().any(|known| extension.eq_ignore_ascii_case(known))
}
