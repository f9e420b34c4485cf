//! Names to values. Models are small, and comparing a few short names is cheaper than
//! hashing one.

use ahash::AHashMap;

/// From here on the hash table is faster.
const FEW: usize = 12;

#[derive(Debug)]
pub(crate) struct Lookup<V> {
    entries: Vec<(Box<str>, V)>,
    positions: AHashMap<Box<str>, usize>,
}

impl<V> Default for Lookup<V> {
    fn default() -> Self {
        Self { entries: Vec::new(), positions: AHashMap::new() }
    }
}

impl<V> Lookup<V> {
    /// Names are unique: a validated model has no duplicates.
    pub(crate) fn insert(&mut self, name: &str, value: V) {
        self.positions.insert(name.into(), self.entries.len());
        self.entries.push((name.into(), value));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&V> {
        if self.entries.len() <= FEW {
            return self.entries.iter().find(|(key, _)| **key == *name).map(|(_, value)| value);
        }
        self.entries.get(*self.positions.get(name)?).map(|(_, value)| value)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|(_, value)| value)
    }
}
