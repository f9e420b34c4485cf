//! The text of a file: the values in it, and where they stand.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::key::join;

/// What a text says.
#[derive(Debug)]
pub(super) struct Document {
    /// Keys are text, and each is there once: the first of several.
    pub(super) value: Value,
    /// The keys of the others.
    pub(super) repeated: Vec<String>,
}

/// Reads a text that may be empty.
pub(super) fn read(text: &str) -> Result<Document, serde_yaml::Error> {
    let mut repeated = Vec::new();
    let node = Node { key: String::new(), repeated: &mut repeated };
    let value = node.deserialize(serde_yaml::Deserializer::from_str(text))?;
    Ok(Document { value, repeated })
}

/// The first character that no YAML may have, and where it stands: the parser names the place of its
/// buffer instead, which is always the first line.
pub(super) fn control(text: &str) -> Option<(char, (usize, usize))> {
    let is_foreign = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    let (at, character) = text.char_indices().find(|(_, c)| is_foreign(*c))?;
    Some((character, end(text.get(..at)?)))
}

/// Line and column of what would follow a text.
pub(super) fn end(text: &str) -> (usize, usize) {
    let last = text.rsplit('\n').next().unwrap_or_default();
    (text.matches('\n').count() + 1, last.chars().count() + 1)
}

/// A value, and what is below it.
struct Node<'a> {
    key: String,
    repeated: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    // No key takes such numbers; as text they are told with the key that they were written for.
    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(value.to_string().into())
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(value.to_string().into())
    }

    /// `1e6` is as whole as 1000000. What no number of JSON is, or no key of ours takes, is text.
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        let text = value.to_string();
        let whole = text.parse::<i64>().ok().map(Value::from);
        let part = || Number::from_f64(value).filter(|_| text.contains('.')).map(Value::Number);
        Ok(whole.or_else(part).unwrap_or_else(|| text.clone().into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let mut next = |at: usize| {
            let key = format!("{}[{at}]", self.key);
            items.next_element_seed(Node { key, repeated: &mut *self.repeated })
        };
        while let Some(item) = next(list.len())? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let key = join(&self.key, &name);
            if map.contains_key(&name) {
                entries.next_value::<IgnoredAny>()?;
                self.repeated.push(key);
            } else {
                let node = Node { key, repeated: &mut *self.repeated };
                map.insert(name, entries.next_value_seed(node)?);
            }
        }
        Ok(Value::Object(map))
    }
}

/// What of a key is pointed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// Its name.
    Name,
    /// Its name where it comes for the second time.
    SecondName,
    /// Its value.
    Value,
}

/// Line and column, from 1, of what stands in `text` at the dotted path `key`.
///
/// The parser tells positions only of errors, so this makes one there.
pub(super) fn locate(text: &str, key: &str, aim: Aim) -> Option<(usize, usize)> {
    let search = Search { below: key, aim };
    let found = search.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    found.location().map(|at| (at.line(), at.column()))
}

fn here<E: Error>() -> E {
    E::custom("here")
}

/// Looks for what is at `below`, seen from a value.
struct Search<'a> {
    below: &'a str,
    aim: Aim,
}

