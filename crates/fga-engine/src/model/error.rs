//! What makes a model invalid.

use thiserror::Error;

use crate::condition::ConditionError;

/// Why a model was refused; the texts are OpenFGA's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ModelError {
    #[error("invalid schema version")]
    SchemaVersion,
    #[error("an authorization model cannot contain duplicate types")]
    DuplicateTypes,
    #[error("the type name of a type definition cannot be an empty string")]
    EmptyTypeName,
    #[error("type '{kind}' defines a relation with an empty string for a name")]
    EmptyRelationName { kind: String },
    #[error("the definition of type '{kind}' is invalid")]
    ReservedType { kind: String },
    #[error("the definition of relation '{relation}' in object type '{kind}' is invalid: {cause}")]
    InvalidRelation { kind: String, relation: String, cause: &'static str },
    #[error("'{kind}#{relation}' relation is undefined")]
    UndefinedRelation { kind: String, relation: String },
    #[error(
        "undefined relation: {relation} does not appear as a relation in any of the directly related user types of '{tupleset}'"
    )]
    UndefinedComputedRelation { tupleset: String, relation: String },
    #[error(
        "the '{kind}#{relation}' relation is referenced in at least one tupleset and thus must be a direct relation"
    )]
    IndirectTupleset { kind: String, relation: String },
    #[error(
        "the assignable relation '{relation}' in object type '{kind}' must contain at least one relation type"
    )]
    AssignableWithoutTypes { kind: String, relation: String },
    #[error(
        "the non-assignable relation '{relation}' in object type '{kind}' should not contain a relation type"
    )]
    TypesWithoutAssignable { kind: String, relation: String },
    #[error("the relation type '{reference}' on '{relation}' in object type '{kind}' is not valid")]
    InvalidRelationType { kind: String, relation: String, reference: String },
    #[error("condition {condition} is undefined for relation {relation}")]
    UndefinedCondition { relation: String, condition: String },
    #[error("condition key '{key}' does not match condition name '{name}'")]
    ConditionName { key: String, name: String },
    #[error("invalid relation: '{kind}#{relation}' as {operator} has less than 2 children")]
    TooFewChildren { kind: String, relation: String, operator: &'static str },
    #[error("the rewrite rules of '{kind}#{relation}' are nested too deeply")]
    TooDeep { kind: String, relation: String },
    #[error(transparent)]
    Condition(#[from] ConditionError),
}
