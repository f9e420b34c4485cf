//! From JSON to the fields of a rule. Field by field, because a derived `Deserialize` stops at the first
//! mistake, reads lists as structs, and cannot tell `null` from an absent field.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fault::{Fault, Faults};
use super::file::{RawEntry, RuleEntry};

/// The fields of a rule, in the order of the documentation.
pub(super) const FIELDS: [&str; 19] = [
    "path",
    "method",
    "methods",
    "host",
    "feature",
    "action",
    "relation",
    "object",
    "target",
    "id",
    "roles",
    "scopes",
    "audience",
    "rate_limit",
    "timeout",
    "consistency",
    "on_unavailable",
    "expose_openfga",
    "encoded_slashes",
];

/// What a field takes.
#[derive(Clone, Copy)]
enum Expected {
    Text,
    Texts,
    TextOrTexts,
    Flag,
    Words(&'static [&'static str]),
}

/// Reads the fields that can be read and notes the others, so that the rule's remaining fields are
/// still checked.
pub(super) fn read(entry: RawEntry, faults: &mut Faults) -> Option<RuleEntry> {
    let fields = match entry {
        RawEntry::Fields(fields) => fields,
        RawEntry::Other(found) => {
            faults.add_to_rule(Fault::NotAnObject { found });
            return None;
        }
    };
    let mut entry = RuleEntry::default();
    for (field, value) in fields {
        if let Err(fault) = assign(&mut entry, &field, &value) {
            faults.add(&field, fault);
        }
    }
    Some(entry)
}

fn assign(entry: &mut RuleEntry, field: &str, value: &Value) -> Result<(), Fault> {
    use Expected::{Flag, Text, TextOrTexts, Texts, Words};
    match field {
        "path" => put(&mut entry.path, value, Text),
        "method" => put(&mut entry.method, value, Text),
        "methods" => put(&mut entry.methods, value, Texts),
        "host" => put(&mut entry.host, value, Text),
        "feature" => put(&mut entry.feature, value, Text),
        "action" => put(&mut entry.action, value, Text),
        "relation" => put(&mut entry.relation, value, Text),
        "object" => put(&mut entry.object, value, Text),
        "target" => put(&mut entry.target, value, Text),
        "id" => put(&mut entry.id, value, Text),
        "roles" => put(&mut entry.roles, value, Texts),
        "scopes" => put(&mut entry.scopes, value, Texts),
        "audience" => put(&mut entry.audience, value, TextOrTexts),
        "rate_limit" => put(&mut entry.rate_limit, value, Text),
        "timeout" => put(&mut entry.timeout, value, Text),
        "consistency" => put(&mut entry.consistency, value, Words(&["minimize_latency", "higher"])),
        "on_unavailable" => put(&mut entry.on_unavailable, value, Words(&["deny", "allow"])),
        "expose_openfga" => put(&mut entry.expose_openfga, value, Flag),
        "encoded_slashes" => put(&mut entry.encoded_slashes, value, Words(&["refuse", "allow"])),
        _ => Err(Fault::UnknownField),
    }
}

fn put<T: DeserializeOwned>(
    slot: &mut Option<T>,
    value: &Value,
    expected: Expected,
) -> Result<(), Fault> {
    if value.is_null() {
        return Err(Fault::Null);
    }
    if slot.is_some() {
        return Err(Fault::RepeatedField);
    }
    // A word is also read from an object that has it as its only name.
    if matches!(expected, Expected::Words(_)) && !value.is_string() {
        return Err(expected.fault(value));
    }
    *slot = Some(T::deserialize(value).map_err(|_| expected.fault(value))?);
    Ok(())
}

impl Expected {
    fn fault(self, value: &Value) -> Fault {
        let expected = match (self, value) {
            (Self::Words(known), Value::String(value)) => {
                return Fault::UnknownWord { value: value.clone(), known };
            }
            (Self::Words(_), _) => "one of its words, as a string",
            (Self::Text, _) => "a string",
            (Self::Texts, _) => "a list of strings",
            (Self::TextOrTexts, _) => "a string or a list of strings",
            (Self::Flag, _) => "true or false",
        };
        Fault::WrongType { found: describe(value), expected }
    }
}

fn describe(value: &Value) -> String {
    let other = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    let odd = value.as_array().and_then(|items| items.iter().find(|item| !item.is_string()));
    match odd {
        Some(odd) => format!("a list with {} in it", other(odd)),
        None => other(value).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file::schema;

    #[test]
    fn the_fields_are_those_of_the_schema() {
        let schema = schema();
        let properties = schema["$defs"]["RuleEntry"]["properties"].as_object().expect("an object");
        assert_eq!(properties.keys().map(String::as_str).collect::<Vec<_>>(), FIELDS);
        for field in FIELDS {
            let read = assign(&mut RuleEntry::default(), field, &serde_json::json!({}));
            assert!(matches!(read, Err(Fault::WrongType { .. })), "{field}: {read:?}");
        }
    }

    #[test]
    fn the_words_are_those_of_the_schema() {
        let schema = schema();
        for (field, name) in [
            ("consistency", "Consistency"),
            ("on_unavailable", "OnUnavailable"),
            ("encoded_slashes", "EncodedSlashes"),
        ] {
            let read = assign(&mut RuleEntry::default(), field, &"?".into());
            let Err(Fault::UnknownWord { known, .. }) = read else { panic!("{field}: {read:?}") };
            for word in known {
                assert!(
                    assign(&mut RuleEntry::default(), field, &(*word).into()).is_ok(),
                    "{word}"
                );
            }
            let words = schema["$defs"][name]["oneOf"].as_array().expect(name);
            let words: Vec<_> = words.iter().filter_map(|word| word["const"].as_str()).collect();
            assert_eq!(words, known, "{field}");
        }
    }
}
