//! The JSON Schema of the configuration file, and its errors in the words of the file.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::key::{self, join};
use super::problems::{BAD_VALUE, MISSING, Problems};
use super::sections::{ALLOWANCE, File, LIMIT_KEY};
use crate::finding::nearest;
use crate::span;

/// The schema's patterns in words.
const FORMS: [(&str, &str); 2] =
    [(span::PATTERN, span::FORM), (LIMIT_KEY, "client_ip, principal, rule or header:NAME")];

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
    ) || map.contains_key("anyOf");
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

/// Tells everything in `value` that the schema does not allow, and puts stand-ins in its place.
pub(super) fn repair(value: &mut Value, schema: &Value, problems: &mut Problems) {
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => return problems.add("", error.to_string()),
    };
    let misfits: Vec<_> =
        validator.iter_errors(value).flat_map(|error| describe(&error, schema)).collect();
    for misfit in misfits {
        misfit.repair(value, problems);
    }
}

/// Something that the schema does not allow.
struct Misfit<'a> {
    /// Where it lies: a place for a value, or the mapping that a key is in.
    pointer: String,
    repair: Repair<'a>,
}

enum Repair<'a> {
    /// A key that is none of `known`.
    Remove { name: String, known: Option<&'a Map<String, Value>> },
    /// A key that has to be there.
    Insert { name: String, stand_in: Value },
    /// A value.
    Replace { stand_in: Value, kind: &'static str, message: String },
}

impl Misfit<'_> {
    fn repair(self, value: &mut Value, problems: &mut Problems) {
        let key = key::of_pointer(&self.pointer);
        let slot = value.pointer_mut(&self.pointer);
        match self.repair {
            Repair::Remove { name, known } => {
                let known = known.into_iter().flat_map(Map::keys).map(String::as_str);
                problems.unknown(&key, &name, || nearest(&name, known));
                slot.and_then(Value::as_object_mut).and_then(|map| map.remove(&name));
            }
            Repair::Insert { name, stand_in } => {
                problems.replace(MISSING, &join(&key, &name), "is missing".to_owned());
                slot.and_then(Value::as_object_mut).and_then(|map| map.insert(name, stand_in));
            }
            Repair::Replace { stand_in, kind, message } => {
                problems.replace(kind, &key, message);
                if let Some(slot) = slot {
                    *slot = stand_in;
                }
            }
        }
    }
}

fn describe<'a>(error: &ValidationError<'_>, schema: &'a Value) -> Vec<Misfit<'a>> {
    let pointer = error.instance_path().as_str().to_owned();
    let (place, _keyword) = error.schema_path().as_str().rsplit_once('/').unwrap_or_default();
    let expected = schema.pointer(place).unwrap_or(&Value::Null);
    let known = expected.get("properties").and_then(Value::as_object);
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let remove = |name: &String| Repair::Remove { name: name.clone(), known };
            let misfit = |name| Misfit { pointer: pointer.clone(), repair: remove(name) };
            unexpected.iter().map(misfit).collect()
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default().to_owned();
            let missing = known.and_then(|known| known.get(&name));
            let stand_in = stand_in(missing.unwrap_or(&Value::Null));
            vec![Misfit { pointer, repair: Repair::Insert { name, stand_in } }]
        }
        _ => {
            let shown = shown(&key::of_pointer(&pointer), error.instance(), expected);
            let (kind, message) = match form_of(expected) {
                _ if error.instance().is_null() => (MISSING, "is missing".to_owned()),
                Some(form) => (BAD_VALUE, format!("{shown} is not {form}")),
                None => (BAD_VALUE, error.masked_with(shown).to_string()),
            };
            let stand_in = stand_in(expected);
            vec![Misfit { pointer, repair: Repair::Replace { stand_in, kind, message } }]
        }
    }
}

