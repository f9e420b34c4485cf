//! The JSON Schema of the configuration file, and its errors in the words of the file.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::Problem;
use super::expand::join;
use super::file::File;

/// The schema that values must meet once their placeholders are replaced.
pub fn of_values() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<File>().to_value()
}

/// The schema for editors: partial files are fine, and any value may be a placeholder.
pub fn for_editors() -> Value {
    let mut schema = of_values();
    loosen(&mut schema);
    schema
}

fn loosen(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    map.remove("required");
    for name in ["properties", "$defs"] {
        if let Some(Value::Object(children)) = map.get_mut(name) {
            children.values_mut().for_each(loosen);
        }
    }
    for name in ["items", "additionalProperties"] {
        if let Some(child) = map.get_mut(name) {
            loosen(child);
        }
    }
    let is_leaf = matches!(
        map.get("type").and_then(Value::as_str),
        Some("integer" | "boolean" | "array" | "string")
    );
    if is_leaf {
        let exact = Value::Object(std::mem::take(map));
        // A list may also be written as text with commas.
        let text = if exact.get("type") == Some(&json!("array")) {
            json!({"type": "string"})
        } else {
            json!({"type": "string", "pattern": r"\$\{"})
        };
        *schema = json!({"anyOf": [exact, text]});
    }
}

/// Everything in `value` that the schema does not allow.
pub fn problems_of(value: &Value, schema: &Value) -> Vec<Problem> {
    match jsonschema::validator_for(schema) {
        Ok(validator) => validator.iter_errors(value).flat_map(|e| describe(&e)).collect(),
        Err(error) => vec![Problem { key: String::new(), message: error.to_string() }],
    }
}

fn describe(error: &ValidationError<'_>) -> Vec<Problem> {
    let key = key_path(error.instance_path().as_str());
    let one = |message: String| vec![Problem { key: key.clone(), message }];
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|name| Problem { key: join(&key, name), message: "unknown key".to_owned() })
            .collect(),
        ValidationErrorKind::Required { property } => vec![Problem {
            key: join(&key, property.as_str().unwrap_or_default()),
            message: "is missing".to_owned(),
        }],
        ValidationErrorKind::Type { .. } if error.instance().is_null() => Vec::new(),
        ValidationErrorKind::Pattern { pattern } => {
            one(format!("{} does not have the form {pattern}", shown(&key, error.instance())))
        }
        _ if is_secret(&key) => one("is not acceptable (value not shown)".to_owned()),
        _ => one(error.to_string()),
    }
}

/// `/limits/client/limit` as `limits.client.limit`, `/issuers/0/url` as `issuers[0].url`.
fn key_path(pointer: &str) -> String {
    let mut out = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty() {
            out = format!("{out}[{part}]");
        } else {
            out = join(&out, &part);
        }
    }
    out
}

/// A value as messages may show it.
pub fn shown(key: &str, value: &Value) -> String {
    if is_secret(key) { "the value (not shown)".to_owned() } else { value.to_string() }
}

/// Keys whose values are never printed.
pub fn is_secret(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    ["token", "secret", "password", "key_file"].iter().any(|word| last.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_errors_are_told_at_once_with_their_key_path() {
        let schema = of_values();
        let mut value: Value = serde_yaml::from_str(super::super::DEFAULTS).unwrap();
        value["server"]["threads"] = json!("many");
        value["server"]["colour"] = json!("red");
        value["openfga"]["timeout"] = json!("soon");
        value["admin"]["token"] = json!(42);
        let text: Vec<String> = problems_of(&value, &schema)
            .iter()
            .map(ToString::to_string)
            .filter(|line| !line.contains("${"))
            .collect();
        let all = text.join("\n");
        assert!(all.contains("server.colour: unknown key"), "{all}");
        assert!(all.contains("server.threads: \"many\" is not of type \"integer\""), "{all}");
        assert!(all.contains("openfga.timeout: \"soon\" does not have the form"), "{all}");
        assert!(all.contains("admin.token: is not acceptable (value not shown)"), "{all}");
        assert!(!all.contains("42"), "{all}");
    }

    #[test]
    fn the_shipped_file_meets_the_editors_schema() {
        let value: Value = serde_yaml::from_str(super::super::DEFAULTS).unwrap();
        let problems = problems_of(&value, &for_editors());
        assert!(problems.is_empty(), "{problems:?}");
    }
}
