//! The wire format of `access_rules.json`.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One rule: which requests it serves and who may send them.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(extend(
    "oneOf" = [{"required": ["method"]}, {"required": ["methods"]}],
    "anyOf" = [{"required": ["feature"]}, {"required": ["object"]}],
    "not" = {"required": ["action", "relation"]},
))]
pub struct RuleEntry {
    /// Path pattern: static segments, `{name}` or `:name` for one segment, a final `*name` or
    /// `{*name}` for the rest. `/api/*path` matches `/api/` and everything below, not `/api`.
    #[schemars(required)]
    pub path: Option<String>,
    /// One method, a comma-separated list, or `*` for all. GET serves HEAD too.
    pub method: Option<String>,
    /// The methods as a list, instead of `method`.
    pub methods: Option<Vec<String>>,
    /// A host, or `*.example.com` for every name below it. Without it the rule serves all hosts.
    pub host: Option<String>,
    /// `public_access` (no authentication), `authenticated` (a valid token is enough), or the
    /// OpenFGA object to check, `type:id`; a bare `x` means `feature:x`.
    pub feature: Option<String>,
    /// The OpenFGA relation to check; the configured default when absent.
    pub action: Option<String>,
    /// Another name for `action`.
    pub relation: Option<String>,
    /// The OpenFGA object to check instead of the feature, with path parameters:
    /// `document:{id}`. Of two, neither value may hold the text between them; the rest comes last.
    pub object: Option<String>,
    /// Name of the upstream; `app` when absent.
    pub target: Option<String>,
    /// Name for logs and metrics; made from method and path when absent.
    pub id: Option<String>,
    /// Roles of which the token must have at least one.
    pub roles: Option<Vec<String>>,
    /// Scopes all of which the token must have.
    pub scopes: Option<Vec<String>>,
    /// Audiences of which the token must name at least one.
    pub audience: Option<OneOrMany>,
    /// Name of a limit, counted besides the principal's; one with key `principal` takes its place.
    pub rate_limit: Option<String>,
    /// Longest silence of the upstream, like "5s" or "500ms"; in place of the upstream's own.
    pub timeout: Option<String>,
    /// `higher` reads permissions from OpenFGA's database, past its caches.
    pub consistency: Option<Consistency>,
    /// What happens while OpenFGA cannot be asked; `deny` when absent.
    pub on_unavailable: Option<OnUnavailable>,
    /// Serves a public rule to OpenFGA's API to peers that are not private.
    pub expose_openfga: Option<bool>,
    /// `allow` takes `%2F` for a part of its segment and forwards it so; `refuse` when absent.
    pub encoded_slashes: Option<EncodedSlashes>,
}

/// How fresh an answer of OpenFGA must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// Caches may answer.
    #[default]
    MinimizeLatency,
    /// OpenFGA reads its database.
    Higher,
}

/// What a rule does while OpenFGA cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnavailable {
    /// Refuse with 503.
    #[default]
    Deny,
    /// Let every authenticated principal pass.
    Allow,
}

/// What becomes of a path with `%2F` in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodedSlashes {
    /// It is refused.
    #[default]
    Refuse,
    /// The `%2F` is a part of its segment.
    Allow,
}

/// A string or a list of strings.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum OneOrMany {
    /// A single string.
    One(String),
    /// A list.
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        }
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringOrList;
        impl<'de> Visitor<'de> for StringOrList {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(OneOrMany::Many(values))
            }
        }
        deserializer.deserialize_any(StringOrList)
    }
}

/// JSON Schema of the whole file.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Vec<RuleEntry>).to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), "Access rules".into());
    }
    drop_null(&mut schema);
    schema
}

/// An absent field is `None` here, but a field that says `null` is refused: it may be a requirement
/// that went missing on its way into the file.
fn drop_null(schema: &mut Value) {
    let is_null = |alternative: &Value| {
        alternative == "null" || alternative.get("type").is_some_and(|name| name == "null")
    };
    match schema {
        Value::Object(fields) => {
            for key in ["type", "anyOf"] {
                let Some(Value::Array(alternatives)) = fields.get_mut(key) else { continue };
                alternatives.retain(|alternative| !is_null(alternative));
                if alternatives.len() != 1 {
                    continue;
                }
                let only = alternatives.pop().unwrap_or_default();
                match only {
                    Value::Object(inner) => {
                        fields.remove(key);
                        fields.extend(inner);
                    }
                    other => drop(fields.insert(key.to_owned(), other)),
                }
            }
            fields.values_mut().for_each(drop_null);
        }
        Value::Array(values) => values.iter_mut().for_each(drop_null),
        _ => {}
    }
}

/// An entry as it stands in the file, with fields in order, repeated ones too.
pub(super) enum RawEntry {
    Fields(Vec<(String, Value)>),
    /// Not an object, but this.
    Other(&'static str),
}

impl<'de> Deserialize<'de> for RawEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyEntry)
    }
}

struct AnyEntry;

impl<'de> Visitor<'de> for AnyEntry {
    type Value = RawEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rule")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawEntry, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(RawEntry::Fields(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawEntry, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(RawEntry::Other("a list"))
    }

    fn visit_str<E>(self, _: &str) -> Result<RawEntry, E> {
        Ok(RawEntry::Other("a string"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<RawEntry, E> {
        Ok(RawEntry::Other("a boolean"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<RawEntry, E> {
        Ok(RawEntry::Other("a number"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<RawEntry, E> {
        Ok(RawEntry::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<RawEntry, E> {
        Ok(RawEntry::Other("a number"))
    }

    fn visit_unit<E>(self) -> Result<RawEntry, E> {
        Ok(RawEntry::Other("null"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schema_accepts_what_the_format_accepts() {
        let validator = jsonschema::validator_for(&schema()).expect("a valid schema");
        let rule = |field: &str, value: Value| {
            let mut rule = json!({"path": "/a", "method": "GET", "feature": "x"});
            rule[field] = value;
            json!([rule])
        };
        for (field, value) in [
            ("path", json!("/b")),
            ("roles", json!(["admin"])),
            ("audience", json!("one")),
            ("audience", json!(["one", "two"])),
            ("consistency", json!("higher")),
            ("on_unavailable", json!("allow")),
            ("expose_openfga", json!(true)),
            ("encoded_slashes", json!("allow")),
        ] {
            assert!(validator.is_valid(&rule(field, value)), "{field}");
        }
        for (field, value) in [
            ("path", json!(null)),
            ("path", json!(5)),
            ("roles", json!("admin")),
            ("roles", json!(null)),
            ("audience", json!({})),
            ("audience", json!(null)),
            ("consistency", json!("lower")),
            ("consistency", json!(null)),
            ("expose_openfga", json!("yes")),
            ("encoded_slashes", json!("decode")),
            ("methods", json!(["GET"])),
            ("context", json!({})),
            ("pth", json!("/b")),
        ] {
            assert!(!validator.is_valid(&rule(field, value)), "{field}");
        }
        assert!(!validator.is_valid(&json!([{"path": "/a", "feature": "x"}])));
        assert!(!validator.is_valid(&json!([{"path": "/a", "method": "GET"}])));
        assert!(!validator.is_valid(&json!([{"method": "GET", "feature": "x"}])));
        assert!(!validator.is_valid(&json!({})));
    }
}
