//! What changed in a store, for `ReadChanges` and for caches that must forget.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::{EngineError, ErrorCode};
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::tree::{Entry, Key};
use crate::tuple::TupleKey;

/// Changes that are kept. OpenFGA keeps all of them; a reader that falls behind further
/// than this is told so by [`ChangesPage::is_complete`].
const KEPT: usize = 100_000;

/// A tuple that was written or deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Grows with every change of the store.
    pub sequence: u64,
    /// Without its condition if it was deleted.
    pub tuple: TupleKey,
    pub operation: Operation,
    /// Milliseconds since the Unix epoch.
    pub time: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Write,
    Delete,
}

/// Changes in order.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangesPage {
    pub changes: Vec<Change>,
    /// False if changes after the asked-for position are no longer kept.
    pub is_complete: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Recorded {
    pub entry: Entry,
    pub operation: Operation,
    pub time: u64,
}

#[derive(Default)]
pub(crate) struct ChangeLog {
    /// Sequence of the first kept change.
    first: u64,
    kept: VecDeque<Recorded>,
}

impl ChangeLog {
    pub(crate) fn record(&mut self, change: Recorded) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
            self.first += 1;
        }
        self.kept.push_back(change);
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.first + u64::try_from(self.kept.len()).unwrap_or(u64::MAX)
    }

    /// Continues the numbering of an earlier run.
    pub(crate) fn start_at(&mut self, sequence: u64) {
        self.kept.clear();
        self.first = sequence;
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.kept.iter().map(|change| change.entry.key)
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Rewrites kept changes after the store renumbered what they refer to.
    pub(crate) fn rewrite(&mut self, mut rewrite: impl FnMut(Entry) -> Entry) {
        for change in &mut self.kept {
            change.entry = rewrite(change.entry);
        }
    }
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
    pub limit: usize,
}

impl Store {
    /// The current version, and the sequence of the next change after it.
    pub(crate) fn position(&self) -> (Arc<Snapshot>, u64) {
        let log = self.change_log();
        (Arc::clone(&self.snapshot()), log.next_sequence())
    }

    /// Changes in the order in which they happened.
    #[must_use]
    pub fn changes(&self, filter: &ChangesFilter<'_>) -> ChangesPage {
        // The log is locked first: a snapshot taken afterwards knows every name in it.
        let log = self.change_log();
        let snapshot = self.snapshot();
        let start = filter.after.map_or(log.first, |after| after.saturating_add(1));
        let skipped = start.saturating_sub(log.first);
        let mut page = ChangesPage { changes: Vec::new(), is_complete: start >= log.first };
        let kept = log.kept.iter().zip(log.first..);
        for (change, sequence) in kept.skip(usize::try_from(skipped).unwrap_or(usize::MAX)) {
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

pub(crate) fn invalid_token() -> EngineError {
    EngineError::new(ErrorCode::InvalidContinuationToken, "Invalid continuation token")
}
