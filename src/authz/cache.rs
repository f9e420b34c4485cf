//! Remembered decisions.

use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, EntryAction, EntryResult};

use super::AuthzSettings;
use super::question::{Check, CheckRef, Consistency, Question};
use crate::clock::Now;

/// What the cache knows about a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// An answer that is still believed.
    Fresh(bool),
    /// An allow that has expired but may serve during an outage.
    StaleAllow,
    /// Nothing usable.
    Nothing,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    allowed: bool,
    epoch: u64,
    asked_nanos: u64,
}

impl Entry {
    /// Whether an answer of `epoch` that was asked for at `asked` takes its place.
    fn gives_way_to(&self, epoch: u64, asked: Now) -> bool {
        self.epoch != epoch || self.asked_nanos <= asked.mono_nanos()
    }
}

/// A bounded map from question to answer.
pub(super) struct DecisionCache {
    entries: Cache<Check, Entry, UnitWeighter, ahash::RandomState>,
    epoch: AtomicU64,
    allow_millis: u64,
    deny_millis: u64,
    stale_millis: u64,
}

impl DecisionCache {
    pub(super) fn new(settings: &AuthzSettings) -> Self {
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let entries = u64::try_from(settings.cache_entries).unwrap_or(u64::MAX);
        Self {
            entries: Cache::with(
                settings.cache_entries,
                entries,
                UnitWeighter,
                ahash::RandomState::new(),
                quick_cache::sync::DefaultLifecycle::default(),
            ),
            epoch: AtomicU64::new(0),
            allow_millis: millis(settings.allow_ttl),
            deny_millis: millis(settings.deny_ttl),
            stale_millis: millis(settings.stale_if_error),
        }
    }

    pub(super) fn find(&self, question: &Question<'_>, generation: u32, now: Now) -> Found {
        let Some(entry) = self.entries.get(&CheckRef(question, generation)) else {
            return Found::Nothing;
        };
        if entry.epoch != self.epoch() {
            return Found::Nothing;
        }
        let age = now.mono_nanos().saturating_sub(entry.asked_nanos) / 1_000_000;
        let ttl = if entry.allowed { self.allow_millis } else { self.deny_millis };
        if age < ttl {
            Found::Fresh(entry.allowed)
        } else if entry.allowed && age < ttl.saturating_add(self.stale_millis) {
            Found::StaleAllow
        } else {
            Found::Nothing
        }
    }

    /// Remembers an answer to a question that was asked at `asked`, unless everything has been
    /// forgotten since `epoch` or the answer to a question that was asked later is known already.
    pub(super) fn insert(&self, mut check: Check, allowed: bool, asked: Now, epoch: u64) {
        if epoch != self.epoch() {
            return;
        }
        // One key per question, however recent an answer was wanted.
        check.consistency = Consistency::MinimizeLatency;
        let ttl = if allowed { self.allow_millis } else { self.deny_millis };
        if ttl == 0 {
            // Not to be believed a second time, but newer than what is.
            self.entries.remove_if(&check, |known| known.gives_way_to(epoch, asked));
            return;
        }
        let answer = Entry { allowed, epoch, asked_nanos: asked.mono_nanos() };
        let found = self.entries.entry(&check, None, |_, known| {
            if known.gives_way_to(epoch, asked) {
                *known = answer;
            }
            EntryAction::Retain(())
        });
        if let EntryResult::Vacant(guard) = found {
            // Fails when all was cleared meanwhile, and then the answer is not wanted.
            let _ = guard.insert(answer);
        }
    }

    /// Changes whenever all remembered decisions became void.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
