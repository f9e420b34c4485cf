//! JSON objects from strangers: no duplicate names on any level, bounded depth.
//!
//! RFC 7519 section 4 lets a parser pick one of several equal names; two parsers that pick
//! differently see two different tokens.
//!
//! Texts stay where they were read, and objects are lists: a token has a dozen claims, and a map of
//! copies would cost more than all of its checks.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Number;

/// Objects of more names than this are sorted to find duplicates.
const FEW: usize = 16;

/// The bytes are not one JSON object within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object with unique names and bounded depth")]
pub(super) struct NotAnObject;

/// A value that was read from bytes, and still needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    Object(Object<'a>),
}

/// Members in the order in which they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

/// Parses one object whose values nest at most `depth` levels.
pub(super) fn parse_object(bytes: &[u8], depth: usize) -> Result<Object<'_>, NotAnObject> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth }.deserialize(&mut deserializer).map_err(|_| NotAnObject)?;
    deserializer.end().map_err(|_| NotAnObject)?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(NotAnObject),
    }
}

impl<'a> Value<'a> {
    pub(super) fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn as_object(&self) -> Option<&Object<'a>> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    pub(super) fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(number) => Value::Number(number),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Array(items) => Value::Array(items.into_iter().map(Self::into_owned).collect()),
            Self::Object(object) => Value::Object(object.into_owned()),
        }
    }
}

impl From<&Value<'_>> for serde_json::Value {
    fn from(value: &Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::Text(text) => Self::String(text.to_string()),
            Value::Array(items) => items.iter().map(Self::from).collect(),
            Value::Object(object) => {
                let members = object.iter().map(|(name, value)| (name.to_owned(), value.into()));
                Self::Object(members.collect())
            }
        }
    }
}

impl<'a> Object<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    pub(super) fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Without what it was read from.
    pub(super) fn into_owned(self) -> Object<'static> {
        let members = self.0.into_iter();
        let owned = members.map(|(name, value)| (name.into_owned().into(), value.into_owned()));
        Object(owned.collect())
    }

    fn has_duplicates(&self) -> bool {
        if self.0.len() > FEW {
            // Comparing each with each would let a stranger choose how long that takes.
            let mut names: Vec<_> = self.iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            return names.array_windows().any(|[one, next]| one == next);
        }
        let mut members = self.0.as_slice();
        while let [(name, _), rest @ ..] = members {
            if rest.iter().any(|(other, _)| other == name) {
                return true;
            }
            members = rest;
        }
        false
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(object) => {
                let mut map = serializer.serialize_map(Some(object.0.len()))?;
                object.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
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
    type Value = Value<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON with unique names")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value<'de>, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("no finite number"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    /// One with escapes in it.
    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let inner = self.inner()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value<'de>, A::Error> {
        let inner = self.inner()?;
        let mut object = Object(Vec::new());
        while let Some(name) = entries.next_key_seed(Name)? {
            object.0.push((name, entries.next_value_seed(inner)?));
        }
        if object.has_duplicates() {
            return Err(A::Error::custom("duplicate name"));
        }
        Ok(Value::Object(object))
    }
}

/// A member's name; serde's own `Cow` is always a copy.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Objects of every kind of value, three levels deep.
    fn documents() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Into::into),
            "\\PC{0,6}|[\"\\\\\n\u{1}a]{0,4}".prop_map(Into::into),
        ];
        let inner = leaf.prop_recursive(2, 16, 4, |inner| {
            let items = proptest::collection::vec(inner.clone(), 0..4);
            prop_oneof![items.prop_map(serde_json::Value::Array), object_of(inner)]
        });
        object_of(inner)
    }

    fn object_of(
        value: impl Strategy<Value = serde_json::Value>,
    ) -> impl Strategy<Value = serde_json::Value> {
        let members = proptest::collection::hash_map("\\PC{0,3}|[\"\\\\]", value, 0..24);
        members.prop_map(|all| serde_json::Value::Object(all.into_iter().collect()))
    }

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
        fn what_is_accepted_means_what_serde_json_reads(text in documents()) {
            let bytes = text.to_string().into_bytes();
            let object = parse_object(&bytes, 5).expect("an object with unique names");
            let said = serde_json::to_string(&Value::Object(object.clone())).expect("serialises");
            prop_assert_eq!(&said, &text.to_string());
            for (name, value) in text.as_object().expect("an object") {
                let found = object.get(name).map(serde_json::Value::from);
                prop_assert_eq!(found.as_ref(), Some(value));
            }
            prop_assert_eq!(object.clone().into_owned(), object);
        }

        /// However many there are, and wherever the two stand.
        #[test]
        fn two_equal_names_among_many_are_found(
            count in 2_usize..60, places in any::<(proptest::sample::Index, proptest::sample::Index)>(),
        ) {
            let (one, other) = (places.0.index(count), places.1.index(count));
            let name = |at: usize| if at == other { one } else { at };
            let members: Vec<_> = (0..count).map(|at| format!("\"n{}\":{at}", name(at))).collect();
            let text = format!("{{{}}}", members.join(","));
            prop_assert_eq!(accepts(&text), one == other, "{}", text);
        }
    }
}
