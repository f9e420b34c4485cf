//! What is wrong, or odd, with one rule.

use super::host::HostError;
use super::object::ObjectError;
use super::pattern::PatternError;

/// The kinds of findings that depend on what a configuration names.
pub const KINDS_OF_NAMES: [&str; 4] =
    ["undefined_name", "nobody_to_count", "no_openfga", "nothing_to_expose"];

/// A fault and the part of the rule that has it.
#[derive(Debug)]
pub(super) struct RuleFault {
    /// The rule's position in the file.
    pub(super) rule: usize,
    /// `None` for the rule as a whole.
    pub(super) field: Option<Box<str>>,
    /// Position in the field's list.
    pub(super) item: Option<usize>,
    pub(super) fault: Fault,
}

/// What is wrong with a rule or one of its fields; the text goes behind the field's name.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The entry is no object.
    #[error("must be an object, not {found}")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// No such field.
    #[error("unknown field")]
    UnknownField,
    /// The field stands more than once.
    #[error("stands twice")]
    RepeatedField,
    /// `null`, which could be a requirement that got lost.
    #[error("is null (leave the field out, or give it a value)")]
    Null,
    /// Another JSON type.
    #[error("is {found} (expected {expected})")]
    WrongType {
        /// What it is.
        found: String,
        /// What the field takes.
        expected: &'static str,
    },
    /// A field that takes one of a few words has another.
    #[error("{value:?} is not one of its words")]
    UnknownWord {
        /// What stands there.
        value: String,
        /// The words there are.
        known: &'static [&'static str],
    },
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
    /// A method that HTTP does not register.
    #[error("{value:?} is not a method that is registered for HTTP")]
    OddMethod {
        /// What stands there, in upper case.
        value: String,
    },
    /// A feature that reads like one of the two reserved words.
    #[error(
        "{value:?} asks OpenFGA for the object \"feature:{value}\" (write that if it is meant)"
    )]
    NearlyReserved {
        /// What stands there.
        value: String,
        /// The word that is probably meant.
        reserved: &'static str,
    },
    /// No upstream or limit has this name.
    #[error("{value:?} is not defined")]
    Undefined {
        /// What stands there.
        value: String,
    },
    /// A public rule has nobody to count by principal.
    #[error("{value:?} counts by principal, which a public rule does not have")]
    NobodyToCount {
        /// What stands there.
        value: String,
    },
    /// OpenFGA's upstream, where the engine in this process decides.
    #[error("\"openfga\" is not defined: authz.mode is embedded, so there is no OpenFGA upstream")]
    NoOpenFga,
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
    #[error("has no effect beside the feature {feature:?}, which asks OpenFGA nothing")]
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

impl Fault {
    /// The stable word for this kind of fault.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::NotAnObject { .. } => "not_an_object",
            Self::UnknownField => "unknown_field",
            Self::RepeatedField => "repeated_field",
            Self::Null => "null",
            Self::WrongType { .. } => "wrong_type",
            Self::UnknownWord { .. } => "unknown_word",
            Self::Missing { .. } => "missing",
            Self::Beside { .. } => "beside",
            Self::NotAMethod { .. } => "bad_method",
            Self::Pattern { .. } => "bad_path",
            Self::EncodedSlash { .. } => "encoded_slash",
            Self::Host { .. } => "bad_host",
            Self::Object { .. } => "bad_object",
            Self::TemplateInFeature { .. } => "template_in_feature",
            Self::Relation { .. } => "bad_relation",
            Self::OddMethod { .. } => "odd_method",
            Self::NearlyReserved { .. } => "nearly_reserved",
            Self::Undefined { .. } => "undefined_name",
            Self::NobodyToCount { .. } => "nobody_to_count",
            Self::NoOpenFga => "no_openfga",
            Self::Duration { .. } => "bad_duration",
            Self::Id { .. } => "bad_id",
            Self::EmptyList => "empty_list",
            Self::Item { .. } => "bad_item",
            Self::NeedsCheck { .. } => "needs_check",
            Self::NeedsAuthentication => "needs_authentication",
            Self::NothingToExpose => "nothing_to_expose",
            Self::DuplicateId { .. } => "duplicate_id",
            Self::DuplicateRule { .. } => "duplicate_rule",
            Self::TypeNotInModel { .. } => "type_not_in_model",
            Self::RelationNotInModel { .. } => "relation_not_in_model",
        }
    }

    /// What was written where a known name is expected.
    pub(super) fn misspelt<'a>(&'a self, field: &'a str) -> Option<&'a str> {
        match self {
            Self::UnknownField => Some(field),
            Self::UnknownWord { value, .. }
            | Self::NotAMethod { value }
            | Self::OddMethod { value }
            | Self::Undefined { value } => Some(value),
            _ => None,
        }
    }
}

/// Collects what is wrong with one rule, and what is odd.
pub(super) struct Faults {
    rule: usize,
    errors: Vec<RuleFault>,
    oddities: Vec<RuleFault>,
}

impl Faults {
    pub(super) const fn of(rule: usize) -> Self {
        Self { rule, errors: Vec::new(), oddities: Vec::new() }
    }

    pub(super) fn add(&mut self, field: &str, fault: Fault) {
        self.errors.push(self.at(Some(field), fault));
    }

    pub(super) fn add_to_rule(&mut self, fault: Fault) {
        self.errors.push(self.at(None, fault));
    }

    pub(super) fn add_to_item(&mut self, field: &str, item: usize, fault: Fault) {
        self.errors.push(RuleFault { item: Some(item), ..self.at(Some(field), fault) });
    }

    /// Notes what is allowed and rarely meant.
    pub(super) fn question(&mut self, field: &str, fault: Fault) {
        self.oddities.push(self.at(Some(field), fault));
    }

    fn at(&self, field: Option<&str>, fault: Fault) -> RuleFault {
        RuleFault { rule: self.rule, field: field.map(Into::into), item: None, fault }
    }

    /// Takes the value, or notes why there is none.
    pub(super) fn keep<T>(&mut self, field: &str, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.add(field, fault)).ok()
    }

    pub(super) fn concern(&self, field: &str) -> bool {
        self.errors.iter().any(|error| error.field.as_deref() == Some(field))
    }

    /// Whether the rule can be used.
    pub(super) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// What is wrong, and what is odd.
    pub(super) fn into_parts(self) -> (Vec<RuleFault>, Vec<RuleFault>) {
        (self.errors, self.oddities)
    }
}
