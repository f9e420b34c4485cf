//! The arithmetic of the sliding window counter.
//!
//! The requests in the last window's length are estimated as `current + previous * weight`, where
//! the weight of the previous window falls linearly from 1 to 0 while the current one passes
//! (Cloudflare's "counting things, a lot of different things"). All of it is done in integers,
//! scaled by the window's length in milliseconds: at most 2^22 requests times 2^27 ms.

/// Counts of one key against one ceiling.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    pub(super) previous: u64,
    pub(super) current: u64,
    pub(super) ceiling: u64,
}

/// Where in a window a request arrives, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) window: u64,
    pub(super) elapsed: u64,
}

impl Place {
    /// The weight of the previous window times the window's length. The running millisecond
    /// counts as passed: a client that calls evenly at its limit then always fits.
    const fn previous_weight(self) -> u64 {
        self.window.saturating_sub(self.elapsed).saturating_sub(1)
    }

    /// Until the window ends.
    pub(super) const fn remaining(self) -> u64 {
        self.window.saturating_sub(self.elapsed)
    }
}

impl Tally {
    /// Whether one more request fits: the estimate before it is below the ceiling.
    pub(super) const fn fits(self, place: Place) -> bool {
        self.estimate(place) < self.ceiling * place.window
    }

    /// How many more requests fit now.
    pub(super) const fn spare(self, place: Place) -> u64 {
        if self.previous == 0 {
            return self.ceiling.saturating_sub(self.current);
        }
        (self.ceiling * place.window).saturating_sub(self.estimate(place)).div_ceil(place.window)
    }

    /// Milliseconds until one more fits, if nothing else is counted meanwhile.
    pub(super) const fn wait(self, place: Place) -> u64 {
        if self.fits(place) {
            return 0;
        }
        if self.current < self.ceiling {
            let allowed = self.ceiling - self.current;
            return fits_from(self.previous, allowed, place.window).saturating_sub(place.elapsed);
        }
        place.remaining() + fits_from(self.current, self.ceiling, place.window)
    }

    const fn estimate(self, place: Place) -> u64 {
        self.previous * place.previous_weight() + self.current * place.window
    }
}

/// The first millisecond of a window in which what is left of `previous` is below `allowed`.
const fn fits_from(previous: u64, allowed: u64, window: u64) -> u64 {
    match (window * previous.saturating_sub(allowed)).checked_div(previous) {
        Some(first) => first,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tally() -> impl Strategy<Value = (Tally, Place)> {
        (0_u64..2_000, 0_u64..2_000, 1_u64..1_000, 1_u64..100, 0_u64..100_000).prop_map(
            |(previous, current, ceiling, seconds, elapsed)| {
                let window = seconds * 1_000;
                let place = Place { window, elapsed: elapsed % window };
                (Tally { previous, current, ceiling }, place)
            },
        )
    }

    fn later(tally: Tally, place: Place, by: u64) -> (Tally, Place) {
        let at = place.elapsed + by;
        let moved = Place { elapsed: at % place.window, ..place };
        match at / place.window {
            0 => (tally, moved),
            1 => (Tally { previous: tally.current, current: 0, ..tally }, moved),
            _ => (Tally { previous: 0, current: 0, ..tally }, moved),
        }
    }

    proptest! {
        #[test]
        fn spare_is_exactly_how_many_more_fit((tally, place) in tally()) {
            let spare = tally.spare(place);
            let with = |more| Tally { current: tally.current + more, ..tally };
            prop_assert!(!with(spare).fits(place));
            prop_assert!(spare == 0 || with(spare - 1).fits(place));
        }

        #[test]
        fn waiting_is_exactly_long_enough((tally, place) in tally()) {
            let wait = tally.wait(place);
            let (then, there) = later(tally, place, wait);
            prop_assert!(then.fits(there), "{then:?} {there:?} after {wait}");
            if wait > 0 {
                let (then, there) = later(tally, place, wait - 1);
                prop_assert!(!then.fits(there));
            }
        }

        #[test]
        fn waiting_longer_never_hurts((tally, place) in tally(), more in 0_u64..300_000) {
            let (then, there) = later(tally, place, tally.wait(place) + more);
            prop_assert!(then.fits(there));
        }
    }
}
