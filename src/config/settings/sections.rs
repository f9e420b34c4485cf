//! The sections of a file, without the parts that are known to be wrong.

use serde_json::{Map, Value};

use crate::config::Problem;

/// Sections by name.
#[derive(Debug)]
pub(super) struct Sections {
    sound: Map<String, Value>,
}

impl Sections {
    /// Takes out what `problems` are about: an entry where a section has entries, else the section.
    pub(super) fn without(value: Value, problems: &[Problem]) -> Self {
        let Value::Object(mut sound) = value else { return Self { sound: Map::new() } };
        for problem in problems {
            let (section, rest) = problem.key.split_once(['.', '[']).unwrap_or((&problem.key, ""));
            let entry = rest.split(['.', ']']).next().unwrap_or_default();
            match (section, sound.get_mut(section)) {
                ("upstreams" | "limits", Some(Value::Object(entries))) if !entry.is_empty() => {
                    entries.insert(entry.to_owned(), Value::Null);
                }
                ("issuers", Some(Value::Array(entries))) if !entry.is_empty() => {
                    if let Some(slot) = entry.parse().ok().and_then(|at: usize| entries.get_mut(at))
                    {
                        *slot = Value::Null;
                    }
                }
                _ => {
                    sound.remove(section);
                }
            }
        }
        Self { sound }
    }

    /// A sound section, once.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.sound.remove(name)
    }
}
