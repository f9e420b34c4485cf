//! Placeholders in configuration values, and the conversion of text to the type a key wants.
//!
//! Text from the environment is data: it is put into parsed values, never into YAML source, so a
//! variable cannot add keys.

use std::path::Path;

use serde_json::Value;

use super::key::join;
use super::problems::{BAD_VALUE, Problems, UNREADABLE, UNSET};
use super::read_text;
use super::schema::stand_in;

/// Variables without a default whose feature is off while they are empty.
const MAY_BE_EMPTY: [&str; 2] = ["REDIS_URL", "ALLOWED_ORIGINS"];

/// Looks up environment variables; a function so that specifications need no process environment.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces placeholders below `value` and converts what they gave to the type in `schema`.
pub(super) fn expand(
    value: &mut Value,
    schema: &Value,
    lookup: Lookup<'_>,
    problems: &mut Problems,
) {
    walk(value, schema, "", lookup, problems);
}

fn walk(value: &mut Value, schema: &Value, key: &str, lookup: Lookup<'_>, out: &mut Problems) {
    match value {
        Value::Object(map) => {
            for (name, child) in map {
                let child_schema = schema
                    .pointer("/properties")
                    .and_then(|p| p.get(name))
                    .or_else(|| schema.get("additionalProperties"))
                    .unwrap_or(&Value::Null);
                walk(child, child_schema, &join(key, name), lookup, out);
            }
        }
        Value::Array(items) => {
            let item_schema = schema.get("items").unwrap_or(&Value::Null);
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, item_schema, &format!("{key}[{index}]"), lookup, out);
            }
        }
        Value::String(text) => match substitute(text, lookup) {
            Ok(expanded) => {
                out.comes_from(key, expanded.sources);
                *value = convert(expanded.text, schema);
                refuse_controls(value, schema, key, out);
            }
            Err(fault) => {
                if let Fault::Unset(name) = &fault {
                    out.miss_variable(name);
                }
                out.replace(fault.kind(), key, fault.to_string());
                *value = stand_in(schema);
            }
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// No key takes them; URLs would lose them silently, and headers must not carry them.
fn refuse_controls(value: &mut Value, schema: &Value, key: &str, out: &mut Problems) {
    let has_control =
        |value: &Value| value.as_str().is_some_and(|text| text.contains(char::is_control));
    if has_control(value) || value.as_array().is_some_and(|items| items.iter().any(has_control)) {
        let message = "holds a line break or another control character".to_owned();
        out.replace(BAD_VALUE, key, message);
        *value = stand_in(schema);
    }
}

/// Text without placeholders, and whom its parts come from.
#[derive(Default)]
struct Expanded {
    text: String,
    sources: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("a placeholder lacks its closing brace")]
    Open,
    #[error("a placeholder cannot stand in another one")]
    Nested,
    // What stands there may be part of a password.
    #[error(r"a placeholder is not ${{NAME}}, ${{NAME:-default}} or ${{file:/path}}")]
    NoPlaceholder,
    #[error("the environment variable {0} is not set{may}", may = if MAY_BE_EMPTY.contains(&.0.as_str()) {
        " (it may be empty)"
    } else {
        ""
    })]
    Unset(String),
    #[error("the environment variable {0} is not UTF-8")]
    NotText(String),
    #[error("cannot read the file {path:?}: {cause}")]
    File { path: String, cause: std::io::Error },
}

impl Fault {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Open | Self::Nested | Self::NoPlaceholder => "bad_placeholder",
            Self::Unset(_) => UNSET,
            Self::NotText(_) | Self::File { .. } => UNREADABLE,
        }
    }
}

/// Line breaks at the end of a text are its editor's, wherever it stands.
fn substitute(text: &str, lookup: Lookup<'_>) -> Result<Expanded, Fault> {
    let mut out = Expanded::default();
    let mut rest = text.trim_end_matches(['\r', '\n']);
    while let Some((before, body)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.text.push_str(before);
            out.text.push_str("${");
            rest = body;
            continue;
        }
        out.text.push_str(before);
        let (name, after) = body.split_once('}').ok_or(Fault::Open)?;
        if name.contains("${") {
            return Err(Fault::Nested);
        }
        out.resolve(name, lookup)?;
        rest = after;
    }
    out.text.push_str(rest);
    Ok(out)
}

impl Expanded {
    fn resolve(&mut self, placeholder: &str, lookup: Lookup<'_>) -> Result<(), Fault> {
        if let Some(path) = placeholder.strip_prefix("file:") {
            let content = read_text(Path::new(path))
                .map_err(|cause| Fault::File { path: path.to_owned(), cause })?;
            self.take(&content, format!("the file {path:?}"));
            return Ok(());
        }
        let (name, default) = match placeholder.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (placeholder, None),
        };
        let is_name = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.as_bytes().first().is_some_and(u8::is_ascii_digit);
        if !is_name {
            return Err(Fault::NoPlaceholder);
        }
        match (lookup(name), default) {
            (Some(value), _) if value.contains(char::REPLACEMENT_CHARACTER) => {
                return Err(Fault::NotText(name.to_owned()));
            }
            (Some(value), Some(default)) if value.is_empty() => self.text.push_str(default),
            (Some(value), _) => self.take(&value, name.to_owned()),
            (None, Some(default)) => self.text.push_str(default),
            (None, None) => return Err(Fault::Unset(name.to_owned())),
        }
        Ok(())
    }

    fn take(&mut self, value: &str, source: String) {
        self.text.push_str(value.trim_end_matches(['\r', '\n']));
        self.sources.push(source);
    }
}

