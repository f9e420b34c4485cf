//! Names of keys (`kid`), in tokens as in key sets.

use super::json::Value;

const MAX_KID_BYTES: usize = 256;

/// Present, and not what a kid may be.
pub(super) struct IllegalKid;

/// Key names are opaque, but nobody needs long ones or control characters in them.
pub(super) fn parse(kid: Option<&Value<'_>>) -> Result<Option<String>, IllegalKid> {
    match kid {
        None => Ok(None),
        Some(Value::Text(kid)) if is_legal(kid) => Ok(Some(kid.to_string())),
        Some(_) => Err(IllegalKid),
    }
}

fn is_legal(kid: &str) -> bool {
    (1..=MAX_KID_BYTES).contains(&kid.len()) && !kid.chars().any(char::is_control)
}
