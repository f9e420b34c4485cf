//! The JSON Schema of the configuration file, and its errors in the words of the file.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::Problem;
use super::expand::join;
use super::file::{self, File};

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

/// The schema's patterns in words.
const FORMS: [(&str, &str); 2] = [
    (file::DURATION, "a duration like 500ms, 10s, 5m"),
    (file::LIMIT_KEY, "client_ip, principal, rule or header:NAME"),
];

/// Everything in `value` that the schema does not allow.
pub fn problems_of(value: &Value, schema: &Value) -> Vec<Problem> {
    match jsonschema::validator_for(schema) {
        Ok(validator) => {
            validator.iter_errors(value).flat_map(|error| describe(&error, schema)).collect()
        }
        Err(error) => vec![Problem { key: String::new(), message: error.to_string() }],
    }
}

fn describe(error: &ValidationError<'_>, schema: &Value) -> Vec<Problem> {
    let key = key_path(error.instance_path().as_str());
    let (place, _keyword) = error.schema_path().as_str().rsplit_once('/').unwrap_or_default();
    let expected = schema.pointer(place).unwrap_or(&Value::Null);
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
        _ => {
            let shown = shown(&key, error.instance(), expected);
            let message = match form_of(expected) {
                Some(form) => format!("{shown} is not {form}"),
                None => error.masked_with(shown).to_string(),
            };
            vec![Problem { key, message }]
        }
    }
}

fn form_of(schema: &Value) -> Option<&'static str> {
    let pattern = schema.get("pattern")?.as_str()?;
    FORMS.into_iter().find(|(known, _)| *known == pattern).map(|(_, form)| form)
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

/// A value as messages may show it: what stands in the place of a section or a list, or is one, may
/// hold a secret of another key.
fn shown(key: &str, value: &Value, expected: &Value) -> String {
    let is_for_one =
        !matches!(expected.get("type").and_then(Value::as_str), Some("object" | "array"));
    match value {
        _ if is_secret(key) => "the value (not shown)".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        one if is_for_one => one.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Number(_) => "a number".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Null => "nothing".to_owned(),
    }
}

/// Keys whose values, and whatever was written below them, are never printed.
fn is_secret(key: &str) -> bool {
    let names_secret =
        |part: &str| ["token", "secret", "password"].iter().any(|word| part.contains(word));
    key.split(['.', '[']).any(names_secret) || key.starts_with("redis.url")
}

#[cfg(test)]
mod tests {
    use super::super::expand::expand;
    use super::*;

    #[test]
    fn all_errors_are_told_at_once_with_their_key_path() {
        let schema = of_values();
        let mut value: Value = serde_yaml::from_str(super::super::DEFAULTS).unwrap();
        value["server"]["threads"] = json!("many");
        value["server"]["colour"] = json!("red");
        value["openfga"]["timeout"] = json!("soon");
        let text: Vec<String> = problems_of(&value, &schema)
            .iter()
            .map(ToString::to_string)
            .filter(|line| !line.contains("${"))
            .collect();
        let all = text.join("\n");
        assert!(all.contains("server.colour: unknown key"), "{all}");
        assert!(all.contains("server.threads: \"many\" is not of type \"integer\""), "{all}");
        assert!(
            all.contains("openfga.timeout: \"soon\" is not a duration like 500ms, 10s, 5m"),
            "{all}"
        );
    }

    fn problem_with(change: impl FnOnce(&mut Value)) -> String {
        let schema = of_values();
        let mut value: Value = serde_yaml::from_str(super::super::DEFAULTS).unwrap();
        expand(&mut value, &schema, &|_| Some("1".to_owned()), &mut Vec::new());
        change(&mut value);
        let problems = problems_of(&value, &schema);
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn patterns_are_told_in_words() {
        let told = problem_with(|value| value["server"]["read_timeout"] = json!(75));
        assert_eq!(told, "server.read_timeout: 75 is not a duration like 500ms, 10s, 5m");
        let told = problem_with(|value| value["limits"]["client"]["key"] = json!("ip"));
        let form = "client_ip, principal, rule or header:NAME";
        assert_eq!(told, format!("limits.client.key: \"ip\" is not {form}"));
        let told = problem_with(|value| value["limits"]["client"]["key"] = json!([1]));
        assert_eq!(told, format!("limits.client.key: a list is not {form}"));
        let patterns = of_values().to_string().matches("\"pattern\":").count();
        let known = FORMS.map(|(pattern, _)| {
            of_values().to_string().matches(&json!({"pattern": pattern}).to_string()[1..]).count()
        });
        assert_eq!(known.iter().sum::<usize>(), patterns);
    }

    #[test]
    fn a_secret_of_the_wrong_type_is_not_printed() {
        let secret = json!("redis://:geheim@x");
        for (pointer, value) in [
            ("/redis/url", json!([secret])),
            ("/redis/url", json!({"url": secret})),
            ("/redis", secret.clone()),
            ("/openfga", json!("geheim")),
            ("/openfga", json!([{"api_token": "geheim"}])),
            ("/openfga/api_token", json!(["geheim"])),
            ("/openfga/api_token", json!({"value": "geheim"})),
            ("/admin/token", json!({"geheim": {"geheim": 1}})),
            ("/admin", json!(["geheim"])),
            ("/issuers/0/introspection/client_secret", json!([["geheim"]])),
            ("/issuers/0/introspection", json!("geheim")),
            ("/issuers/0", json!("geheim")),
            ("/issuers", json!({"client_secret": "geheim"})),
            ("/issuers", Value::Array(vec![json!({"client_secret": "geheim"}); 17])),
            ("/upstreams/app/url", json!(["http://u:geheim@x"])),
            ("/server/threads", json!({"token": "geheim"})),
        ] {
            let told = problem_with(|file| *file.pointer_mut(pointer).unwrap() = value.clone());
            assert!(!told.is_empty(), "{pointer} {value}");
            assert!(!told.contains("geheim"), "{told}");
        }
        let told = problem_with(|file| file["openfga"] = json!("geheim"));
        assert_eq!(told, "openfga: a string is not of type \"object\"");
        let told = problem_with(|file| file["admin"]["token"] = json!(42));
        assert_eq!(told, "admin.token: the value (not shown) is not of type \"string\"");
    }

    #[test]
    fn the_shipped_file_meets_the_editors_schema() {
        let value: Value = serde_yaml::from_str(super::super::DEFAULTS).unwrap();
        let problems = problems_of(&value, &for_editors());
        assert!(problems.is_empty(), "{problems:?}");
    }
}