/// Text becomes what the schema asks for where that is unambiguous; otherwise it stays text and the
/// schema check that follows explains the mismatch.
fn convert(text: String, schema: &Value) -> Value {
    let first = schema.get("anyOf").and_then(|choices| choices.get(0));
    match first.unwrap_or(schema).get("type").and_then(Value::as_str) {
        Some("integer") => text.trim().parse::<u64>().map_or(Value::String(text), Value::from),
        Some("boolean") => match text.trim() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::String(text),
        },
        Some("array") => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| Value::String(item.to_owned()))
            .collect(),
        _ => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::finding::Finding;

    fn expanded(value: Value, schema: &Value) -> (Value, Vec<Finding>) {
        let lookup = |name: &str| match name {
            "LIMIT" => Some("250".to_owned()),
            "ORIGINS" => Some("https://a.example, https://b.example,".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("x: y, admin: {token: y}".to_owned()),
            "LINE" => Some("secret\r\n".to_owned()),
            "LINES" => Some("secret\nsecret".to_owned()),
            "BYTES" => Some(String::from_utf8_lossy(b"\xff").into_owned()),
            _ => None,
        };
        let mut value = value;
        let mut problems = Problems::default();
        expand(&mut value, schema, &lookup, &mut problems);
        (value, problems.into_parts().0.iter().cloned().collect())
    }

    #[test]
    fn text_from_the_environment_takes_the_type_of_its_key() {
        let cases = [
            (json!("${LIMIT}"), json!({"type": "integer"}), json!(250)),
            (json!("${NONE:-6000}"), json!({"type": "integer"}), json!(6000)),
            (json!("${EMPTY:-6000}"), json!({"type": "integer"}), json!(6000)),
            (
                json!("${ORIGINS}"),
                json!({"type": "array"}),
                json!(["https://a.example", "https://b.example"]),
            ),
            (json!("${EMPTY}"), json!({"type": "array"}), json!([])),
            (json!("a-${LIMIT}-b"), json!({"type": "string"}), json!("a-250-b")),
            (json!("${TRICK}"), json!({"type": "string"}), json!("x: y, admin: {token: y}")),
            (json!("${LINE}"), json!({"type": "string"}), json!("secret")),
            (json!("a${LINE}b\n"), json!({"type": "string"}), json!("asecretb")),
            (json!("${LIMIT}"), json!({"type": "string"}), json!("250")),
            (json!("${LIMIT}"), json!({"anyOf": [{"type": "integer"}, {}]}), json!(250)),
            (json!("${NONE:-off}"), json!({"anyOf": [{"type": "integer"}, {}]}), json!("off")),
        ];
        for (value, schema, expected) in cases {
            let (got, problems) = expanded(value.clone(), &schema);
            assert_eq!(got, expected, "{value}");
            assert!(problems.is_empty(), "{value}");
        }
    }

    #[test]
    fn every_missing_variable_is_named_with_its_key() {
        let schema = json!({"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}});
        let (_, problems) = expanded(json!({"a": "${ONE}", "b": "${TWO}"}), &schema);
        let keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["a", "b"]);
        assert!(problems[0].message.contains("ONE") && problems[1].message.contains("TWO"));
    }

    #[test]
    fn what_no_value_may_hold_is_told_with_where_it_comes_from() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let place = format!("${{file:{}}}", file.display());
        std::fs::write(&file, "\u{feff}secret\n").unwrap();
        let schema = json!({"type": "string"});
        assert_eq!(expanded(json!(place), &schema), (json!("secret"), vec![]));
        std::fs::write(&file, "sec\0ret\n").unwrap();
        let from_file = format!("the file {file:?}");
        for (text, source) in [
            ("${LINES}", Some("LINES")),
            ("${BYTES}", Some("BYTES")),
            (place.as_str(), Some(from_file.as_str())),
            ("a\tb", None),
        ] {
            for schema in [&schema, &json!({"type": "array"})] {
                let (_, problems) = expanded(json!(text), schema);
                assert_eq!(problems.len(), 1, "{text}");
                let told = problems[0].to_string();
                assert!(source.is_none_or(|source| told.contains(source)), "{told}");
                assert!(!told.contains("secret\n") && !told.contains("sec\0"), "{told}");
            }
        }
    }

    #[test]
    fn a_malformed_placeholder_is_refused() {
        for text in ["${", "${LIMIT", "${}", "${1A}", "${A B}", "${${LIMIT}", "${NONE:-${LIMIT}}"] {
            let (_, problems) = expanded(json!(text), &json!({"type": "string"}));
            assert_eq!(problems.len(), 1, "{text}");
        }
    }

    #[test]
    fn two_dollar_signs_stand_for_one_that_is_meant() {
        let cases =
            [("$${LIMIT}", "${LIMIT}"), ("a$${b}${LIMIT}", "a${b}250"), ("$$", "$$"), ("$a", "$a")];
        for (text, expected) in cases {
            let (got, problems) = expanded(json!(text), &json!({"type": "string"}));
            assert_eq!((got, problems.len()), (json!(expected), 0), "{text}");
        }
    }
}
