//! What changed in a store, for `ReadChanges` and for caches that must forget.

use std::sync::Arc;

use super::Store;
use super::change_log::{Operation, Recorded};
use crate::snapshot::Snapshot;
use crate::tuple::TupleKey;

/// A tuple that was written or deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Grows with every change of the store.
    pub sequence: u64,
    /// Without its condition if it was deleted.
    pub tuple: TupleKey,
    /// What happened to the tuple.
    pub operation: Operation,
    /// Milliseconds since the Unix epoch.
    pub time: u64,
}

/// Changes in order.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangesPage {
    /// Oldest first.
    pub changes: Vec<Change>,
    /// False if changes after the asked-for position are no longer kept.
    pub is_complete: bool,
}

/// Which changes to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChangesFilter<'a> {
    /// Only changes after this one; none means from the first that is kept.
    pub after: Option<u64>,
    /// Only changes at or after this time (milliseconds); looked at without `after`.
    pub since: Option<u64>,
    /// Only changes of objects of this type.
    pub kind: Option<&'a str>,
    /// How many at most.
    pub limit: usize,
}

impl Store {
    /// The current version, and the sequence of the next change after it.
    pub(crate) fn position(&self) -> (Arc<Snapshot>, u64) {
        let log = self.change_log();
        (Arc::clone(&self.snapshot()), log.next_sequence())
    }

    /// Changes in the order in which they happened; the latest 100,000 are kept.
    ///
    /// ```
    /// # use fga_engine::{ChangesFilter, Engine, Operation, TupleKey, dsl};
    /// # let store = Engine::default().create_store("documents");
    /// # store.write_model(dsl::parse("model\n  schema 1.1\ntype user\ntype document\n  relations\n    define viewer: [user]")?)?;
    /// store.load_tuples(vec![TupleKey::new("document:plan", "viewer", "user:anne")])?;
    /// let page = store.changes(&ChangesFilter { limit: 100, ..ChangesFilter::default() });
    /// assert_eq!(page.changes[0].operation, Operation::Write);
    ///
    /// // What came since; a reader that fell too far behind must read everything anew.
    /// let after = Some(page.changes[0].sequence);
    /// let since = store.changes(&ChangesFilter { after, limit: 100, ..ChangesFilter::default() });
    /// assert!(since.is_complete && since.changes.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn changes(&self, filter: &ChangesFilter<'_>) -> ChangesPage {
        // The log is locked first: a snapshot taken afterwards knows every name in it.
        let log = self.change_log();
        let snapshot = self.snapshot();
        let start = filter.after.map_or(log.first(), |after| after.saturating_add(1));
        let mut page = ChangesPage { changes: Vec::new(), is_complete: start >= log.first() };
        for (change, sequence) in log.from(start) {
            if page.changes.len() == filter.limit {
                break;
            }
            let too_early =
                filter.after.is_none() && filter.since.is_some_and(|since| change.time < since);
            if !too_early && is_of_kind(&snapshot, change, filter.kind) {
                page.changes.push(render(&snapshot, change, sequence));
            }
        }
        page
    }
}

fn is_of_kind(snapshot: &Snapshot, change: &Recorded, kind: Option<&str>) -> bool {
    kind.is_none_or(|kind| {
        let record = snapshot.names.record(change.entry.key.object());
        record.is_some_and(|record| snapshot.symbols.kind(record.kind) == kind)
    })
}

fn render(snapshot: &Snapshot, change: &Recorded, sequence: u64) -> Change {
    let mut tuple = snapshot.tuple(&change.entry);
    if change.operation == Operation::Delete {
        tuple.condition = None;
    }
    Change { sequence, tuple, operation: change.operation, time: change.time }
}
