//! What callers of the engine see when a request fails: OpenFGA's code and message.

use thiserror::Error;

/// OpenFGA's error codes, as far as the engine uses them.
///
/// The names are part of OpenFGA's HTTP contract, the numbers of its gRPC contract
/// (`openfga/api`, `errors_ignore.proto`).
#[expect(missing_docs, reason = "the names are OpenFGA's, which documents them")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    ValidationError,
    AuthorizationModelNotFound,
    ResolutionTooComplex,
    InvalidWriteInput,
    DuplicateTuplesInRequest,
    InvalidContinuationToken,
    InvalidExpandInput,
    WriteFailedDueToInvalidInput,
    LatestAuthorizationModelNotFound,
    TypeNotFound,
    RelationNotFound,
    RelationTooLong,
    InvalidTuple,
    PageSizeInvalid,
    TupleKeyValueNotSpecified,
    TypeDefinitionsTooFewItems,
    TypeInvalidPattern,
    TokenTypeMismatch,
    ExceededEntityLimit,
    InvalidAuthorizationModel,
    DeadlineExceeded,
    UndefinedEndpoint,
    StoreNotFound,
    Unimplemented,
    Aborted,
}

impl ErrorCode {
    /// The value of `code` in an error body.
    pub const fn as_str(self) -> &'static str {
        self.row().1
    }

    /// The numeric code of the gRPC API.
    pub const fn number(self) -> u16 {
        self.row().0
    }

    /// The HTTP status that OpenFGA sends with this code.
    pub const fn http_status(self) -> u16 {
        match self.row().0 {
            10 => 409,
            2000..=3499 => 400,
            5000.. => 404,
            _ => 500,
        }
    }

    const fn row(self) -> (u16, &'static str) {
        match self {
            Self::Aborted => (10, "Aborted"),
            Self::ValidationError => (2000, "validation_error"),
            Self::AuthorizationModelNotFound => (2001, "authorization_model_not_found"),
            Self::ResolutionTooComplex => (2002, "authorization_model_resolution_too_complex"),
            Self::InvalidWriteInput => (2003, "invalid_write_input"),
            Self::DuplicateTuplesInRequest => {
                (2004, "cannot_allow_duplicate_tuples_in_one_request")
            }
            Self::InvalidContinuationToken => (2007, "invalid_continuation_token"),
            Self::InvalidExpandInput => (2010, "invalid_expand_input"),
            Self::WriteFailedDueToInvalidInput => (2017, "write_failed_due_to_invalid_input"),
            Self::LatestAuthorizationModelNotFound => {
                (2020, "latest_authorization_model_not_found")
            }
            Self::TypeNotFound => (2021, "type_not_found"),
            Self::RelationNotFound => (2022, "relation_not_found"),
            Self::InvalidTuple => (2027, "invalid_tuple"),
            Self::PageSizeInvalid => (2039, "page_size_invalid"),
            Self::TupleKeyValueNotSpecified => (2037, "tuple_key_value_not_specified"),
            Self::RelationTooLong => (2044, "relation_too_long"),
            Self::TypeDefinitionsTooFewItems => (2045, "type_definitions_too_few_items"),
            Self::TypeInvalidPattern => (2047, "type_invalid_pattern"),
            Self::TokenTypeMismatch => (2052, "query_string_type_continuation_token_mismatch"),
            Self::ExceededEntityLimit => (2053, "exceeded_entity_limit"),
            Self::InvalidAuthorizationModel => (2056, "invalid_authorization_model"),
            Self::DeadlineExceeded => (4004, "deadline_exceeded"),
            Self::UndefinedEndpoint => (5000, "undefined_endpoint"),
            Self::StoreNotFound => (5002, "store_id_not_found"),
            Self::Unimplemented => (5004, "unimplemented"),
        }
    }
}

/// A failed request, with the code and the message that OpenFGA would have sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {message}", code.as_str())]
pub struct EngineError {
    /// What programs go by.
    pub code: ErrorCode,
    /// What people read; OpenFGA's, word by word, as far as clients could depend on it.
    pub message: String,
}

impl EngineError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ValidationError, message)
    }

    pub(crate) fn too_complex() -> Self {
        Self::new(
            ErrorCode::ResolutionTooComplex,
            "Authorization Model resolution required too many rewrite rules to be resolved. \
             Check your authorization model for infinite recursion or too much nesting",
        )
    }

    pub(crate) fn deadline_exceeded() -> Self {
        Self::new(ErrorCode::DeadlineExceeded, "Request Deadline Exceeded")
    }

    pub(crate) fn model_not_found(id: &str) -> Self {
        let message = format!("Authorization Model '{id}' not found");
        Self::new(ErrorCode::AuthorizationModelNotFound, message)
    }

    pub(crate) fn no_model(store: &str) -> Self {
        let message = format!("No authorization models found for store '{store}'");
        Self::new(ErrorCode::LatestAuthorizationModelNotFound, message)
    }

    pub(crate) fn invalid_token() -> Self {
        Self::new(ErrorCode::InvalidContinuationToken, "Invalid continuation token")
    }

    pub(crate) fn type_not_found(kind: &str) -> Self {
        Self::new(ErrorCode::TypeNotFound, format!("type '{kind}' not found"))
    }

    pub(crate) fn relation_not_found(kind: &str, relation: &str) -> Self {
        Self::new(ErrorCode::RelationNotFound, format!("relation '{kind}#{relation}' not found"))
    }
}
