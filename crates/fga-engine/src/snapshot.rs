//! One version of a store's tuples. A reader takes one and keeps it as long as it likes.

use std::sync::Arc;

use crate::models::Models;
use crate::name::{ObjectRef, UserRef};
use crate::names::{Arena, Names};
use crate::symbols::Symbols;
use crate::tree::{Entries, Entry, Key, Tree};
use crate::tuple::{RelationshipCondition, TupleKey};

/// Lowest number of the names that only one request knows.
pub(crate) const LOCAL: u32 = 1 << 31;

#[derive(Clone)]
pub(crate) struct Snapshot {
    pub models: Arc<Models>,
    pub symbols: Arc<Symbols>,
    pub names: Names,
    pub conditions: Arc<Arena<RelationshipCondition>>,
    pub tuples: Tree,
    /// Grows by one with every write that changed something.
    pub revision: u64,
}

impl Snapshot {
    pub(crate) fn new() -> Self {
        Self {
            models: Arc::new(Models::default()),
            symbols: Arc::new(Symbols::default()),
            names: Names::new(),
            conditions: Arc::new(Arena::new()),
            tuples: Tree::new(),
            revision: 0,
        }
    }

    /// `kind:id` of a number.
    pub(crate) fn object(&self, number: u32) -> String {
        self.names.record(number).map_or_else(String::new, |record| {
            format!("{}:{}", self.symbols.kind(record.kind), record.id)
        })
    }

    pub(crate) fn user(&self, key: Key) -> String {
        let object = self.object(key.user());
        match key.user_relation() {
            0 => object,
            relation => format!("{object}#{}", self.symbols.relation(relation)),
        }
    }

    pub(crate) fn condition(&self, entry: &Entry) -> Option<&RelationshipCondition> {
        self.conditions.get(entry.condition.checked_sub(1)?)
    }

    pub(crate) fn tuple(&self, entry: &Entry) -> TupleKey {
        TupleKey {
            user: self.user(entry.key),
            relation: self.symbols.relation(entry.key.relation()).to_owned(),
            object: self.object(entry.key.object()),
            condition: self.condition(entry).cloned(),
        }
    }

    pub(crate) fn find_object(&self, object: &ObjectRef<'_>) -> Option<u32> {
        self.names.find(self.symbols.find_kind(object.kind)?, object.id)
    }

    /// The user's object and relation, if the store has ever seen them.
    pub(crate) fn find_user(&self, user: &UserRef<'_>) -> Option<(u32, u32)> {
        match user {
            UserRef::Object(object) => Some((self.find_object(object)?, 0)),
            UserRef::Wildcard(kind) => Some((self.find_object(&ObjectRef { kind, id: "*" })?, 0)),
            UserRef::Userset(object, relation) => {
                Some((self.find_object(object)?, self.symbols.find_relation(relation)?))
            }
        }
    }

    pub(crate) fn find_key(&self, object: &str, relation: &str, user: &str) -> Option<Key> {
        let object = self.find_object(&ObjectRef::parse(object)?)?;
        let relation = self.symbols.find_relation(relation)?;
        let (user, user_relation) = self.find_user(&UserRef::parse(user)?)?;
        Some(Key::new(object, relation, user_relation, user))
    }
}

/// A snapshot with a request's contextual tuples on top.
pub(crate) struct View<'a> {
    pub snapshot: &'a Snapshot,
    local: Option<Box<Overlay>>,
}

/// Names, tuples and conditions that exist for one request only.
#[derive(Default)]
struct Overlay {
    names: Vec<(u32, String)>,
    tuples: Vec<Entry>,
    conditions: Vec<RelationshipCondition>,
}

