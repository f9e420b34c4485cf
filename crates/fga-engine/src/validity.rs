//! Is a tuple valid under a model? (`openfga/internal/validation`)
//!
//! Asked when a tuple is written or sent as contextual, and again whenever a check reads
//! one, because the model may have changed since.

use thiserror::Error;

use crate::condition::{ConditionError, inline, is_inline};
use crate::error::{EngineError, ErrorCode};
use crate::model::{Facet, Model, Relation};
use crate::name::{self, ObjectRef, UserRef, has_control};
use crate::tuple::{Context, RelationshipCondition, TupleKey};

/// Why the parts of a tuple key do not fit the model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum KeyFault {
    #[error("the 'user' field is malformed")]
    MalformedUser,
    #[error(
        "the 'user' field must be an object (e.g. document:1) or an 'object#relation' or a typed wildcard (e.g. group:*)"
    )]
    UntypedUser,
    #[error("invalid 'object' field format")]
    MalformedObject,
    #[error("the 'object' field cannot reference a typed wildcard")]
    WildcardObject,
    #[error("the 'relation' field is malformed")]
    MalformedRelation,
    #[error("type '{kind}' not found")]
    UnknownType { kind: String },
    #[error("relation '{kind}#{relation}' not found")]
    UnknownRelation { kind: String, relation: String },
}

