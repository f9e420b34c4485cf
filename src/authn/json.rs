//! JSON objects from strangers: no duplicate names on any level, bounded depth.
//!
//! RFC 7519 section 4 lets a parser pick one of several equal names; two parsers that pick
//! differently see two different tokens.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The bytes are not one JSON object within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object with unique names and bounded depth")]
pub(super) struct NotAnObject;

/// Parses one object whose values nest at most `depth` levels.
pub(super) fn parse_object(bytes: &[u8], depth: usize) -> Result<Map<String, Value>, NotAnObject> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth }.deserialize(&mut deserializer).map_err(|_| NotAnObject)?;
    deserializer.end().map_err(|_| NotAnObject)?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(NotAnObject),
    }
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))?;
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON with unique names")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inner)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate name"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accepts(text: &str) -> bool {
        parse_object(text.as_bytes(), 4).is_ok()
    }

    #[test]
    fn objects_with_unique_names_are_accepted() {
        assert!(accepts(r#" {"a":1,"b":[{"a":-2.5}],"c":null,"d":"\u0041","e":true} "#));
    }

    #[test]
    fn duplicates_are_refused_on_every_level_and_through_escapes() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[{"a":1,"a":2}]}"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            assert!(!accepts(text), "{text}");
        }
    }

    #[test]
    fn depth_rest_and_other_types_are_refused() {
        for text in [
            r#"{"a":[[[[1]]]]}"#,
            "{} {}",
            "{}x",
            "[]",
            "1",
            "",
            r#"{"a":1e400}"#,
            r#"{"a":NaN}"#,
            "{\"a\":\"\u{1}\"}",
        ] {
            assert!(!accepts(text), "{text}");
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(!accepts(&deep));
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}", 4), Err(NotAnObject));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_object(&bytes, 4);
        }

        #[test]
        fn what_is_accepted_means_what_serde_json_reads(
            entries in proptest::collection::btree_map("[a-c]{1,2}", any::<i64>(), 0..6),
        ) {
            let text = serde_json::to_vec(&entries).expect("serialises");
            let expected: Map<String, Value> = serde_json::from_slice(&text).expect("parses");
            prop_assert_eq!(parse_object(&text, 1), Ok(expected));
        }
    }
}
