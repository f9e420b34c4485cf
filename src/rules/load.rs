//! From the text of a rule file to its rules.

use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};

use super::build::build;
use super::error::{Fault, Faults, FileFault, MAX_FILE, RuleErrors};
use super::file::{RawEntry, RuleEntry, schema};
use super::index::Index;
use super::place::{Claims, Place};
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
    let mut claims = Claims::default();
    let mut errors = Vec::new();
    for (position, entry) in entries.into_iter().enumerate() {
        let mut faults = Faults::of(position);
        if let Some(entry) = read(entry, &mut faults) {
            let place = Place::read(&entry, &mut faults);
            claims.claim(position, entry.id.as_deref(), place.as_ref(), &mut faults);
            if let Some(rule) = build(position, place, entry, names, &mut faults) {
                let rule = Arc::new(rule);
                loaded.index.insert(&rule);
                loaded.rules.push(rule);
            }
        }
        errors.extend(faults.into_errors());
    }
    if errors.is_empty() { Ok(loaded) } else { Err(RuleErrors::Rules(errors)) }
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
        return Err(Fault::UnknownField { known: &KNOWN_FIELDS });
    }
    if value.is_null() {
        return Err(Fault::Null);
    }
    alone(value.clone()).map(drop).map_err(Fault::WrongType)
}

static KNOWN_FIELDS: LazyLock<String> = LazyLock::new(|| {
    let schema = schema();
    let properties = schema.pointer("/$defs/RuleEntry/properties").and_then(Value::as_object);
    let names: Vec<_> = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    names.join(", ")
});
