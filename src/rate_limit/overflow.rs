//! Counting keys that the full table has no room for.

use parking_lot::RwLock;
use pingora_limits::estimator::Estimator;

use super::counts::Counts;
use super::epoch::EpochMillis;
use super::key::Probe;
use super::limit::Allowance;
use super::share::Share;
use super::tally::{Phase, Tally};
use super::window::{Exceeded, Standing};

const ROWS: usize = 4;
const SLOTS: usize = 65_536;

const LARGEST_COUNT: u64 = 1 << 31;

/// One limit's sketch: two of pingora-limits' estimators, one per window.
///
/// It never counts too few. It counts too many when keys collide in all rows: with 100,000 keys per
/// window by about 40 % on average, so a key may be refused early here, and only here. 4 MiB while
/// in use, nothing otherwise.
#[derive(Default)]
pub(super) struct Overflow {
    sketch: RwLock<Option<Sketch>>,
}

struct Sketch {
    index: u64,
    previous: Estimator,
    current: Estimator,
}

impl Overflow {
    /// Counts one request of `key` if it fits.
    pub(super) fn charge(
        &self,
        allowance: &Allowance,
        share: Share,
        key: Probe<'_>,
        at: EpochMillis,
    ) -> Result<Standing, Exceeded> {
        let (index, elapsed) = allowance.position(at);
        self.open(index);
        let guard = self.sketch.read();
        let Some(sketch) = guard.as_ref() else {
            return Err(Exceeded { retry_after_secs: 1 });
        };
        let phase = sketch.phase(allowance, index, elapsed);
        let previous = count(sketch.previous.get(key));
        // Counted before it is known to fit: two requests at once must not both take the last place.
        let counted = count(sketch.current.incr(key, 1));
        let ceiling = share.of(allowance.requests()).into();
        let current = counted.saturating_sub(1);
        let before = Tally { previous, current, rolled: current, ceiling };
        if !before.fits(phase) {
            sketch.current.decr(key, 1);
            return Err(Exceeded::for_millis(before.wait(phase)));
        }
        let after = Tally { current: counted, rolled: counted, ..before };
        Ok(Standing::new(phase, after.spare(phase), || after.wait(phase)))
    }

    /// What [`Overflow::charge`] would say before it counts.
    pub(super) fn peek(
        &self,
        allowance: &Allowance,
        share: Share,
        key: Probe<'_>,
        at: EpochMillis,
    ) -> Result<Standing, Exceeded> {
        let (index, elapsed) = allowance.position(at);
        let counts = self.counts(key, index);
        let phase = Phase { window: allowance.window_millis(), elapsed };
        let tally = Tally {
            previous: counts.previous().into(),
            current: counts.current().into(),
            rolled: counts.rolled().into(),
            ceiling: share.of(allowance.requests()).into(),
        };
        if !tally.fits(phase) {
            return Err(Exceeded::for_millis(tally.wait(phase)));
        }
        Ok(Standing::new(phase, tally.spare(phase), || tally.wait(phase)))
    }

    /// What a key that moves into the table takes with it.
    pub(super) fn counts(&self, key: Probe<'_>, index: u64) -> Counts {
        match self.sketch.read().as_ref() {
            None => Counts::new(index, 0, 0),
            Some(sketch) => {
                let (previous, current) = (sketch.previous.get(key), sketch.current.get(key));
                Counts::new(sketch.index, count(previous), count(current)).seen_from(index)
            }
        }
    }

    /// Frees the sketch when nothing was counted in this window and the one before. A sketch from
    /// the future means that the time line was set back; its counts become the previous ones.
    pub(super) fn settle(&self, index: u64) {
        let settled = match self.sketch.read().as_ref() {
            None => true,
            Some(sketch) => sketch.index.abs_diff(index) <= 1,
        };
        if settled {
            return;
        }
        let mut guard = self.sketch.write();
        match guard.as_mut() {
            Some(sketch) if sketch.index > index => {
                sketch.advance();
                sketch.index = index;
            }
            _ => *guard = None,
        }
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.sketch.read().is_some()
    }

