//! Configuration: what was written, what it means ([`Settings`]), and what is wrong with it.
//!
//! The shipped `conf/gateway.yaml` is compiled in as the defaults; the operator's file is laid over
//! it, placeholders are replaced, the result is checked against the schema and then read section by
//! section (a file each below `sections/`) into domain types. A value that one stage cannot use is
//! told and replaced by a stand-in, so that the next stages still tell what is wrong with the others.

pub mod expand;
mod key;
pub mod overlay;
mod problems;
mod rule_names;
pub mod schema;
mod sections;
#[cfg(test)]
pub(crate) mod testing;
mod values;
mod yaml;

pub use rule_names::RuleNames;
pub use sections::{Admin, Embedded, Limits, Log, OpenFga, Rules, Server, Settings};

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::finding::{Finding, Findings};
use problems::{Problems, UNREADABLE, UNSET};
use sections::File;

/// The shipped file: the defaults.
pub const DEFAULTS: &str = include_str!("../conf/gateway.yaml");

const BYTE_ORDER_MARK: char = '\u{feff}';

/// No configuration, secret or key is as large; a device or a pipe that never ends would take all memory.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Where a file is looked for when none is named.
pub const DEFAULT_PATH: &str = "conf/gateway.yaml";

/// Variables of the shipped file that have to be there; the last two may be empty.
pub const VARIABLES: [&str; 7] = [
    "OPENFGA_URL",
    "OPENFGA_STORE_ID",
    "ZITADEL_ISSUER_URL",
    "ZITADEL_API_URL",
    "UPSTREAM_URL",
    "REDIS_URL",
    "ALLOWED_ORIGINS",
];

/// Why a configuration was refused: every mistake that was found.
#[derive(Debug, thiserror::Error)]
#[error("{findings}")]
pub struct ConfigError {
    findings: Findings,
    /// Variables that should be there.
    unset: BTreeSet<String>,
    /// What rules may name all the same; absent when that is what cannot be read.
    pub rule_names: Option<Box<RuleNames>>,
}

impl ConfigError {
    /// Every mistake.
    pub fn findings(&self) -> Findings {
        self.findings.clone()
    }

    /// Whether nobody has configured anything: all variables are missing, and nothing else is wrong.
    pub fn is_of_nothing(&self) -> bool {
        VARIABLES.iter().all(|name| self.unset.contains(*name))
            && self.findings.iter().all(|finding| finding.kind == UNSET)
    }
}