impl<'a> View<'a> {
    pub(crate) const fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, local: None }
    }

    /// The number of a name; one of this request alone if the store does not know it.
    pub(crate) fn name(&mut self, kind: u32, id: &str) -> u32 {
        if let Some(number) = self.snapshot.names.find(kind, id) {
            return number;
        }
        let names = &mut self.local.get_or_insert_default().names;
        let known = names.iter().position(|(k, name)| *k == kind && name == id);
        let index = known.unwrap_or_else(|| {
            names.push((kind, id.to_owned()));
            names.len() - 1
        });
        // A request brings a few hundred names at most.
        LOCAL | u32::try_from(index).unwrap_or(0)
    }

    /// The number of a name, if the store or this request knows it.
    pub(crate) fn find(&self, kind: u32, id: &str) -> Option<u32> {
        let known = self.snapshot.names.find(kind, id);
        known.or_else(|| {
            let names = &self.local.as_ref()?.names;
            let index = names.iter().position(|(k, name)| *k == kind && name == id)?;
            Some(LOCAL | u32::try_from(index).ok()?)
        })
    }

    /// The type symbol and the id behind a number.
    pub(crate) fn record(&self, number: u32) -> Option<(u32, &str)> {
        if number < LOCAL {
            let record = self.snapshot.names.record(number)?;
            return Some((record.kind, &record.id));
        }
        let names = &self.local.as_ref()?.names;
        names.get((number ^ LOCAL) as usize).map(|(kind, id)| (*kind, id.as_str()))
    }

    pub(crate) fn kind_of(&self, number: u32) -> Option<u32> {
        self.record(number).map(|(kind, _)| kind)
    }

    pub(crate) fn object(&self, number: u32) -> String {
        self.record(number).map_or_else(String::new, |(kind, id)| {
            format!("{}:{id}", self.snapshot.symbols.kind(kind))
        })
    }

    /// Adds a contextual tuple whose names were taken from this view.
    pub(crate) fn add(&mut self, key: Key, condition: Option<&RelationshipCondition>) {
        let local = self.local.get_or_insert_default();
        let number = condition.map_or(0, |condition| {
            local.conditions.push(condition.clone());
            LOCAL | u32::try_from(local.conditions.len()).unwrap_or(0)
        });
        local.tuples.push(Entry { key, written: 0, condition: number });
    }

    /// Makes contextual tuples findable; call once after the last [`add`](Self::add).
    pub(crate) fn seal(&mut self) {
        if let Some(local) = &mut self.local {
            local.tuples.sort_by_key(|entry| entry.key);
        }
    }

    /// A contextual tuple hides the stored one with its key.
    pub(crate) fn get(&self, key: Key) -> Option<&Entry> {
        if let Some(local) = &self.local {
            let found = local.tuples.binary_search_by_key(&key, |entry| entry.key);
            if let Some(entry) = found.ok().and_then(|at| local.tuples.get(at)) {
                return Some(entry);
            }
        }
        self.snapshot.tuples.get(key)
    }

    /// Tuples of one object and relation: those of plain users, of usersets, or both.
    pub(crate) fn scan(&self, object: u32, relation: u32, members: Members) -> Scan<'_> {
        let start = Key::new(object, relation, u32::from(members == Members::Usersets), 0);
        let local = self.local.as_ref().map_or(&[][..], |local| {
            let at = local.tuples.partition_point(|entry| entry.key < start);
            local.tuples.get(at..).unwrap_or_default()
        });
        Scan { object, relation, members, local, stored: self.snapshot.tuples.from(start) }
    }

    pub(crate) fn condition(&self, entry: &Entry) -> Option<&RelationshipCondition> {
        if entry.condition < LOCAL {
            return self.snapshot.condition(entry);
        }
        self.local.as_ref()?.conditions.get(((entry.condition ^ LOCAL) as usize).checked_sub(1)?)
    }

    pub(crate) fn contextual(&self) -> &[Entry] {
        self.local.as_ref().map_or(&[], |local| &local.tuples)
    }

    /// `kind:id`, or `kind:id#relation`.
    pub(crate) fn user(&self, key: Key) -> String {
        let object = self.object(key.user());
        match key.user_relation() {
            0 => object,
            relation => format!("{object}#{}", self.snapshot.symbols.relation(relation)),
        }
    }

    /// The tuple's text, for messages.
    pub(crate) const fn display<'v>(&'v self, entry: &'v Entry) -> DisplayTuple<'v> {
        DisplayTuple { view: self, entry }
    }
}

pub(crate) struct DisplayTuple<'v> {
    view: &'v View<'v>,
    entry: &'v Entry,
}

impl std::fmt::Display for DisplayTuple<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.entry.key;
        let relation = self.view.snapshot.symbols.relation(key.relation());
        write!(f, "{}#{relation}@{}", self.view.object(key.object()), self.view.user(key))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Members {
    Plain,
    Usersets,
    All,
}

/// Contextual tuples first, then the stored ones.
pub(crate) struct Scan<'a> {
    object: u32,
    relation: u32,
    members: Members,
    local: &'a [Entry],
    stored: Entries<'a>,
}

impl Scan<'_> {
    fn takes(&self, key: Key) -> bool {
        key.object() == self.object
            && key.relation() == self.relation
            && (self.members != Members::Plain || key.user_relation() == 0)
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((entry, rest)) = self.local.split_first() {
            if self.takes(entry.key) {
                self.local = rest;
                return Some(entry);
            }
            self.local = &[];
        }
        let entry = self.stored.next()?;
        self.takes(entry.key).then_some(entry)
    }
}
