//! Remembered decisions.

use quick_cache::Weighter;
use quick_cache::sync::{Cache, EntryAction, EntryResult};

use super::question::{Check, CheckRef, ConsistencyPreference, Question};
use super::settings::AuthzSettings;
use crate::clock::{Now, millis};
use crate::sweep::sweep;

/// What a usual decision may take; the texts of its question have some 100 bytes.
const USUAL_BYTES: u64 = 512;

/// What the tables take for a decision, half of it to grow into.
const PLACE_BYTES: usize = 200;

/// What the cache knows about a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remembered {
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
    asked_nanos: u64,
}

impl Entry {
    /// Whether an answer that was asked for at `asked` takes its place.
    fn gives_way_to(&self, asked: Now) -> bool {
        self.asked_nanos <= asked.mono_nanos()
    }
}

/// Bytes, but at least the share of a usual question: long ones take the place of several.
#[derive(Debug, Clone, Copy)]
struct Weight;

/// A bounded map from question to answer.
pub(super) struct DecisionCache {
    entries: Cache<Check, Entry, Weight, ahash::RandomState>,
    allow_millis: u64,
    deny_millis: u64,
    stale_millis: u64,
}

impl DecisionCache {
    pub(super) fn new(settings: &AuthzSettings) -> Self {
        let entries = u64::try_from(settings.cache_entries).unwrap_or(u64::MAX);
        Self {
            entries: Cache::with(
                settings.cache_entries,
                entries.saturating_mul(USUAL_BYTES),
                Weight,
                ahash::RandomState::new(),
                quick_cache::sync::DefaultLifecycle::default(),
            ),
            allow_millis: millis(settings.allow_ttl),
            deny_millis: millis(settings.deny_ttl),
            stale_millis: millis(settings.stale_if_error),
        }
    }

    pub(super) fn find(&self, question: &Question<'_>, generation: u32, now: Now) -> Remembered {
        let Some(entry) = self.entries.get(&CheckRef(question, generation)) else {
            return Remembered::Nothing;
        };
        self.found(&entry, now)
    }

    fn found(&self, entry: &Entry, now: Now) -> Remembered {
        let age = now.mono_nanos().saturating_sub(entry.asked_nanos) / 1_000_000;
        let ttl = if entry.allowed { self.allow_millis } else { self.deny_millis };
        if age < ttl {
            Remembered::Fresh(entry.allowed)
        } else if entry.allowed && age < ttl.saturating_add(self.stale_millis) {
            Remembered::StaleAllow
        } else {
            Remembered::Nothing
        }
    }

    /// Remembers an answer to a question that was asked at `asked`, unless the answer to one that was
    /// asked later is known already.
    pub(super) fn insert(&self, mut check: Check, allowed: bool, asked: Now) {
        // One key per question, however recent an answer was wanted.
        check.consistency = ConsistencyPreference::MinimizeLatency;
        let ttl = if allowed { self.allow_millis } else { self.deny_millis };
        if ttl == 0 {
            // Not to be believed a second time, but newer than what is.
            self.entries.remove_if(&check, |known| known.gives_way_to(asked));
            return;
        }
        let answer = Entry { allowed, asked_nanos: asked.mono_nanos() };
        let found = self.entries.entry(&check, None, |_, known| {
            if known.gives_way_to(asked) {
                *known = answer;
            }
            EntryAction::Retain(())
        });
        if let EntryResult::Vacant(guard) = found {
            // Fails when all was cleared meanwhile, and then the answer is not wanted.
            let _ = guard.insert(answer);
        }
    }

    /// Forgets the decisions that cannot serve any more, not even in an outage.
    pub(super) async fn sweep(&self, now: Now) {
        sweep(&self.entries, |entry| self.found(entry, now) == Remembered::Nothing).await;
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Weighter<Check, Entry> for Weight {
    fn weight(&self, check: &Check, _: &Entry) -> u64 {
        let bytes = u64::try_from(check.text_bytes() + PLACE_BYTES).unwrap_or(u64::MAX);
        bytes.max(USUAL_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use allocation_counter::measure;

    use super::*;

    fn cache(entries: usize) -> DecisionCache {
        DecisionCache::new(&AuthzSettings {
            cache_entries: entries,
            allow_ttl: Duration::from_mins(1),
            deny_ttl: Duration::from_secs(10),
            stale_if_error: Duration::from_secs(30),
            max_concurrent: 1,
        })
    }

    fn check(object: &str) -> Check {
        let consistency = ConsistencyPreference::MinimizeLatency;
        let (user, relation, rule) = ("user:281", "viewer", "");
        Question { user, relation, object, rule, consistency }.to_check(1)
    }

    const fn at(secs: u64) -> Now {
        Now::at(0, secs * 1_000_000_000)
    }

    #[test]
    fn long_questions_take_the_place_of_several() {
        for (length, at_least) in [(20, 4_000), (900, 1_500)] {
            let cache = cache(5_000);
            let held = measure(|| {
                for index in 0..20_000 {
                    cache.insert(check(&format!("{index:0length$}")), true, at(0));
                }
            });
            assert!((at_least..=5_000).contains(&cache.len()), "{length}: {}", cache.len());
            // Beside them the tables keep the hashes of half as many that were evicted.
            assert!(held.bytes_current <= 5_000 * (512 + 100), "{length}: {held:?}");
        }
    }

    #[tokio::test]
    async fn a_sweep_forgets_what_cannot_serve_even_in_an_outage() {
        let cache = cache(100);
        cache.insert(check("allowed"), true, at(0));
        cache.insert(check("denied"), false, at(0));
        for (secs, left) in [(9, 2), (10, 1), (89, 1), (90, 0)] {
            cache.sweep(at(secs)).await;
            assert_eq!(cache.len(), left, "after {secs} s");
        }
    }
}
