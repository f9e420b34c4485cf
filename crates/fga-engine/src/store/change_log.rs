//! The latest changes of a store, in numbers.

use std::collections::VecDeque;

use crate::tree::{Entry, Key};

/// Changes that are kept. OpenFGA keeps all of them; a reader that falls behind further
/// than this is told so by [`ChangesPage::is_complete`](super::ChangesPage::is_complete).
const KEPT: usize = 100_000;

/// What can happen to a tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It was added.
    Write,
    /// It was removed.
    Delete,
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

    /// Sequence of the first change that is still there.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// The changes from a sequence on, each with its own.
    pub(crate) fn from(&self, sequence: u64) -> impl Iterator<Item = (&Recorded, u64)> {
        let skipped = usize::try_from(sequence.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.kept.iter().zip(self.first..).skip(skipped)
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
