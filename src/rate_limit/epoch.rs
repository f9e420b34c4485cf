//! The time line that windows are aligned to.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::Now;

/// Milliseconds since the Unix epoch as the replicas agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochMillis(pub u64);

/// Turns a reading of the monotonic clock into epoch time.
///
/// The wall clock is read once, at the start: a step of it during the run must not give a client a
/// fresh window or lock it out. Only Redis' time moves the offset afterwards.
#[derive(Debug)]
pub(super) struct Epoch {
    offset_millis: AtomicI64,
}

impl Epoch {
    pub(super) fn starting_at(now: Now) -> Self {
        let offset = signed(now.unix_millis()).saturating_sub(signed(now.mono_millis()));
        Self { offset_millis: AtomicI64::new(offset) }
    }

    pub(super) fn at(&self, now: Now) -> EpochMillis {
        let offset = self.offset_millis.load(Ordering::Relaxed);
        EpochMillis(now.mono_millis().saturating_add_signed(offset))
    }

    /// Takes over a server's time that was read between `sent` and `received`. An offset that the
    /// measurement cannot tell from the present one is left alone, so that windows do not jitter.
    pub(super) fn align(&self, server_millis: u64, sent: Now, received: Now) {
        let half_trip = received.mono_millis().saturating_sub(sent.mono_millis()) / 2;
        let read_at = sent.mono_millis().saturating_add(half_trip);
        let measured = signed(server_millis).saturating_sub(signed(read_at));
        let present = self.offset_millis.load(Ordering::Relaxed);
        if measured.abs_diff(present) > half_trip.saturating_add(CLOCK_GRAIN_MILLIS) {
            self.offset_millis.store(measured, Ordering::Relaxed);
        }
    }
}

/// Differences up to this are rounding and drift between two measurements.
const CLOCK_GRAIN_MILLIS: u64 = 5;

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
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
}
