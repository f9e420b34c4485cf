//! From the text of a rule file to its rules.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::build::build;
use super::error::{Fault, Faults, FileFault, MAX_FILE, RuleError, RuleErrors};
use super::file::{RawEntry, RuleEntry, schema};
use super::index::{Index, Taken};
use super::rule::Rule;
use super::set::Names;

pub(super) struct Loaded {
    pub(super) rules: Vec<Arc<Rule>>,
    pub(super) index: Index,
}

pub(super) fn load(bytes: &[u8], names: &Names) -> Result<Loaded, RuleErrors> {
    if bytes.len() > MAX_FILE {
        return Err(RuleErrors::File(FileFault::TooLarge { size: bytes.len() }));
    }
    let entries: Vec<RawEntry> = serde_json::from_slice(bytes)
        .map_err(|error| RuleErrors::File(FileFault::NotAList(error)))?;
    let mut loaded = Loaded { rules: Vec::with_capacity(entries.len()), index: Index::default() };
    let mut ids = HashMap::with_capacity(entries.len());
    let mut errors: Vec<RuleError> = Vec::new();
    for (position, entry) in entries.into_iter().enumerate() {
        let mut faults = Faults::of(position);
        let entry = read(entry, &mut faults);
        if let Some(rule) = entry.and_then(|entry| build(position, entry, names, &mut faults)) {
            loaded.add(rule, &mut ids, &mut faults);
        }
        errors.extend(faults.into_errors());
    }
    if errors.is_empty() { Ok(loaded) } else { Err(RuleErrors::Rules(errors)) }
}

impl Loaded {
    fn add(&mut self, rule: Rule, ids: &mut HashMap<Box<str>, usize>, faults: &mut Faults) {
        let rule = Arc::new(rule);
        match self.index.insert(&rule) {
            // Its id may be the same too, derived from the same path: one error is enough.
            Err(taken) => faults.add_to_rule(duplicate(&rule, taken)),
            Ok(()) => match ids.entry(rule.id.clone()) {
                Entry::Occupied(first) => faults.add(
                    "id",
                    Fault::DuplicateId { value: rule.id().to_owned(), other: *first.get() },
                ),
                Entry::Vacant(free) => drop(free.insert(rule.index())),
            },
        }
        self.rules.push(rule);
    }
}

fn duplicate(rule: &Rule, taken: Taken) -> Fault {
    Fault::DuplicateRule {
        methods: taken.method.map_or_else(|| "*".to_owned(), |method| method.to_string()),
        path: rule.pattern().as_str().to_owned(),
        other: taken.by.index(),
    }
}

/// Reads the fields that can be read and notes the others, so that the rule's remaining fields are
/// still checked.
fn read(entry: RawEntry, faults: &mut Faults) -> Option<RuleEntry> {
    let fields = match entry {
        RawEntry::Fields(fields) => fields,
        RawEntry::Other(found) => {
            faults.add_to_rule(Fault::NotAnObject { found });
            return None;
        }
    };
    let mut good = Map::new();
    for (field, value) in fields {
        match check_field(&field, &value) {
            Err(fault) => faults.add(&field, fault),
            Ok(()) if good.contains_key(&field) => faults.add(&field, Fault::RepeatedField),
            Ok(()) => drop(good.insert(field, value)),
        }
    }
    match serde_json::from_value(Value::Object(good)) {
        Ok(entry) => Some(entry),
        Err(error) => {
            faults.add_to_rule(Fault::WrongType(error));
            None
        }
    }
}

/// Reads an entry that has only this field.
fn check_field(field: &str, value: &Value) -> Result<(), Fault> {
    let alone = |value: Value| {
        let fields = Map::from_iter([(field.to_owned(), value)]);
        serde_json::from_value::<RuleEntry>(Value::Object(fields))
    };
    // Every field is optional on its own, so only an unknown one refuses null.
    if alone(Value::Null).is_err() {
        return Err(Fault::UnknownField { known: known_fields() });
    }
    if value.is_null() {
        return Err(Fault::Null);
    }
    alone(value.clone()).map(drop).map_err(Fault::WrongType)
}

fn known_fields() -> String {
    let schema = schema();
    let properties = schema.pointer("/$defs/RuleEntry/properties").and_then(Value::as_object);
    let names: Vec<_> = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    names.join(", ")
}
