//! Reading stored tuples, as they are: no model is asked.

use super::Store;
use crate::name;
use crate::snapshot::Snapshot;
use crate::tree::{Entry, Key};
use crate::tuple::TupleKey;

/// Which tuples to read; empty strings match everything. `object` may be `kind:` for all
/// objects of a type, `user` likewise.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadFilter<'a> {
    /// `kind:id` or `kind:`.
    pub object: &'a str,
    /// A relation's name.
    pub relation: &'a str,
    /// `kind:id`, `kind:id#relation`, `kind:*` or `kind:`.
    pub user: &'a str,
}

/// A stored tuple and when it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTuple {
    /// The tuple, with its condition.
    pub key: TupleKey,
    /// Milliseconds since the Unix epoch.
    pub written: u64,
}

/// A page of tuples; with `next` the following page can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct TuplePage {
    /// In the order of the store, which is no alphabet's.
    pub tuples: Vec<StoredTuple>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<ReadPosition>,
}

/// Where a page ended. Tuples that are written or deleted meanwhile do not shift it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPosition {
    /// Of the page's last tuple.
    pub object: String,
    /// Of the page's last tuple.
    pub relation: String,
    /// Of the page's last tuple.
    pub user: String,
}

impl Store {
    /// Stored tuples, valid under the current model or not.
    ///
    /// `after` must be the position of an earlier page; `None` starts at the beginning.
    ///
    /// ```
    /// # use fga_engine::{Engine, ReadFilter, TupleKey, dsl};
    /// # let store = Engine::default().create_store("documents");
    /// # store.write_model(dsl::parse("model\n  schema 1.1\ntype user\ntype document\n  relations\n    define viewer: [user]")?)?;
    /// let viewer = |user| TupleKey::new("document:plan", "viewer", user);
    /// store.load_tuples(vec![viewer("user:anne"), viewer("user:bob")])?;
    ///
    /// let of_plan = ReadFilter { object: "document:plan", ..ReadFilter::default() };
    /// let first = store.read(&of_plan, None, 1);
    /// let second = store.read(&of_plan, first.next.as_ref(), 1);
    /// assert_eq!((first.tuples.len(), second.tuples.len(), second.next), (1, 1, None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(
        &self,
        filter: &ReadFilter<'_>,
        after: Option<&ReadPosition>,
        limit: usize,
    ) -> TuplePage {
        let snapshot = self.snapshot();
        let after = after.and_then(|at| snapshot.find_key(&at.object, &at.relation, &at.user));
        let mut page = TuplePage { tuples: Vec::new(), next: None };
        let Some(range) = Range::of(&snapshot, filter) else {
            return page;
        };
        let start = after.map_or(range.start, |after| after.max(range.start));
        for entry in snapshot.tuples.from(start) {
            if range.is_past(entry.key) {
                break;
            }
            if Some(entry.key) == after || !range.matches(&snapshot, entry) {
                continue;
            }
            if page.tuples.len() == limit {
                page.next = page.tuples.last().map(|last| ReadPosition {
                    object: last.key.object.clone(),
                    relation: last.key.relation.clone(),
                    user: last.key.user.clone(),
                });
                break;
            }
            page.tuples.push(StoredTuple { key: snapshot.tuple(entry), written: entry.written });
        }
        page
    }
}

/// A filter in numbers.
struct Range {
    start: Key,
    object: Option<u32>,
    object_kind: Option<u32>,
    relation: Option<u32>,
    user: Option<(u32, u32)>,
    user_kind: Option<u32>,
}

impl Range {
    /// `None` if the store has no name that could match.
    fn of(snapshot: &Snapshot, filter: &ReadFilter<'_>) -> Option<Self> {
        let mut range = Self {
            start: Key::new(0, 0, 0, 0),
            object: None,
            object_kind: None,
            relation: None,
            user: None,
            user_kind: None,
        };
        if !filter.object.is_empty() {
            let (kind, id) = name::split_object(filter.object);
            let kind = snapshot.symbols.find_kind(kind)?;
            range.object_kind = Some(kind);
            if !id.is_empty() {
                range.object = Some(snapshot.names.find(kind, id)?);
            }
        }
        if !filter.relation.is_empty() {
            range.relation = Some(snapshot.symbols.find_relation(filter.relation)?);
        }
        if !filter.user.is_empty() {
            let (object, relation) = name::split_userset(filter.user);
            let (kind, id) = name::split_object(object);
            let kind = snapshot.symbols.find_kind(kind)?;
            if id.is_empty() {
                range.user_kind = Some(kind);
            } else {
                let relation = match relation {
                    "" => 0,
                    relation => snapshot.symbols.find_relation(relation)?,
                };
                range.user = Some((snapshot.names.find(kind, id)?, relation));
            }
        }
        range.start = match (range.object, range.relation, range.user) {
            (Some(object), Some(relation), Some((user, user_relation))) => {
                Key::new(object, relation, user_relation, user)
            }
            (Some(object), relation, _) => Key::new(object, relation.unwrap_or(0), 0, 0),
            (None, ..) => range.start,
        };
        Some(range)
    }

    /// Whether no key from this one on can match.
    fn is_past(&self, key: Key) -> bool {
        let Some(object) = self.object else {
            return false;
        };
        let Some(relation) = self.relation else {
            return key.object() != object;
        };
        let is_other = (key.object(), key.relation()) != (object, relation);
        is_other || (self.user.is_some() && key != self.start)
    }

    fn matches(&self, snapshot: &Snapshot, entry: &Entry) -> bool {
        let key = entry.key;
        let kind_of = |number| snapshot.names.record(number).map(|record| record.kind);
        self.object.is_none_or(|object| object == key.object())
            && self.relation.is_none_or(|relation| relation == key.relation())
            && self.user.is_none_or(|user| user == (key.user(), key.user_relation()))
            && (self.object.is_some()
                || self.object_kind.is_none_or(|kind| kind_of(key.object()) == Some(kind)))
            && self.user_kind.is_none_or(|kind| kind_of(key.user()) == Some(kind))
    }
}
