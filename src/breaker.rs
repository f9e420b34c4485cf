//! A circuit breaker: after consecutive failures, one probe per interval instead of every call.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Now, millis};

/// Failures in a row that open it. Fewer would take one lost connection pool for an outage; more would
/// make that many requests wait out their deadline first.
const THRESHOLD: u32 = 5;

/// Between two probes. Whoever was out of reach is noticed to be back within it, and a 503 tells clients
/// to come again after it.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Counts failures in a row; lock-free.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: AtomicU32,
    next_probe_millis: AtomicU64,
    held_until_millis: AtomicU64,
}

impl Breaker {
    /// Closed: every call may be made.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a call may be made now.
    pub fn admits(&self, now: Now) -> bool {
        if self.is_held(now) {
            return false;
        }
        if self.failures.load(Ordering::Acquire) < THRESHOLD {
            return true;
        }
        let due = self.next_probe_millis.load(Ordering::Acquire);
        let next = now.mono_millis().saturating_add(millis(PROBE_INTERVAL));
        now.mono_millis() >= due
            && self
                .next_probe_millis
                .compare_exchange(due, next, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    /// Tells how an admitted call ended.
    pub fn record(&self, succeeded: bool, now: Now) {
        if !succeeded {
            self.fail(None, now);
        } else if !self.is_held(now) {
            // During a pause, only calls from before it can succeed.
            self.failures.store(0, Ordering::Release);
        }
    }

    /// An admitted call failed, and whoever answered it wants to be spared for `pause`. That may be
    /// one of several who answer, so it is one failure; but the next probe comes after the pause.
    pub fn fail(&self, pause: Option<Duration>, now: Now) {
        let failures = self.failures.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        // Calls that were under way when it opened do not put the probe off unless asked to.
        let interval = if failures == THRESHOLD { millis(PROBE_INTERVAL) } else { 0 };
        let pause = pause.map_or(0, millis).max(interval);
        if failures >= THRESHOLD && pause > 0 {
            let next = now.mono_millis().saturating_add(pause);
            self.next_probe_millis.fetch_max(next, Ordering::AcqRel);
        }
    }

    /// The other side wants no calls of ours for `pause`: none is made, and then one as a probe.
    pub fn hold(&self, pause: Duration, now: Now) {
        let until = now.mono_millis().saturating_add(millis(pause));
        self.held_until_millis.fetch_max(until, Ordering::AcqRel);
        self.failures.fetch_max(THRESHOLD, Ordering::AcqRel);
    }

    fn is_held(&self, now: Now) -> bool {
        now.mono_millis() < self.held_until_millis.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Now {
        Now::at(0, millis * 1_000_000)
    }

    #[test]
    fn five_failures_open_it_one_probe_a_second_goes_through_and_a_success_closes_it() {
        let breaker = Breaker::new();
        for _ in 0..5 {
            assert!(breaker.admits(at(0)));
            breaker.record(false, at(0));
        }
        assert!(!breaker.admits(at(999)));
        assert!(breaker.admits(at(1_000)));
        assert!(!breaker.admits(at(1_000)), "one probe per interval");
        breaker.record(false, at(1_000));
        assert!(!breaker.admits(at(1_999)));
        assert!(breaker.admits(at(2_000)));
        breaker.record(true, at(2_000));
        assert!(breaker.admits(at(2_000)) && breaker.admits(at(2_000)));
    }

    #[test]
    fn a_pause_that_was_asked_for_is_kept_and_a_shorter_one_does_not_cut_it() {
        let breaker = Breaker::new();
        breaker.hold(Duration::from_secs(3), at(0));
        breaker.hold(Duration::from_secs(1), at(0));
        assert!(!breaker.admits(at(2_999)));
        assert!(breaker.admits(at(3_000)) && !breaker.admits(at(3_000)), "one probe");
        breaker.record(true, at(3_000));
        assert!(breaker.admits(at(3_000)) && breaker.admits(at(3_000)));
    }

    #[test]
    fn a_success_that_was_under_way_ends_no_pause() {
        let breaker = Breaker::new();
        assert!(breaker.admits(at(0)) && breaker.admits(at(0)));
        breaker.hold(Duration::from_secs(3), at(10));
        breaker.record(true, at(20));
        breaker.record(true, at(3_009));
        assert!(!breaker.admits(at(3_009)));
        assert!(breaker.admits(at(3_010)) && !breaker.admits(at(3_010)), "one probe");
    }

    #[test]
    fn one_of_several_who_wants_to_be_spared_is_one_failure() {
        let breaker = Breaker::new();
        for _ in 0..20 {
            breaker.fail(Some(Duration::from_secs(7)), at(0));
            assert!(breaker.admits(at(0)));
            breaker.record(true, at(0));
        }
        for _ in 0..5 {
            assert!(breaker.admits(at(0)));
            breaker.fail(Some(Duration::from_secs(7)), at(0));
        }
        assert!(!breaker.admits(at(6_999)) && breaker.admits(at(7_000)));
        breaker.fail(Some(Duration::from_secs(2)), at(7_500));
        assert!(!breaker.admits(at(9_499)) && breaker.admits(at(9_500)), "after the probe too");
        breaker.fail(None, at(9_500));
        assert!(!breaker.admits(at(10_499)) && breaker.admits(at(10_500)));
    }

    #[test]
    fn calls_that_were_under_way_do_not_put_the_probe_off() {
        let breaker = Breaker::new();
        (0..5).for_each(|_| breaker.record(false, at(0)));
        (0..5).for_each(|_| breaker.record(false, at(900)));
        assert!(breaker.admits(at(1_000)));
    }
}
