//! Redis' clock beside the time line of the windows.

use std::time::Duration;

use prometheus::{Gauge, IntCounter};

use crate::clock::Now;

/// What the network, scheduling and drift do not explain.
const JUMP_MILLIS: u64 = 1_000;

/// Jumps are told once in so long, however often a clock jumps.
const SILENCE: Duration = Duration::from_mins(1);

/// Notices when Redis' clock jumps.
#[derive(Debug)]
pub(super) struct Skew {
    jumps: IntCounter,
    gauge: Gauge,
    ahead_millis: i64,
    told: Option<Now>,
}

impl Skew {
    pub(super) const fn new(jumps: IntCounter, gauge: Gauge) -> Self {
        Self { jumps, gauge, ahead_millis: 0, told: None }
    }

    /// Takes note of how far Redis' clock is ahead; true when it has jumped since the last time.
    pub(super) fn note(&mut self, ahead_millis: i64, now: Now) -> bool {
        let has_jumped = ahead_millis.abs_diff(self.ahead_millis) > JUMP_MILLIS;
        self.ahead_millis = ahead_millis;
        let ahead = Duration::from_millis(ahead_millis.unsigned_abs()).as_secs_f64();
        let ahead_seconds = if ahead_millis < 0 { -ahead } else { ahead };
        self.gauge.set(ahead_seconds);
        if !has_jumped {
            return false;
        }
        self.jumps.inc();
        if self.told.is_none_or(|at| now.since(at) >= SILENCE) {
            self.told = Some(now);
            tracing::warn!(
                ahead_seconds,
                effect = "windows follow by 10 ms a second, so that nobody gets a fresh one; \
                          replicas that start meanwhile follow at once, and count apart until then",
                hint = "compare the clocks of the Redis servers",
                "the clock of Redis has jumped"
            );
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::testing::Log;

    #[test]
    fn a_jump_is_counted_each_time_and_told_once_a_minute() {
        let log = Log::capture();
        let counter = IntCounter::new("jumps", "Jumps.").unwrap();
        let mut skew = Skew::new(counter, Gauge::new("ahead", "Ahead.").unwrap());
        let at = |seconds: u64| Now::at(0, seconds * 1_000_000_000);
        for (seconds, ahead_millis, has_jumped) in [
            (0, 0, false),
            (1, 1_000, false),
            (2, 0, false),
            (3, 3_600_000, true),
            (4, 3_599_990, false),
            (5, -3_600_000, true),
            (6, 0, true),
            (66, i64::MAX, true),
            (67, i64::MIN, true),
        ] {
            assert_eq!(skew.note(ahead_millis, at(seconds)), has_jumped, "{seconds}");
        }
        assert_eq!(skew.jumps.get(), 5);
        assert_eq!(log.lines("the clock of Redis has jumped"), 2);
        assert!(skew.gauge.get() < -1e15);
    }
}
