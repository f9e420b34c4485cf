//! A circuit breaker: after consecutive failures, one probe per interval instead of every call.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Now;

/// Counts failures in a row; lock-free.
#[derive(Debug)]
pub struct Breaker {
    threshold: u32,
    interval_millis: u64,
    failures: AtomicU32,
    next_probe_millis: AtomicU64,
}

impl Breaker {
    /// Opens after `threshold` failures in a row, then lets one call through per `interval`.
    pub fn new(threshold: u32, interval: Duration) -> Self {
        Self {
            threshold,
            interval_millis: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            failures: AtomicU32::new(0),
            next_probe_millis: AtomicU64::new(0),
        }
    }

    /// Whether a call may be made now.
    pub fn admits(&self, now: Now) -> bool {
        if self.failures.load(Ordering::Acquire) < self.threshold {
            return true;
        }
        let due = self.next_probe_millis.load(Ordering::Acquire);
        let next = now.mono_millis().saturating_add(self.interval_millis);
        now.mono_millis() >= due
            && self
                .next_probe_millis
                .compare_exchange(due, next, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    /// Tells how an admitted call ended.
    pub fn record(&self, succeeded: bool, now: Now) {
        if succeeded {
            self.failures.store(0, Ordering::Release);
        } else if self.failures.fetch_add(1, Ordering::AcqRel).saturating_add(1) == self.threshold {
            let next = now.mono_millis().saturating_add(self.interval_millis);
            self.next_probe_millis.fetch_max(next, Ordering::AcqRel);
        }
    }

    /// The other side wants no calls for `pause`: opens at once, and the next probe comes after it.
    pub fn hold(&self, pause: Duration, now: Now) {
        let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let until = now.mono_millis().saturating_add(millis);
        self.next_probe_millis.fetch_max(until, Ordering::AcqRel);
        self.failures.fetch_max(self.threshold, Ordering::AcqRel);
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
        let breaker = Breaker::new(5, Duration::from_secs(1));
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
        let breaker = Breaker::new(5, Duration::from_secs(1));
        breaker.hold(Duration::from_secs(3), at(0));
        breaker.hold(Duration::from_secs(1), at(0));
        assert!(!breaker.admits(at(2_999)));
        assert!(breaker.admits(at(3_000)) && !breaker.admits(at(3_000)), "one probe");
        breaker.record(true, at(3_000));
        assert!(breaker.admits(at(3_000)) && breaker.admits(at(3_000)));
    }
}