    /// Makes the sketch stand at `index` or later.
    fn open(&self, index: u64) {
        if self.sketch.read().as_ref().is_some_and(|sketch| sketch.index >= index) {
            return;
        }
        let mut guard = self.sketch.write();
        let sketch = guard.get_or_insert_with(|| Sketch::starting_at(index));
        if sketch.index >= index {
            return;
        }
        if sketch.index + 1 < index {
            sketch.current.reset();
        }
        sketch.advance();
        sketch.index = index;
    }
}

impl Sketch {
    fn starting_at(index: u64) -> Self {
        let estimator = || Estimator::new(ROWS, SLOTS);
        Self { index, previous: estimator(), current: estimator() }
    }

    fn advance(&mut self) {
        std::mem::swap(&mut self.previous, &mut self.current);
        self.current.reset();
    }

    fn phase(&self, allowance: &Allowance, index: u64, elapsed: u64) -> Phase {
        let elapsed = if self.index > index { 0 } else { elapsed };
        Phase { window: allowance.window_millis(), elapsed }
    }
}

impl std::fmt::Debug for Overflow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overflow").field("in_use", &self.is_in_use()).finish_non_exhaustive()
    }
}

/// A negative estimate is a decrement that overtook its increment. A large one is beyond every limit
/// whatever it is, and must not leave the range of the arithmetic.
fn count(estimate: isize) -> u64 {
    u64::try_from(estimate).unwrap_or_default().min(LARGEST_COUNT)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rate_limit::{KeyKind, KeyRef, Limit};

    const START: u64 = 1_700_000_000_000 / 60_000 * 60_000;

    fn allowance(requests: u32) -> Allowance {
        let limit = Limit::new("default", KeyKind::ClientIp, requests, Duration::from_mins(1));
        limit.unwrap().allowance().unwrap().clone()
    }

    fn admitted(overflow: &Overflow, key: &str, at: u64, requests: usize) -> usize {
        let (allowance, key) = (allowance(100), KeyRef::Text(key).probe());
        let charge = || overflow.charge(&allowance, Share::WHOLE, key, EpochMillis(at));
        (0..requests).filter(|_| charge().is_ok()).count()
    }

    #[test]
    fn a_lone_key_gets_exactly_its_limit() {
        let overflow = Overflow::default();
        assert_eq!(admitted(&overflow, "alice", START, 500), 100);
        assert_eq!(admitted(&overflow, "alice", START + 60_000, 500), 1);
        assert_eq!(admitted(&overflow, "alice", START + 180_000, 500), 100);
    }

    #[test]
    fn the_largest_limit_is_counted_to_its_last_request() {
        let (overflow, allowance) = (Overflow::default(), allowance(Limit::MAX_REQUESTS));
        let (index, _) = allowance.position(EpochMillis(START));
        let key = KeyRef::Text("alice").probe();
        let charge = |at| overflow.charge(&allowance, Share::WHOLE, key, EpochMillis(START + at));
        overflow.open(index);
        let before = isize::try_from(Limit::MAX_REQUESTS - 2).unwrap();
        overflow.sketch.read().as_ref().unwrap().current.incr(key, before);
        assert_eq!(charge(0).unwrap().remaining, 1);
        assert_eq!(charge(0).unwrap().remaining, 0);
        assert!(charge(0).is_err());
        // Half of the window and the running millisecond have passed, and this one is counted.
        assert_eq!(charge(90_000).unwrap().remaining, 500_016_666);
    }

    #[test]
    fn a_sketch_that_is_not_used_is_freed() {
        let overflow = Overflow::default();
        admitted(&overflow, "alice", START, 1);
        overflow.settle(START / 60_000 + 1);
        assert!(overflow.is_in_use());
        overflow.settle(START / 60_000 + 2);
        assert!(!overflow.is_in_use());
    }

    #[test]
    fn a_time_line_that_was_set_back_forgives_nothing() {
        let overflow = Overflow::default();
        admitted(&overflow, "alice", START, 100);
        let earlier = START - 3_600_000;
        overflow.settle(earlier / 60_000);
        assert_eq!(admitted(&overflow, "alice", earlier, 500), 1);
        assert_eq!(admitted(&overflow, "alice", earlier + 120_000, 500), 100);
    }
}
