//! How many requests of one key are running at once.

use ahash::RandomState;
use pingora_limits::inflight::{Guard, Inflight};

use super::key::KeyRef;

/// Counts running requests per key, without knowing the keys: a fixed sketch that collisions can
/// only make count too many (in practice from thousands of keys in flight on).
pub struct InFlight {
    counts: Inflight,
    hasher: RandomState,
}

/// One running request; dropping it ends it.
#[derive(Debug)]
#[must_use = "the request ends when the guard is dropped"]
pub struct InFlightGuard {
    _guard: Guard,
}

impl InFlight {
    /// Nothing is running. About 256 KiB.
    pub fn new() -> Self {
        Self { counts: Inflight::new(), hasher: RandomState::new() }
    }

    /// Starts one request and tells how many the key has, this one included.
    pub fn enter(&self, key: KeyRef<'_>) -> (InFlightGuard, usize) {
        let (guard, count) = self.counts.incr(self.hasher.hash_one(key.probe()), 1);
        (InFlightGuard { _guard: guard }, usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Starts one request unless the key has `most` already.
    pub fn try_enter(&self, key: KeyRef<'_>, most: usize) -> Option<InFlightGuard> {
        let (guard, count) = self.enter(key);
        (count <= most).then_some(guard)
    }
}

impl Default for InFlight {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for InFlight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InFlight").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyRef<'static> = KeyRef::Text("alice");

    #[test]
    fn a_request_counts_until_its_guard_is_dropped() {
        let in_flight = InFlight::new();
        let (first, one) = in_flight.enter(KEY);
        let (second, two) = in_flight.enter(KEY);
        assert_eq!((one, two), (1, 2));
        drop(first);
        drop(second);
        assert_eq!(in_flight.enter(KEY).1, 1);
    }

    #[test]
    fn a_refused_request_takes_no_place() {
        let in_flight = InFlight::new();
        let held = in_flight.try_enter(KEY, 1);
        assert!(held.is_some());
        for _ in 0..10 {
            assert!(in_flight.try_enter(KEY, 1).is_none());
        }
        drop(held);
        assert!(in_flight.try_enter(KEY, 1).is_some());
    }
}
