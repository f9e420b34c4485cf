//! Configuration: what was written, what it means ([`Settings`]), and what is wrong with it.
//!
//! The shipped `conf/gateway.yaml` is compiled in as the defaults; the operator's file is laid over
//! it, placeholders are replaced, the result is checked against the schema and then read section by
//! section (a file each below `sections/`) into domain types. A value that one stage cannot use is
//! told and replaced by a stand-in, so that the next stages still tell what is wrong with the others.

pub mod expand;
pub mod overlay;
mod problems;
pub mod schema;
mod sections;
mod settings;
mod values;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use problems::Problem;
use problems::Problems;
use sections::File;
pub use sections::{Admin, Embedded, Limits, Log, OpenFga, Rules, Server};
pub use settings::Settings;

/// The shipped file: the defaults.
pub const DEFAULTS: &str = include_str!("../conf/gateway.yaml");

/// Where a file is looked for when none is named.
pub const DEFAULT_PATH: &str = "conf/gateway.yaml";

/// Why a configuration was refused: every mistake that was found.
#[derive(Debug, thiserror::Error)]
#[error("{}", list(.problems))]
pub struct ConfigError {
    /// In the order of the file.
    pub problems: Vec<Problem>,
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

/// What the command line says; it wins over the file.
#[derive(Debug, Default, Clone)]
pub struct Overrides {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--rules`
    pub rules: Option<String>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--admin-listen`
    pub admin_listen: Option<String>,
    /// Stand in for shipped values, by pointer; file and command line win over them.
    pub stand_ins: Vec<(&'static str, String)>,
}

/// Where a configuration was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The file that was named, or the one that lies where one is looked for.
    File(PathBuf),
    /// There is no such file.
    Defaults,
}

impl Origin {
    /// What [`load`] reads.
    pub fn of(overrides: &Overrides) -> Self {
        let named = overrides.config.as_deref();
        let path = named.unwrap_or(Path::new(DEFAULT_PATH));
        // Anything but absence is told when the file is read.
        let is_absent = || {
            std::fs::symlink_metadata(path)
                .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        };
        if named.is_none() && is_absent() {
            return Self::Defaults;
        }
        Self::File(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "configuration {}", path.display()),
            Self::Defaults => write!(f, "built-in configuration (there is no {DEFAULT_PATH})"),
        }
    }
}

/// Loads the settings of this process: file, environment and command line.
pub fn load(overrides: &Overrides) -> Result<Settings, ConfigError> {
    load_with(overrides, &environment)
}

/// As [`load`], with variables looked up elsewhere.
pub fn load_with(
    overrides: &Overrides,
    lookup: expand::Lookup<'_>,
) -> Result<Settings, ConfigError> {
    let text = read(&Origin::of(overrides))?;
    parse(&text, overrides, lookup)
}

/// What the file at `origin` itself says at `pointer`, if it says anything.
pub fn written(
    origin: &Origin,
    pointer: &str,
    lookup: expand::Lookup<'_>,
) -> Result<Option<String>, ConfigError> {
    let mut value = parse_yaml(&read(origin)?)?;
    let Some(mut found) = value.pointer_mut(pointer).map(Value::take) else { return Ok(None) };
    let mut problems = Problems::default();
    expand::expand(&mut found, &Value::Null, lookup, &mut problems);
    // What is wrong with it is told with all the rest, when the file is loaded.
    let is_sound = problems.into_list().is_empty();
    Ok(found.as_str().map(str::to_owned).filter(|_| is_sound))
}

/// The variables of this process.
#[expect(clippy::disallowed_methods, reason = "the configuration is what the environment is for")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Builds settings from the text of a file laid over the defaults.
pub fn parse(
    text: &str,
    overrides: &Overrides,
    lookup: expand::Lookup<'_>,
) -> Result<Settings, ConfigError> {
    let defaults = parse_yaml(DEFAULTS)?;
    let mut base = defaults.clone();
    for (pointer, text) in &overrides.stand_ins {
        put(&mut base, pointer, text);
    }
    let mut value = overlay::lay(&base, parse_yaml(text)?);
    apply(&mut value, overrides);
    overlay::drop_server_if_embedded(&mut value, &defaults);
    let schema = schema::of_values();
    let mut problems = Problems::default();
    expand::expand(&mut value, &schema, lookup, &mut problems);
    schema::repair(&mut value, &schema, &mut problems);
    let file: Option<File> = problems.take("", serde_json::from_value(value));
    let settings = file.and_then(|file| file.read(&mut problems));
    let problems = problems.into_list();
    settings.filter(|_| problems.is_empty()).ok_or(ConfigError { problems })
}

fn read(origin: &Origin) -> Result<String, ConfigError> {
    let Origin::File(path) = origin else { return Ok(String::new()) };
    std::fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot read the file: {error}");
        Problem { key: String::new(), message }.into()
    })
}

fn parse_yaml(text: &str) -> Result<Value, ConfigError> {
    // serde_yaml's own value refuses duplicate keys, serde_json's would keep the last.
    let bad = |error: &dyn fmt::Display| Problem {
        key: String::new(),
        message: format!("the file is not valid YAML: {error}"),
    };
    let yaml: serde_yaml::Value = serde_yaml::from_str(text).map_err(|e| bad(&e))?;
    let value = serde_json::to_value(yaml).map_err(|e| bad(&e))?;
    match value {
        Value::Null => Ok(Value::Object(serde_json::Map::new())),
        Value::Object(_) => Ok(value),
        _ => Err(bad(&"the top level must be a mapping").into()),
    }
}

fn apply(value: &mut Value, overrides: &Overrides) {
    let pairs = [
        ("/rules/file", &overrides.rules),
        ("/server/listen", &overrides.listen),
        ("/admin/listen", &overrides.admin_listen),
    ];
    for (pointer, text) in pairs {
        if let Some(text) = text {
            put(value, pointer, text);
        }
    }
}

fn put(value: &mut Value, pointer: &str, text: &str) {
    if let Some(slot) = value.pointer_mut(pointer) {
        *slot = Value::String(text.to_owned());
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
