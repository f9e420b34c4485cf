//! Stops asking an endpoint that keeps failing, except for one probe a second.

use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Now;

const FAILURES_TO_OPEN: u32 = 5;
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    last_try: Option<Now>,
}

impl Breaker {
    /// Whether to make a call; a yes while open is the probe.
    pub(super) fn permits(&self, now: Now) -> bool {
        let mut state = self.state.lock();
        let is_due = state.last_try.is_none_or(|last| now.since(last) >= PROBE_INTERVAL);
        let permits = state.failures < FAILURES_TO_OPEN || is_due;
        if permits {
            state.last_try = Some(now);
        }
        permits
    }

    pub(super) fn succeeded(&self) {
        self.state.lock().failures = 0;
    }

    pub(super) fn failed(&self) {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Now {
        Now::at(0, millis * 1_000_000)
    }

    #[test]
    fn five_failures_in_a_row_leave_one_probe_a_second() {
        let breaker = Breaker::default();
        for _ in 0..5 {
            assert!(breaker.permits(at(0)));
            breaker.failed();
        }
        assert!(!breaker.permits(at(999)));
        assert!(breaker.permits(at(1_000)));
        assert!(!breaker.permits(at(1_001)));
        breaker.succeeded();
        assert!(breaker.permits(at(1_002)));
    }

    #[test]
    fn a_success_starts_the_count_again() {
        let breaker = Breaker::default();
        for _ in 0..4 {
            breaker.failed();
        }
        breaker.succeeded();
        breaker.failed();
        assert!(breaker.permits(at(0)) && breaker.permits(at(0)));
    }
}
