//! Placeholders in configuration values, and the conversion of text to the type a key wants.
//!
//! Text from the environment is data: it is put into parsed values, never into YAML source, so a
//! variable cannot add keys.

use serde_json::Value;

use super::problems::Problems;
use super::schema::stand_in;

/// Looks up environment variables; a function so that specifications need no process environment.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Variables without a default whose feature is off while they are empty.
const MAY_BE_EMPTY: [&str; 2] = ["REDIS_URL", "ALLOWED_ORIGINS"];

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
            Ok(expanded) => *value = convert(expanded, schema),
            Err(message) => {
                out.replace(key, message);
                *value = stand_in(schema);
            }
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Joins a key path the way messages print it.
pub fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

fn substitute(text: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, body)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = body;
            continue;
        }
        out.push_str(before);
        let (name, after) = body.split_once('}').ok_or("a placeholder lacks its closing brace")?;
        if name.contains("${") {
            return Err("a placeholder cannot stand in another one".to_owned());
        }
        out.push_str(&resolve(name, lookup)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn resolve(placeholder: &str, lookup: Lookup<'_>) -> Result<String, String> {
    if let Some(path) = placeholder.strip_prefix("file:") {
        let content = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read the file {path:?}: {error}"))?;
        return Ok(content.trim_end_matches(['\n', '\r']).to_owned());
    }
    let (name, default) = match placeholder.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (placeholder, None),
    };
    let is_name = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if !is_name {
        // What stands there may be part of a password.
        return Err(r"a placeholder is not ${NAME}, ${NAME:-default} or ${file:/path}".to_owned());
    }
    match (lookup(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) if MAY_BE_EMPTY.contains(&name) => {
            Err(format!("the environment variable {name} is not set (it may be empty)"))
        }
        (None, None) => Err(format!("the environment variable {name} is not set")),
    }
}

/// Text becomes what the schema asks for where that is unambiguous; otherwise it stays text and the
/// schema check that follows explains the mismatch.
fn convert(text: String, schema: &Value) -> Value {
    match schema.get("type").and_then(Value::as_str) {
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
    use crate::config::Problem;

    fn expanded(value: Value, schema: &Value) -> (Value, Vec<Problem>) {
        let lookup = |name: &str| match name {
            "LIMIT" => Some("250".to_owned()),
            "ORIGINS" => Some("https://a.example, https://b.example,".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("x\nadmin: {token: y}".to_owned()),
            _ => None,
        };
        let mut value = value;
        let mut problems = Problems::default();
        expand(&mut value, schema, &lookup, &mut problems);
        (value, problems.into_list())
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
            (json!("${TRICK}"), json!({"type": "string"}), json!("x\nadmin: {token: y}")),
            (json!("${LIMIT}"), json!({"type": "string"}), json!("250")),
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
