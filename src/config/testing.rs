//! An environment for specifications, and what a file is told in it.

use super::{Overrides, parse};

/// Enough of an environment for the shipped file.
pub(crate) fn environment(name: &str) -> Option<String> {
    let value = match name {
        "OPENFGA_URL" | "ZITADEL_ISSUER_URL" | "ZITADEL_API_URL" | "UPSTREAM_URL" => {
            "http://127.0.0.1:9"
        }
        "OPENFGA_STORE_ID" => "01HXXXXXXXXXXXXXXXXXXXXXXX",
        "REDIS_URL" | "ALLOWED_ORIGINS" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

/// Every problem of a file laid over the shipped one, a line for each.
pub(super) fn problems(text: &str) -> String {
    match parse(text, &Overrides::default(), &environment) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}
