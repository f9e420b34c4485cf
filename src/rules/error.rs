//! What is wrong with a rule file; everything at once, so that one attempt finds all of it.

use std::fmt;

use super::host::HostError;
use super::object::ObjectError;
use super::pattern::PatternError;

/// Bytes in a rule file.
pub(super) const MAX_FILE: usize = 4 * 1024 * 1024;

/// Why a rule file is not used.
#[derive(Debug)]
pub enum RuleErrors {
    /// The file cannot be read as a list.
    File(FileFault),
    /// These rules are wrong; in the file's order.
    Rules(Vec<RuleError>),
}

/// What is wrong with the file as a whole.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// More than 4 MiB.
    #[error("the file has {size} bytes (allowed {MAX_FILE})")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// Not JSON, not a list, or nested too deeply.
    #[error("the file is not a list of rules: {0}")]
    NotAList(serde_json::Error),
}

/// One thing that is wrong with one rule.
#[derive(Debug)]
pub struct RuleError {
    pub(super) rule: usize,
    pub(super) field: Option<Box<str>>,
    pub(super) fault: Fault,
}

/// What is wrong with a rule or one of its fields.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The entry is no object.
    #[error("is {found} (expected an object)")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// No such field.
    #[error("is not a field of a rule (expected one of {known})")]
    UnknownField {
        /// The fields there are.
        known: &'static str,
    },
    /// The field stands more than once.
    #[error("stands twice")]
    RepeatedField,
    /// `null`, which could be a requirement that got lost.
    #[error("is null (leave the field out, or give it a value)")]
    Null,
    /// Another JSON type, or a word that the field does not know.
    #[error("{0}")]
    WrongType(serde_json::Error),
    /// A required field is absent.
    #[error("is missing (expected {expected})")]
    Missing {
        /// What it may say.
        expected: &'static str,
    },
    /// Two fields that say the same thing.
    #[error("cannot stand beside the field {other:?}")]
    Beside {
        /// The other field.
        other: &'static str,
    },
    /// No method's name.
    #[error(
        "{value:?} is not an HTTP method (expected one such as GET, a comma-separated list, or * alone)"
    )]
    NotAMethod {
        /// What stands there.
        value: String,
    },
    /// The path cannot be matched.
    #[error("{value:?} {cause}")]
    Pattern {
        /// What stands there.
        value: String,
        /// Why not.
        cause: PatternError,
    },
    /// The path has an encoded slash, which the rule refuses.
    #[error("{value:?} has an encoded slash (expected only beside encoded_slashes: allow)")]
    EncodedSlash {
        /// What stands there.
        value: String,
    },
    /// The host cannot be matched.
    #[error("{value:?} {cause} (expected a host without port, or *.example.com)")]
    Host {
        /// What stands there.
        value: String,
        /// Why not.
        cause: HostError,
    },
    /// The object cannot be asked about.
    #[error("{value:?} {cause}")]
    Object {
        /// What stands there.
        value: String,
        /// Why not.
        cause: ObjectError,
    },
    /// A feature with path parameters.
    #[error("{value:?} cannot have parameters (expected them in the field \"object\")")]
    TemplateInFeature {
        /// What stands there.
        value: String,
    },
    /// OpenFGA has no such relations.
    #[error(
        "{value:?} is not an OpenFGA relation (expected 1 to 50 characters without white space, :, #, @ or *)"
    )]
    Relation {
        /// What stands there.
        value: String,
    },
    /// No upstream or limit has this name.
    #[error("{value:?} is not defined (expected one of {known})")]
    Undefined {
        /// What stands there.
        value: String,
        /// The names there are.
        known: String,
    },
    /// OpenFGA's upstream, where the engine in this process decides.
    #[error(
        "\"openfga\" is not defined (authz.mode is embedded, so there is no OpenFGA upstream; expected one of {known})"
    )]
    NoOpenFga {
        /// The names there are.
        known: String,
    },
    /// Not a duration, or out of bounds.
    #[error("{value:?} is not a duration (expected 1ms to 1h, such as 500ms, 5s or 2m)")]
    Duration {
        /// What stands there.
        value: String,
    },
    /// Not a name for logs and metrics.
    #[error("{value:?} is not an id (expected 1 to 128 printable ASCII characters)")]
    Id {
        /// What stands there.
        value: String,
    },
    /// A list that requires nothing.
    #[error("is empty (leave the field out to require nothing)")]
    EmptyList,
    /// An item that no token can have.
    #[error(
        "has the item {value:?} (expected text without control characters or outer white space; scopes without white space)"
    )]
    Item {
        /// The item.
        value: String,
    },
    /// The field has no effect without an OpenFGA check.
    #[error("has no effect on a rule with the feature {feature:?}, which asks OpenFGA nothing")]
    NeedsCheck {
        /// The feature.
        feature: &'static str,
    },
    /// The field requires something of nobody.
    #[error("has no effect on a public rule, which reads no token")]
    NeedsAuthentication,
    /// The field belongs to public rules to OpenFGA.
    #[error("has no effect (expected only on a public rule to OpenFGA)")]
    NothingToExpose,
    /// Another rule has this id.
    #[error("{value:?} is also the id of rule {other}")]
    DuplicateId {
        /// The id.
        value: String,
        /// The earlier rule.
        other: usize,
    },
    /// Another rule answers for the same requests.
    #[error(
        "serves {method} {path:?} on the same hosts as rule {other} (parameter names make no difference)"
    )]
    DuplicateRule {
        /// The method both serve, or `*`.
        method: String,
        /// The path.
        path: String,
        /// The earlier rule.
        other: usize,
    },
    /// The authorization model has no such type.
    #[error("{value:?} has a type that the authorization model does not define")]
    TypeNotInModel {
        /// The object.
        value: String,
    },
    /// The authorization model's type has no such relation.
    #[error("{value:?} is not a relation of the type {type_name:?} in the authorization model")]
    RelationNotInModel {
        /// The relation.
        value: String,
        /// The type.
        type_name: String,
    },
}

