//! Numbers for the type and relation names of a store.

use std::sync::Arc;

use ahash::AHashMap;

/// Append-only; relation numbers start at 1, because 0 in a tuple means "no relation".
#[derive(Debug, Clone, Default)]
pub(crate) struct Symbols {
    kinds: Vec<Arc<str>>,
    kind_numbers: AHashMap<Arc<str>, u32>,
    relations: Vec<Arc<str>>,
    relation_numbers: AHashMap<Arc<str>, u32>,
}

impl Symbols {
    pub(crate) fn intern_kind(&mut self, name: &str) -> u32 {
        intern(name, &mut self.kinds, &mut self.kind_numbers, 0)
    }

    pub(crate) fn intern_relation(&mut self, name: &str) -> u32 {
        intern(name, &mut self.relations, &mut self.relation_numbers, 1)
    }

    pub(crate) fn find_kind(&self, name: &str) -> Option<u32> {
        self.kind_numbers.get(name).copied()
    }

    pub(crate) fn find_relation(&self, name: &str) -> Option<u32> {
        self.relation_numbers.get(name).copied()
    }

    pub(crate) fn kind(&self, number: u32) -> &str {
        self.kinds.get(number as usize).map_or("", AsRef::as_ref)
    }

    pub(crate) fn relation(&self, number: u32) -> &str {
        let index = (number as usize).checked_sub(1);
        index.and_then(|index| self.relations.get(index)).map_or("", AsRef::as_ref)
    }
}

fn intern(
    name: &str,
    names: &mut Vec<Arc<str>>,
    numbers: &mut AHashMap<Arc<str>, u32>,
    first: u32,
) -> u32 {
    if let Some(number) = numbers.get(name) {
        return *number;
    }
    let name: Arc<str> = name.into();
    // A model of at most 256 KiB cannot bring four thousand million names.
    let number = u32::try_from(names.len()).unwrap_or(u32::MAX).saturating_add(first);
    names.push(Arc::clone(&name));
    numbers.insert(name, number);
    number
}