impl From<Finding> for ConfigError {
    fn from(finding: Finding) -> Self {
        Self { findings: finding.into(), unset: BTreeSet::new(), rule_names: None }
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
    let origin = Origin::of(overrides);
    let read = read(&origin).and_then(|text| parse(&text, overrides, lookup));
    read.map_err(|error| {
        let names = error.rule_names.or_else(|| shipped_names(overrides, lookup).map(Box::new));
        let error = ConfigError { rule_names: names, ..error };
        match origin {
            Origin::File(path) => ConfigError { findings: error.findings.in_file(&path), ..error },
            Origin::Defaults => error,
        }
    })
}

/// What rules may name by the shipped file, where the operator's cannot be read that far; absent when
/// nobody can say either which rules are meant.
fn shipped_names(overrides: &Overrides, lookup: expand::Lookup<'_>) -> Option<RuleNames> {
    let mut problems = Problems::default();
    let file = lay("", overrides, lookup, &mut problems).ok()??;
    let names = file.rule_names(&problems)?;
    let is_meant = overrides.rules.is_some() || names.file.exists();
    is_meant.then_some(RuleNames { are_all: false, ..names })
}

/// What the file at `origin` itself says at `pointer`, if it says anything.
pub fn written(
    origin: &Origin,
    pointer: &str,
    lookup: expand::Lookup<'_>,
) -> Result<Option<String>, ConfigError> {
    // What is wrong with it is told with all the rest, when the file is loaded.
    let mut problems = Problems::default();
    let mut value = parse_yaml(&read(origin)?, &mut problems)?;
    let Some(mut found) = value.pointer_mut(pointer).map(Value::take) else { return Ok(None) };
    expand::expand(&mut found, &Value::Null, lookup, &mut problems);
    Ok(found.as_str().map(str::to_owned).filter(|_| problems.is_empty()))
}

/// The variables of this process. Bytes that are no text become replacement characters, which no
/// value may hold.
#[expect(clippy::disallowed_methods, reason = "the configuration is what the environment is for")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Builds settings from the text of a file laid over the defaults.
pub fn parse(
    text: &str,
    overrides: &Overrides,
    lookup: expand::Lookup<'_>,
) -> Result<Settings, ConfigError> {
    let mut problems = Problems::of(text);
    let file = lay(text, overrides, lookup, &mut problems)?;
    let rule_names = file.as_ref().and_then(|file| file.rule_names(&problems)).map(Box::new);
    let settings = file.and_then(|file| file.read(&mut problems));
    let (findings, unset) = problems.into_parts();
    settings.filter(|_| findings.is_empty()).ok_or(ConfigError { findings, unset, rule_names })
}

/// What `text` says over the defaults, and the command line over both.
fn lay(
    text: &str,
    overrides: &Overrides,
    lookup: expand::Lookup<'_>,
    problems: &mut Problems,
) -> Result<Option<File>, ConfigError> {
    let defaults = parse_yaml(DEFAULTS, problems)?;
    let mut base = defaults.clone();
    for (pointer, text) in &overrides.stand_ins {
        put(&mut base, pointer, text);
    }
    let mut value = overlay::lay(&base, parse_yaml(text, problems)?);
    apply(&mut value, overrides, problems);
    overlay::drop_server_if_embedded(&mut value, &defaults);
    let schema = schema::of_values();
    expand::expand(&mut value, &schema, lookup, problems);
    schema::repair(&mut value, &schema, problems);
    Ok(problems.take("", serde_json::from_value(value)))
}

fn read(origin: &Origin) -> Result<String, ConfigError> {
    let Origin::File(path) = origin else { return Ok(String::new()) };
    read_text(path).map_err(|error| {
        Finding::error(UNREADABLE, format!("cannot read the file: {error}")).into()
    })
}

/// Reads a text without the mark that some editors put at its start.
fn read_text(path: &Path) -> io::Result<String> {
    let mut content = Vec::new();
    let mut file = std::fs::File::open(path)?.take(MAX_FILE);
    file.read_to_end(&mut content)?;
    if file.limit() == 0 {
        let message = format!("it has {MAX_FILE} bytes or more");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut text = String::from_utf8(content).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let (line, column) = yaml::end(&String::from_utf8_lossy(before));
        let message = format!("line {line}, column {column} is not UTF-8");
        io::Error::new(io::ErrorKind::InvalidData, message)
    })?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.remove(0);
    }
    Ok(text)
}

fn parse_yaml(text: &str, problems: &mut Problems) -> Result<Value, ConfigError> {
    if let Some((character, (line, column))) = yaml::control(text) {
        let code = character.escape_unicode();
        let message = format!("the file is not valid YAML: it has the control character {code}");
        return Err(Finding::error(UNREADABLE, message).at(line, column).into());
    }
    let document = yaml::read(text).map_err(|error| {
        let told = error.to_string();
        // The place is told before the message, as for every other mistake.
        let cause = told.rsplit_once(" at line ").map_or(&*told, |(cause, _)| cause);
        let finding = Finding::error(UNREADABLE, format!("the file is not valid YAML: {cause}"));
        match error.location() {
            Some(at) => finding.at(at.line(), at.column()),
            None => finding,
        }
    })?;
    for key in &document.repeated {
        problems.repeat(key);
    }
    match document.value {
        Value::Null => Ok(Value::Object(Map::new())),
        value @ Value::Object(_) => Ok(value),
        _ => {
            let message = "the file is not a configuration: its top level must be a mapping";
            Err(Finding::error(UNREADABLE, message).at(1, 1).into())
        }
    }
}

/// The command line wins.
fn apply(value: &mut Value, overrides: &Overrides, problems: &mut Problems) {
    let given = [
        ("rules", "file", "--rules", &overrides.rules),
        ("server", "listen", "--listen", &overrides.listen),
        ("admin", "listen", "--admin-listen", &overrides.admin_listen),
    ];
    for (section, name, option, text) in given {
        if let Some(text) = text {
            put(value, &format!("/{section}/{name}"), text);
            problems.comes_from(&format!("{section}.{name}"), vec![option.to_owned()]);
        }
    }
}

fn put(value: &mut Value, pointer: &str, text: &str) {
    if let Some(slot) = value.pointer_mut(pointer) {
        *slot = Value::String(text.to_owned());
    }
}

#[cfg(test)]
mod tests;