/// Why a well-formed tuple may not be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum TupleFault {
    #[error(transparent)]
    Key(#[from] KeyFault),
    #[error("unexpected user '{user}' with tupleset relation '{kind}#{relation}'")]
    TuplesetUser { user: String, kind: String, relation: String },
    #[error("unexpected wildcard relationship with tupleset relation '{kind}#{relation}'")]
    TuplesetWildcard { kind: String, relation: String },
    #[error("{user} is not an allowed type restriction for '{kind}#{relation}'")]
    Restriction { user: String, kind: String, relation: String },
    #[error("condition is missing")]
    ConditionMissing,
    #[error("undefined condition")]
    ConditionUndefined,
    #[error("invalid condition for type restriction")]
    ConditionNotAllowed,
    #[error("condition name contains forbidden characters")]
    ConditionName,
    #[error("context {what} {} contains forbidden characters", quoted(text))]
    ForbiddenCharacters { what: &'static str, text: String },
    #[error(transparent)]
    Condition(#[from] ConditionError),
}

/// Go's `%q`.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0b' => quoted.push_str("\\v"),
            '\x0c' => quoted.push_str("\\f"),
            c if c.is_ascii_control() => quoted.push_str(&escape("\\x", 2, c)),
            c if c.is_control() => quoted.push_str(&escape("\\u", 4, c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn escape(prefix: &str, width: usize, c: char) -> String {
    format!("{prefix}{:0width$x}", u32::from(c))
}

/// A tuple key that was parsed and found in the model.
pub(crate) struct Resolved<'a, 'm> {
    pub object: ObjectRef<'a>,
    pub user: UserRef<'a>,
    pub relation: &'m Relation,
    pub object_kind: u32,
    pub user_kind: u32,
    /// Symbol of the userset's relation, or 0.
    pub user_relation: u32,
    /// The user's place in the model's graph.
    pub user_label: usize,
}

impl Resolved<'_, '_> {
    pub(crate) const fn facet(&self) -> Facet {
        facet(&self.user, self.user_relation)
    }
}

pub(crate) const fn facet(user: &UserRef<'_>, user_relation: u32) -> Facet {
    match user {
        UserRef::Object(_) => Facet::Object,
        UserRef::Wildcard(_) => Facet::Wildcard,
        UserRef::Userset(..) => Facet::Userset(user_relation),
    }
}

/// User first, then object, then relation, as OpenFGA reports them.
pub(crate) fn resolve<'a, 'm>(
    model: &'m Model,
    object: &'a str,
    relation: &'a str,
    user: &'a str,
) -> Result<Resolved<'a, 'm>, KeyFault> {
    let ResolvedUser { user, kind: user_kind, relation: user_relation, label: user_label } =
        resolve_user(model, user)?;
    let object = ObjectRef::parse(object).ok_or(KeyFault::MalformedObject)?;
    if object.id == "*" {
        return Err(KeyFault::WildcardObject);
    }
    let Some(kind) = model.kind(object.kind) else {
        return Err(KeyFault::UnknownType { kind: object.kind.to_owned() });
    };
    let found = kind.relations.get(relation).and_then(|index| model.relation(*index));
    let Some(found) = found else {
        if !name::is_relation(relation) {
            return Err(KeyFault::MalformedRelation);
        }
        let (kind, relation) = (object.kind.to_owned(), relation.to_owned());
        return Err(KeyFault::UnknownRelation { kind, relation });
    };
    let object_kind = kind.symbol;
    Ok(Resolved {
        object,
        user,
        relation: found,
        object_kind,
        user_kind,
        user_relation,
        user_label,
    })
}

pub(crate) struct ResolvedUser<'a> {
    pub user: UserRef<'a>,
    pub kind: u32,
    pub relation: u32,
    pub label: usize,
}

pub(crate) fn resolve_user<'a>(model: &Model, user: &'a str) -> Result<ResolvedUser<'a>, KeyFault> {
    let Some(parsed) = UserRef::parse(user) else {
        let well_formed = name::is_user(user);
        return Err(if well_formed { KeyFault::UntypedUser } else { KeyFault::MalformedUser });
    };
    let Some(kind) = model.kind(parsed.kind()) else {
        return Err(KeyFault::UnknownType { kind: parsed.kind().to_owned() });
    };
    let UserRef::Userset(object, relation) = parsed else {
        let (kind, label) = (kind.symbol, kind.label);
        return Ok(ResolvedUser { user: parsed, kind, relation: 0, label });
    };
    let found = kind.relations.get(relation).and_then(|index| model.relation(*index));
    if let Some(found) = found {
        Ok(ResolvedUser {
            user: parsed,
            kind: kind.symbol,
            relation: found.symbol,
            label: model.relation_label(found.index),
        })
    } else {
        let (kind, relation) = (object.kind.to_owned(), relation.to_owned());
        Err(KeyFault::UnknownRelation { kind, relation })
    }
}

/// Checks a tuple as OpenFGA does before a write.
pub(crate) fn for_write<'a, 'm>(
    model: &'m Model,
    tuple: &'a TupleKey,
) -> Result<Resolved<'a, 'm>, TupleFault> {
    let resolved = resolve(model, &tuple.object, &tuple.relation, &tuple.user)?;
    let relation = resolved.relation;
    let names = || (tuple.user.clone(), relation.kind.to_string(), relation.name.to_string());
    if relation.is_tupleset && resolved.facet() != Facet::Object {
        let is_wildcard = resolved.facet() == Facet::Wildcard;
        let (user, kind, relation) = names();
        return Err(if is_wildcard {
            TupleFault::TuplesetWildcard { kind, relation }
        } else {
            TupleFault::TuplesetUser { user, kind, relation }
        });
    }
    if !relation.allows(resolved.user_kind, resolved.facet()) {
        let (user, kind, relation) = names();
        let user = describe(&resolved.user, &user);
        return Err(TupleFault::Restriction { user, kind, relation });
    }
    accept_condition(
        model,
        relation,
        resolved.user_kind,
        resolved.facet(),
        tuple.condition.as_ref(),
    )?;
    if let Some(condition) = &tuple.condition
        && is_inline(&condition.name)
    {
        inline::compile(&condition.context)?;
    }
    Ok(resolved)
}

fn describe(parsed: &UserRef<'_>, user: &str) -> String {
    match parsed {
        UserRef::Object(object) => format!("type '{}'", object.kind),
        UserRef::Wildcard(_) => format!("the typed wildcard '{user}'"),
        UserRef::Userset(object, relation) => format!("'{}#{relation}'", object.kind),
    }
}

/// Whether a stored tuple of a user of this kind still counts under the model.
pub(crate) fn is_readable(
    model: &Model,
    relation: &Relation,
    user_kind: u32,
    facet: Facet,
    condition: Option<&RelationshipCondition>,
) -> bool {
    (!relation.is_tupleset || facet == Facet::Object)
        && relation.allows(user_kind, facet)
        && accept_condition(model, relation, user_kind, facet, condition).is_ok()
}

fn accept_condition(
    model: &Model,
    relation: &Relation,
    user_kind: u32,
    facet: Facet,
    condition: Option<&RelationshipCondition>,
) -> Result<(), TupleFault> {
    let allowed = |name: Option<&str>| {
        let mut restrictions = relation.restrictions.iter();
        restrictions
            .any(|r| r.kind == user_kind && r.facet == facet && r.condition.as_deref() == name)
    };
    let Some(condition) = condition else {
        return if allowed(None) { Ok(()) } else { Err(TupleFault::ConditionMissing) };
    };
    if has_control(&condition.name) {
        return Err(TupleFault::ConditionName);
    }
    let defined = model.condition(&condition.name);
    if defined.is_none() && !is_inline(&condition.name) {
        return Err(TupleFault::ConditionUndefined);
    }
    if !allowed(Some(&condition.name)) {
        return Err(TupleFault::ConditionNotAllowed);
    }
    accept_context(&condition.context)?;
    defined.map_or(Ok(()), |defined| Ok(defined.accept(&condition.context)?))
}

/// Control characters are refused anywhere in a context.
pub(crate) fn accept_context(context: &Context) -> Result<(), TupleFault> {
    if let Some(text) = context.keys().find(|key| has_control(key)) {
        return Err(TupleFault::ForbiddenCharacters { what: "key", text: text.clone() });
    }
    context.values().try_for_each(accept_value)
}

fn accept_value(value: &serde_json::Value) -> Result<(), TupleFault> {
    match value {
        serde_json::Value::String(text) if has_control(text) => {
            Err(TupleFault::ForbiddenCharacters { what: "value", text: text.clone() })
        }
        serde_json::Value::Array(items) => items.iter().try_for_each(accept_value),
        serde_json::Value::Object(fields) => accept_context(fields),
        _ => Ok(()),
    }
}

impl TupleFault {
    /// As a refused write.
    pub(crate) fn in_write(&self, tuple: &TupleKey) -> EngineError {
        EngineError::validation(self.describe(tuple))
    }

    /// As a refused contextual tuple of a check.
    pub(crate) fn in_check(&self, tuple: &TupleKey) -> EngineError {
        let reason =
            format!("Invalid tuple '%!s(<nil>)'. Reason: invalid tuple: {}", self.describe(tuple));
        EngineError::new(ErrorCode::InvalidTuple, reason)
    }

    /// As a refused contextual tuple of a list request, where a condition's fault has
    /// another code.
    pub(crate) fn in_list(&self, tuple: &TupleKey) -> EngineError {
        let code = match self {
            Self::Key(_)
            | Self::TuplesetUser { .. }
            | Self::TuplesetWildcard { .. }
            | Self::Restriction { .. } => ErrorCode::InvalidTuple,
            _ => ErrorCode::ValidationError,
        };
        EngineError::new(code, self.describe(tuple))
    }

    fn describe(&self, tuple: &TupleKey) -> String {
        let condition = tuple.condition.as_ref();
        let condition = condition.map_or_else(String::new, |c| format!(" (condition {})", c.name));
        format!("Invalid tuple '{tuple}{condition}'. Reason: {self}")
    }
}
