//! The only place that reads time. Everything else receives a [`Now`].
//!
//! A `Now` carries both clocks, read together once per request: the monotonic one for durations,
//! windows and cache ages (it never steps), the wall clock for what other parties stamp (`exp`,
//! `nbf`, log lines).

#![expect(clippy::disallowed_methods, reason = "this module is where the clocks are read")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use once_cell::sync::OnceCell;

static ORIGIN: OnceCell<Instant> = OnceCell::new();

/// Added to monotonic readings so that subtracting an age never reaches zero just after start.
const ORIGIN_NANOS: u64 = 3_600 * 1_000_000_000;

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    mono_nanos: u64,
    unix_millis: u64,
}

impl Now {
    /// A reading made by hand, for specifications.
    pub const fn at(unix_millis: u64, mono_nanos: u64) -> Self {
        Self { mono_nanos, unix_millis }
    }

    /// Nanoseconds since an arbitrary point before the first reading of this process.
    pub const fn mono_nanos(self) -> u64 {
        self.mono_nanos
    }

    /// Milliseconds on the monotonic clock; same origin as [`Now::mono_nanos`].
    pub const fn mono_millis(self) -> u64 {
        self.mono_nanos / 1_000_000
    }

    /// What [`Now::mono_millis`] will be when `span` has passed.
    pub fn mono_millis_after(self, span: Duration) -> u64 {
        self.mono_millis().saturating_add(millis(span))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_millis(self) -> u64 {
        self.unix_millis
    }

    /// Whole seconds since the Unix epoch.
    pub const fn unix_secs(self) -> u64 {
        self.unix_millis / 1_000
    }

    /// Monotonic time since `earlier`; zero when `earlier` is later.
    pub const fn since(self, earlier: Now) -> Duration {
        Duration::from_nanos(self.mono_nanos.saturating_sub(earlier.mono_nanos))
    }
}

/// Whole milliseconds of a duration; what does not fit is as good as for ever.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A reading of the clock that timers go by, and that specifications may move.
pub fn timer_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// Where time comes from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Reads both clocks.
    fn now(&self) -> Now;

    /// Time since `earlier`, for which one clock is enough.
    fn since(&self, earlier: Now) -> Duration {
        self.now().since(earlier)
    }
}

/// A clock that many parts share.
pub type SharedClock = Arc<dyn Clock>;

/// The operating system's clocks.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono_nanos: mono_nanos(), unix_millis: millis(unix) }
    }

    fn since(&self, earlier: Now) -> Duration {
        Duration::from_nanos(mono_nanos().saturating_sub(earlier.mono_nanos))
    }
}

fn mono_nanos() -> u64 {
    let origin = *ORIGIN.get_or_init(Instant::now);
    let mono = Instant::now().saturating_duration_since(origin).as_nanos();
    ORIGIN_NANOS.saturating_add(u64::try_from(mono).unwrap_or(u64::MAX))
}

/// A clock that stands still until it is moved; both readings advance together, and the wall clock
/// can be set besides.
#[derive(Debug)]
pub struct ManualClock {
    start_unix_millis: u64,
    elapsed_nanos: AtomicU64,
    wall_step_millis: AtomicI64,
}

impl ManualClock {
    /// Starts at `unix_millis`.
    pub const fn starting_at(unix_millis: u64) -> Self {
        Self {
            start_unix_millis: unix_millis,
            elapsed_nanos: AtomicU64::new(0),
            wall_step_millis: AtomicI64::new(0),
        }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.elapsed_nanos.fetch_add(nanos, Ordering::SeqCst);
    }

    /// Sets the wall clock alone, ahead or back, as an administrator or a resumed machine does.
    pub fn step_wall(&self, by_millis: i64) {
        self.wall_step_millis.fetch_add(by_millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        let elapsed = self.elapsed_nanos.load(Ordering::SeqCst);
        let unix_millis = self.start_unix_millis.saturating_add(elapsed / 1_000_000);
        Now {
            mono_nanos: ORIGIN_NANOS.saturating_add(elapsed),
            unix_millis: unix_millis
                .saturating_add_signed(self.wall_step_millis.load(Ordering::SeqCst)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_both_readings_together() {
        let clock = ManualClock::starting_at(1_000_000);
        let before = clock.now();
        clock.advance(Duration::from_millis(2_500));
        let after = clock.now();
        assert_eq!(after.since(before), Duration::from_millis(2_500));
        assert_eq!(after.unix_millis() - before.unix_millis(), 2_500);
        assert_eq!(before.mono_millis_after(Duration::from_millis(2_500)), after.mono_millis());
    }

    #[test]
    fn a_step_moves_the_wall_clock_alone() {
        let clock = ManualClock::starting_at(1_000_000);
        let before = clock.now();
        clock.step_wall(-3_000);
        assert_eq!((clock.now().unix_millis(), clock.since(before)), (997_000, Duration::ZERO));
    }

    #[test]
    fn the_system_clock_never_runs_backwards() {
        let first = SystemClock.now();
        let second = SystemClock.now();
        assert!(second.mono_nanos() >= first.mono_nanos());
        assert!(SystemClock.since(first) >= second.since(first));
    }
}