impl RuleErrors {
    /// How many things are wrong.
    pub const fn count(&self) -> usize {
        match self {
            Self::File(_) => 1,
            Self::Rules(errors) => errors.len(),
        }
    }
}

impl RuleError {
    /// The rule's position in the file, from 0.
    pub const fn rule(&self) -> usize {
        self.rule
    }

    /// The field, unless the whole rule is meant.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// What is wrong.
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "rule {}: field {field:?}: {}", self.rule, self.fault),
            None => write!(f, "rule {}: {}", self.rule, self.fault),
        }
    }
}

impl fmt::Display for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(fault) => fault.fmt(f),
            Self::Rules(errors) => {
                for (position, error) in errors.iter().enumerate() {
                    let separator = if position == 0 { "" } else { "\n" };
                    write!(f, "{separator}{error}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for RuleError {}
impl std::error::Error for RuleErrors {}

/// Collects what is wrong with one rule.
pub(super) struct Faults {
    rule: usize,
    errors: Vec<RuleError>,
}

impl Faults {
    pub(super) const fn of(rule: usize) -> Self {
        Self { rule, errors: Vec::new() }
    }

    pub(super) fn add(&mut self, field: &str, fault: Fault) {
        self.errors.push(RuleError { rule: self.rule, field: Some(field.into()), fault });
    }

    pub(super) fn add_to_rule(&mut self, fault: Fault) {
        self.errors.push(RuleError { rule: self.rule, field: None, fault });
    }

    /// Takes the value, or notes why there is none.
    pub(super) fn keep<T>(&mut self, field: &str, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.add(field, fault)).ok()
    }

    pub(super) fn concern(&self, field: &str) -> bool {
        self.errors.iter().any(|error| error.field.as_deref() == Some(field))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn into_errors(self) -> Vec<RuleError> {
        self.errors
    }
}
