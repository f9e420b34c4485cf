//! Where and why a text is no model.

use thiserror::Error;

/// Where and why a model's text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub struct DslError {
    /// Counted from 1.
    pub line: usize,
    /// Why.
    pub problem: DslProblem,
}

/// Why a model's text cannot be read.
#[expect(missing_docs, reason = "each says in its message what it is")]
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DslProblem {
    #[error("expected {expected}, found {found}")]
    Unexpected { expected: &'static str, found: String },
    #[error("'{name}' is already defined in '{place}'")]
    Duplicate { name: String, place: String },
    #[error("operators cannot be mixed without parentheses")]
    MixedOperators,
    #[error("a type restriction must come first")]
    LateRestriction,
    #[error("parentheses are nested too deeply")]
    TooDeep,
    #[error("modules must be merged before they are loaded")]
    Module,
}
