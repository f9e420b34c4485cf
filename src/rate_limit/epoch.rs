//! The time line that windows are aligned to.

use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;

use crate::clock::Now;

/// Of the time between two comparisons, the part by which the time line may move.
const SLEW: u64 = 100;

/// What counts of that time: after an absence of Redis there is no leap either.
const SLEWED_MILLIS: u64 = 1_000;

/// Differences up to this are rounding and drift between two measurements.
const CLOCK_GRAIN_MILLIS: u64 = 5;

/// Milliseconds since the Unix epoch as the replicas agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochMillis(pub u64);

/// Turns a reading of the monotonic clock into epoch time.
///
/// The wall clock is read once, at the start, and Redis' time is taken over once, when it is first
/// known. A step of either afterwards must not give clients fresh windows or lock them out: the time
/// line follows Redis' so slowly that no limit is worth a hundredth more for it.
#[derive(Debug)]
pub(super) struct Epoch {
    offset_millis: AtomicI64,
    /// When it was last compared with Redis' time, on the monotonic clock.
    compared: Mutex<Option<u64>>,
}

impl Epoch {
    pub(super) fn starting_at(now: Now) -> Self {
        let offset = signed(now.unix_millis()).saturating_sub(signed(now.mono_millis()));
        Self { offset_millis: AtomicI64::new(offset), compared: Mutex::new(None) }
    }

    pub(super) fn at(&self, now: Now) -> EpochMillis {
        let offset = self.offset_millis.load(Ordering::Relaxed);
        EpochMillis(now.mono_millis().saturating_add_signed(offset))
    }

    /// Takes over a server's time that was read between `sent` and `received`, the first time; later
    /// moves towards it. An offset that the measurement cannot tell from the present one is left alone,
    /// so that windows do not jitter. Returns by how many milliseconds the server was ahead of a time
    /// line that was aligned before.
    pub(super) fn align(&self, server_millis: u64, sent: Now, received: Now) -> i64 {
        let half_trip = received.mono_millis().saturating_sub(sent.mono_millis()) / 2;
        let read_at = sent.mono_millis().saturating_add(half_trip);
        let measured = signed(server_millis).saturating_sub(signed(read_at));
        let present = self.offset_millis.load(Ordering::Relaxed);
        let before = self.compared.lock().replace(read_at);
        let ahead = measured.saturating_sub(present);
        if ahead.unsigned_abs() <= half_trip.saturating_add(CLOCK_GRAIN_MILLIS) {
            return 0;
        }
        let Some(before) = before else {
            self.offset_millis.store(measured, Ordering::Relaxed);
            return 0;
        };
        let step = signed(read_at.saturating_sub(before).min(SLEWED_MILLIS) / SLEW);
        let moved = present.saturating_add(ahead.clamp(-step, step));
        self.offset_millis.store(moved, Ordering::Relaxed);
        ahead
    }
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_step_of_the_wall_clock_does_not_move_the_windows() {
        let epoch = Epoch::starting_at(Now::at(1_000_000, 500 * MS));
        let stepped_back = Now::at(1, 1_500 * MS);
        assert_eq!(epoch.at(stepped_back), EpochMillis(1_001_000));
    }

    #[test]
    fn the_servers_time_is_taken_over_at_the_middle_of_the_round_trip() {
        let epoch = Epoch::starting_at(Now::at(1_000_000, 0));
        epoch.align(2_000_000, Now::at(0, 100 * MS), Now::at(0, 120 * MS));
        assert_eq!(epoch.at(Now::at(0, 110 * MS)), EpochMillis(2_000_000));
    }

    #[test]
    fn an_offset_within_the_uncertainty_stays() {
        let epoch = Epoch::starting_at(Now::at(1_000_000, 0));
        epoch.align(1_000_012, Now::at(0, 0), Now::at(0, 20 * MS));
        assert_eq!(epoch.at(Now::at(0, 0)), EpochMillis(1_000_000));
    }

    #[test]
    fn a_server_that_jumps_is_followed_by_a_hundredth_of_the_time_that_passes() {
        for (jump, step) in [(3_600_000_i64, 10), (-3_600_000, -10), (8, 8), (-8, -8)] {
            let start = 1_700_000_000_000_u64;
            let epoch = Epoch::starting_at(Now::at(start, 0));
            let at = |millis: u64| Now::at(0, millis * MS);
            assert_eq!(epoch.align(start, at(0), at(0)), 0);
            let server = (start + 1_000).saturating_add_signed(jump);
            let then = start.saturating_add_signed(step);
            assert_eq!(epoch.align(server, at(1_000), at(1_000)), jump);
            assert_eq!(epoch.at(at(1_000)), EpochMillis(then + 1_000));
            // However often somebody who speaks as Redis is asked again at once.
            epoch.align(server, at(1_000), at(1_000));
            assert_eq!(epoch.at(at(1_000)), EpochMillis(then + 1_000));
        }
    }

    proptest! {
        #[test]
        fn whatever_the_server_says_the_time_line_moves_by_a_hundredth_more_or_less(
            says in prop::collection::vec((0_u64..10_000, any::<u64>(), 0_u64..200), 1..50),
        ) {
            let mut mono = 0;
            let epoch = Epoch::starting_at(Now::at(1_000_000_000, 0));
            epoch.align(2_000_000_000, Now::at(0, 0), Now::at(0, 0));
            for (pause, server, trip) in says {
                let before = signed(epoch.at(Now::at(0, mono * MS)).0);
                mono += pause;
                let (sent, received) = (Now::at(0, mono * MS), Now::at(0, (mono + trip) * MS));
                epoch.align(server, sent, received);
                let passed = signed(epoch.at(sent).0) - before;
                let most = (pause + trip).min(SLEWED_MILLIS + trip) / SLEW;
                prop_assert!(passed.abs_diff(signed(pause)) <= most, "{passed} {pause} {most}");
            }
        }

        #[test]
        fn a_server_that_is_ahead_is_reached_and_then_kept(ahead in -60_000_i64..60_000) {
            let epoch = Epoch::starting_at(Now::at(1_000_000_000, 0));
            epoch.align(1_000_000_000, Now::at(0, 0), Now::at(0, 0));
            let mut left = ahead;
            for second in 1..=6_001_u64 {
                let now = Now::at(0, second * 1_000 * MS);
                let server = (1_000_000_000 + second * 1_000).saturating_add_signed(ahead);
                left = epoch.align(server, now, now);
            }
            prop_assert_eq!(left, 0);
        }
    }
}
