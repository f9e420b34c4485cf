//! The API's rules for single fields (`openfga/api`, validation rules in the protos).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use crate::{EngineError, ErrorCode, TupleKey};

const MAX_TOKEN: usize = 5120;
const DEFAULT_PAGE: usize = 50;

fn invalid(field: &str, rule: &str) -> EngineError {
    EngineError::validation(format!("invalid {field}: {rule}"))
}

fn mismatch(field: &str, pattern: &str) -> EngineError {
    invalid(
        field,
        &format!("value does not match regex pattern \"{}\"", pattern.replace('\\', r"\\")),
    )
}

/// Go's `\s`.
const fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' ')
}

fn has_length(text: &str, min: usize, max: usize) -> bool {
    let length = text.chars().count();
    (min..=max).contains(&length) && !text.contains(is_space)
}

/// A store's or model's id.
pub(super) fn ulid(field: &str, text: &str) -> Result<(), EngineError> {
    let is_valid = |c: char| (c.is_ascii_uppercase() && !"ILOU".contains(c)) || c.is_ascii_digit();
    // The pattern lists no I, L and O, but does list the U that ULIDs leave out.
    let is_valid = |c: char| is_valid(c) || c == 'U';
    if text.len() == 26 && text.chars().all(is_valid) {
        return Ok(());
    }
    Err(mismatch(field, "^[ABCDEFGHJKMNPQRSTVWXYZ0-9]{26}$"))
}

pub(super) fn store_id(request: &str, text: &str) -> Result<(), EngineError> {
    ulid(&format!("{request}.StoreId"), text)
}

/// Absent and empty mean the latest model.
pub(super) fn model_id<'t>(
    request: &str,
    text: Option<&'t str>,
) -> Result<Option<&'t str>, EngineError> {
    let text = text.filter(|text| !text.is_empty());
    text.map_or(Ok(()), |text| ulid(&format!("{request}.AuthorizationModelId"), text))?;
    Ok(text)
}

pub(super) fn store_name(request: &str, text: &str) -> Result<(), EngineError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || is_space(c) || ".-/^_&@".contains(c);
    if (3..=64).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(());
    }
    Err(mismatch(&format!("{request}.Name"), r"^[a-zA-Z0-9\s\.\-\/^_&@]{3,64}$"))
}

pub(super) fn user(field: &str, text: &str) -> Result<(), EngineError> {
    if has_length(text, 2, 512) { Ok(()) } else { Err(mismatch(field, r"^[^\s]{2,512}$")) }
}

/// The user of a read filter, which must have a type and an id.
pub(super) fn typed_user(field: &str, text: &str) -> Result<(), EngineError> {
    let is_typed = text.split_once(':').is_some_and(|(kind, _)| !kind.is_empty())
        && text.rsplit_once(':').is_some_and(|(_, id)| !id.is_empty());
    if is_typed && has_length(text, 3, 512) {
        return Ok(());
    }
    Err(mismatch(field, r"^[^\s]{1,511}:[^\s]{1,511}$"))
}

pub(super) fn object(field: &str, text: &str) -> Result<(), EngineError> {
    if has_length(text, 2, 256) { Ok(()) } else { Err(mismatch(field, r"^[^\s]{2,256}$")) }
}

pub(super) fn relation(field: &str, text: &str) -> Result<(), EngineError> {
    if has_length(text, 1, 50) && !text.contains([':', '#', '@']) {
        return Ok(());
    }
    Err(mismatch(field, r"^[^:#@\s]{1,50}$"))
}

pub(super) fn kind(field: &str, text: &str) -> Result<(), EngineError> {
    if has_length(text, 1, 254) && !text.contains([':', '#', '@']) {
        return Ok(());
    }
    let code = ErrorCode::TypeInvalidPattern;
    Err(EngineError { code, ..mismatch(field, r"^[^:#@\s]{1,254}$") })
}

/// A tuple in a write or a contextual one.
pub(super) fn tuple(tuple: &TupleKey) -> Result<(), EngineError> {
    if tuple.user.len() > 512 {
        return Err(invalid("TupleKey.User", "value length must be at most 512 bytes"));
    }
    // What is empty is left to the tuple's own validation.
    if !tuple.relation.is_empty() {
        relation("TupleKey.Relation", &tuple.relation)?;
    }
    if !tuple.object.is_empty() {
        object("TupleKey.Object", &tuple.object)?;
    }
    match &tuple.condition {
        Some(condition) if !has_length(&condition.name, 2, 256) => {
            Err(mismatch("RelationshipCondition.Name", r"^[^\s]{2,256}$"))
        }
        _ => Ok(()),
    }
}

pub(super) fn page_size(request: &str, size: Option<i64>) -> Result<usize, EngineError> {
    let Some(size) = size else {
        return Ok(DEFAULT_PAGE);
    };
    if let Ok(size @ 1..=100) = usize::try_from(size) {
        Ok(size)
    } else {
        let message = format!("invalid {request}.PageSize: value must be inside range [1, 100]");
        Err(EngineError::new(ErrorCode::PageSizeInvalid, message))
    }
}

/// Decodes a continuation token; an absent or empty one is `None`.
pub(super) fn token(request: &str, token: Option<&str>) -> Result<Option<String>, EngineError> {
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let field = format!("{request}.ContinuationToken");
    if token.len() > MAX_TOKEN {
        return Err(invalid(&field, "value length must be at most 5120 bytes"));
    }
    let plain = token.trim_end_matches('=');
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if plain.is_empty() || token.len() - plain.len() > 2 || !plain.chars().all(allowed) {
        return Err(mismatch(&field, "^$|^[A-Za-z0-9-_]+={0,2}$"));
    }
    let bytes = URL_SAFE.decode(token).map_err(|_| EngineError::invalid_token())?;
    String::from_utf8(bytes).map(Some).map_err(|_| EngineError::invalid_token())
}

pub(super) fn encode_token(text: &str) -> String {
    URL_SAFE.encode(text)
}