/// A value that the schema allows, in the place of one that it does not.
pub(super) fn stand_in(schema: &Value) -> Value {
    if let Some(first) = schema.get("enum").and_then(|all| all.get(0)) {
        return first.clone();
    }
    if let Some(first) = schema.get("anyOf").and_then(|all| all.get(0)) {
        return stand_in(first);
    }
    let in_parts = |parts: &Value| {
        let parts = parts.as_object().into_iter().flatten();
        parts.map(|(name, part)| (name.clone(), stand_in(part))).collect()
    };
    match schema.get("type").and_then(Value::as_str) {
        Some("integer") => schema.get("minimum").cloned().unwrap_or_else(|| Value::from(0)),
        Some("boolean") => Value::Bool(false),
        Some("array") if schema.get("minItems").is_some() => {
            schema.get("items").map(stand_in).into_iter().collect()
        }
        Some("array") => Value::Array(Vec::new()),
        Some("object") => schema.get("properties").map_or_else(|| json!({}), in_parts),
        _ => match schema.get("pattern").and_then(Value::as_str) {
            Some(span::PATTERN) => json!("1s"),
            Some(LIMIT_KEY) => json!("rule"),
            _ => json!(""),
        },
    }
}

fn form_of(schema: &Value) -> Option<&'static str> {
    // Only limits have a choice.
    if schema.get("anyOf").is_some() {
        return Some(ALLOWANCE);
    }
    let pattern = schema.get("pattern")?.as_str()?;
    FORMS.into_iter().find(|(known, _)| *known == pattern).map(|(_, form)| form)
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

    fn told(problems: Problems) -> String {
        problems.into_parts().0.to_string()
    }

    #[test]
    fn all_errors_are_told_at_once_with_their_key_path() {
        let schema = of_values();
        let mut value: Value = serde_yaml::from_str(super::super::DEFAULTS).unwrap();
        value["server"]["threads"] = json!("many");
        value["server"]["colour"] = json!("red");
        value["openfga"]["timeout"] = json!("soon");
        let mut problems = Problems::default();
        repair(&mut value, &schema, &mut problems);
        let text = told(problems);
        let all = text.lines().filter(|line| !line.contains("${")).collect::<Vec<_>>().join("\n");
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
        expand(&mut value, &schema, &|_| Some("1".to_owned()), &mut Problems::default());
        change(&mut value);
        let mut problems = Problems::default();
        repair(&mut value, &schema, &mut problems);
        told(problems)
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
        assert_eq!(of_values().to_string().matches("\"anyOf\":").count(), 1);
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
        let told = problem_with(|file| file["admin"]["token:geheim"] = json!(null));
        assert_eq!(told, "admin.token: unknown key; a blank has to follow its colon");
        let told = problem_with(|file| file["openfga"] = json!("geheim"));
        assert_eq!(told, "openfga: a string is not of type \"object\"");
        let told = problem_with(|file| file["admin"]["token"] = json!(42));
        assert_eq!(told, "admin.token: the value (not shown) is not of type \"string\"");
    }

    #[test]
    fn what_stands_in_is_allowed() {
        let schema = of_values();
        let file = stand_in(&schema);
        let mut problems = Problems::default();
        repair(&mut file.clone(), &schema, &mut problems);
        assert_eq!(told(problems), "");
        serde_json::from_value::<File>(file).unwrap();
        for kind in ["limits", "upstreams"] {
            let entry =
                schema.pointer(&format!("/properties/{kind}/additionalProperties")).unwrap();
            let mut problems = Problems::default();
            repair(&mut stand_in(entry), entry, &mut problems);
            assert_eq!(told(problems), "");
        }
    }

    #[test]
    fn the_shipped_file_meets_the_editors_schema() {
        let mut value: Value = serde_yaml::from_str(super::super::DEFAULTS).unwrap();
        let mut problems = Problems::default();
        repair(&mut value, &for_editors(), &mut problems);
        assert_eq!(told(problems), "");
    }
}
