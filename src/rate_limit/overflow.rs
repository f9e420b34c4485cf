//! Counting keys that the full table has no room for.

use parking_lot::RwLock;
use pingora_limits::estimator::Estimator;

use super::counts::Counts;
use super::epoch::EpochMillis;
use super::key::Probe;
use super::limit::Limit;
use super::share::Share;
use super::tally::{Place, Tally};
use super::window::{Exceeded, Standing};

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

const ROWS: usize = 4;
const SLOTS: usize = 65_536;

impl Overflow {
    /// Counts one request of `key` if it fits.
    pub(super) fn charge(
        &self,
        limit: &Limit,
        share: Share,
        key: Probe<'_>,
        at: EpochMillis,
    ) -> Result<Standing, Exceeded> {
        let (index, elapsed) = limit.position(at);
        self.open(index);
        let guard = self.sketch.read();
        let Some(sketch) = guard.as_ref() else {
            return Err(Exceeded { limit: limit.requests(), retry_after_secs: 1 });
        };
        let place = sketch.place(limit, index, elapsed);
        let previous = count(sketch.previous.get(key));
        // Counted before it is known to fit: two requests at once must not both take the last place.
        let counted = count(sketch.current.incr(key, 1));
        let ceiling = share.of(limit.requests()).into();
        let before = Tally { previous, current: counted.saturating_sub(1), ceiling };
        if !before.fits(place) {
            sketch.current.decr(key, 1);
            return Err(Exceeded::for_millis(limit, before.wait(place)));
        }
        let after = Tally { current: counted, ..before };
        Ok(Standing::new(limit, place, after.spare(place), || after.wait(place)))
    }

    /// What [`Overflow::charge`] would say before it counts.
    pub(super) fn peek(
        &self,
        limit: &Limit,
        share: Share,
        key: Probe<'_>,
        at: EpochMillis,
    ) -> Result<Standing, Exceeded> {
        let (index, elapsed) = limit.position(at);
        let counts = self.counts(key, index);
        let place = Place { window: limit.window_millis(), elapsed };
        let tally = Tally {
            previous: counts.previous().into(),
            current: counts.current().into(),
            ceiling: share.of(limit.requests()).into(),
        };
        if !tally.fits(place) {
            return Err(Exceeded::for_millis(limit, tally.wait(place)));
        }
        Ok(Standing::new(limit, place, tally.spare(place), || tally.wait(place)))
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

    fn place(&self, limit: &Limit, index: u64, elapsed: u64) -> Place {
        let elapsed = if self.index > index { 0 } else { elapsed };
        Place { window: limit.window_millis(), elapsed }
    }
}

impl std::fmt::Debug for Overflow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overflow").field("in_use", &self.is_in_use()).finish_non_exhaustive()
    }
}

/// A negative estimate is a decrement that overtook its increment, or an overflow beyond 2^63.
fn count(estimate: isize) -> u64 {
    u64::try_from(estimate).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rate_limit::{KeyKind, KeyRef};

    const START: u64 = 1_700_000_000_000 / 60_000 * 60_000;

    fn limit() -> Limit {
        Limit::new("default", KeyKind::ClientIp, 100, Duration::from_mins(1)).unwrap()
    }

    fn admitted(overflow: &Overflow, key: &str, at: u64, requests: usize) -> usize {
        let charge =
            || overflow.charge(&limit(), Share::WHOLE, KeyRef::Text(key).probe(), EpochMillis(at));
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
