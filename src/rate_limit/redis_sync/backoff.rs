//! When to try again.

use std::time::Duration;

use crate::clock::Now;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// Doubling delays with jitter, so that replicas do not come back all at once.
#[derive(Debug)]
pub(super) struct Backoff {
    delay: Duration,
    failed: Option<(Now, Duration)>,
}

impl Backoff {
    pub(super) const fn new() -> Self {
        Self { delay: FIRST, failed: None }
    }

    pub(super) fn is_due(&self, now: Now) -> bool {
        self.failed.is_none_or(|(at, delay)| now.since(at) >= delay)
    }

    pub(super) fn failed(&mut self, now: Now) {
        let jitter = self.delay.mul_f64(fastrand::f64() / 2.0);
        self.failed = Some((now, self.delay.saturating_sub(jitter)));
        self.delay = self.delay.saturating_mul(2).min(LONGEST);
    }

    pub(super) const fn succeeded(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Now {
        Now::at(0, millis * 1_000_000)
    }

    #[test]
    fn delays_double_up_to_five_seconds_and_start_again_after_success() {
        let mut backoff = Backoff::new();
        assert!(backoff.is_due(at(0)));
        for longest in [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            backoff.failed(at(0));
            assert!(!backoff.is_due(at(longest / 2 - 1)));
            assert!(backoff.is_due(at(longest)));
        }
        backoff.succeeded();
        assert!(backoff.is_due(at(0)));
        backoff.failed(at(0));
        assert!(backoff.is_due(at(50)));
    }
}