impl Search<'_> {
    fn arrive<E: Error>(&self) -> Result<(), E> {
        if self.below.is_empty() { Err(here()) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.arrive()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.arrive()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.arrive()
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.arrive()
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.arrive()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.arrive()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.arrive()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.arrive()
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.arrive()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.arrive()?;
        let wanted = self.below.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let wanted = wanted.and_then(|(at, below)| Some((at.parse::<usize>().ok()?, below)));
        for at in 0.. {
            let is_there = match wanted {
                Some((wanted, below)) if wanted == at => {
                    let below = below.strip_prefix('.').unwrap_or(below);
                    items.next_element_seed(Search { below, aim: self.aim })?.is_some()
                }
                _ => items.next_element::<IgnoredAny>()?.is_some(),
            };
            if !is_there {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.arrive()?;
        let mut is_second = false;
        loop {
            let ends_here = match self.aim {
                Aim::Name => true,
                Aim::SecondName => is_second,
                Aim::Value => false,
            };
            match entries.next_key_seed(Name { path: self.below, ends_here })? {
                None => return Ok(()),
                Some(Some(below)) if !(below.is_empty() && self.aim == Aim::SecondName) => {
                    entries.next_value_seed(Search { below, aim: self.aim })?;
                }
                Some(known) => {
                    is_second |= known.is_some();
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
    }
}

/// The name of a key: what of `path` is left below it, when `path` begins with it.
struct Name<'a> {
    path: &'a str,
    /// Whether the search is over at the name that `path` ends with.
    ends_here: bool,
}

impl<'de, 'a> DeserializeSeed<'de> for Name<'a> {
    type Value = Option<&'a str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Name<'a> {
    type Value = Option<&'a str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        match self.path.strip_prefix(name) {
            Some("") if self.ends_here => Err(here()),
            Some("") => Ok(Some("")),
            Some(rest) if rest.starts_with('[') => Ok(Some(rest)),
            Some(rest) => Ok(rest.strip_prefix('.')),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_as_they_are_meant() {
        let text = "a: 1\nb: [true, ~, -2, 1.5, .nan, x]\nc: {1: y}\nd:\n";
        let expected = json!({
            "a": 1, "b": [true, null, -2, 1.5, "NaN", "x"], "c": {"1": "y"}, "d": null
        });
        assert_eq!(read(text).unwrap().value, expected);
        let huge = read("a: 340282366920938463463374607431768211455").unwrap().value;
        assert_eq!(huge["a"], "340282366920938463463374607431768211455");
        let floats = read("[1e6, 1.0, -1e3, -.inf, 1e20]").unwrap().value;
        assert_eq!(floats, json!([1_000_000, 1, -1_000, "-inf", "100000000000000000000"]));
        for empty in ["", "# nothing\n", "---\n", "~"] {
            assert_eq!(read(empty).unwrap().value, Value::Null, "{empty:?}");
        }
    }

    #[test]
    fn every_repeated_key_is_told() {
        let document = read("a: {b: 1, b: 2, b: 3}\nc: [{d: 1, d: 2}]\na: 2\n").unwrap();
        assert_eq!(document.repeated, ["a.b", "a.b", "c[0].d", "a"]);
        assert_eq!(document.value, json!({"a": {"b": 1}, "c": [{"d": 1}]}));
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in
            ["a: !tag b", "{{ x }}: 1", "a: [", "a: 1\n---\nb: 1", "a: *unknown", "a:\n\t- b"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let text = "a:\n  bc: 1\n  b: [x, {d: [1, 2]}]\n\"ä\": {e.f: 2, e: {f: 3}}\na: 9\nbe:\n";
        for (key, aim, at) in [
            ("a", Aim::Name, Some((1, 1))),
            ("a", Aim::SecondName, Some((5, 1))),
            ("a", Aim::Value, Some((2, 3))),
            ("a.b", Aim::Name, Some((3, 3))),
            ("a.b", Aim::Value, Some((3, 6))),
            ("a.b[0]", Aim::Value, Some((3, 7))),
            ("a.b[1].d", Aim::Name, Some((3, 11))),
            ("a.b[1].d[1]", Aim::Value, Some((3, 18))),
            ("ä.e.f", Aim::Name, Some((4, 7))),
            ("be", Aim::Name, Some((6, 1))),
            ("a.b[2]", Aim::Value, None),
            ("a.b[1].x", Aim::Value, None),
            ("a.x", Aim::Name, None),
            ("a.bc.d", Aim::Value, None),
            ("b", Aim::SecondName, None),
        ] {
            assert_eq!(locate(text, key, aim), at, "{key} {aim:?}");
        }
    }
}
