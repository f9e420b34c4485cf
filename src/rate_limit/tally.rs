//! The arithmetic of the sliding window counter.
//!
//! The requests in the last window's length are estimated as `current + previous * weight`, where
//! the weight of the previous window falls linearly from 1 to 0 while the current one passes
//! (Cloudflare's "counting things, a lot of different things"). All of it is done in integers,
//! scaled by the window's length in milliseconds: at most 2^32 requests times 2^27 ms.

/// Counts of one key against one ceiling.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    pub(super) previous: u64,
    pub(super) current: u64,
    /// `current` as the next window will remember it.
    pub(super) rolled: u64,
    pub(super) ceiling: u64,
}

/// Where in a window a request arrives, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    pub(super) window: u64,
    pub(super) elapsed: u64,
}

impl Phase {
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
    pub(super) const fn fits(self, phase: Phase) -> bool {
        self.estimate(phase) < self.ceiling * phase.window
    }

    /// How many more requests fit now.
    pub(super) const fn spare(self, phase: Phase) -> u64 {
        if self.previous == 0 {
            return self.ceiling.saturating_sub(self.current);
        }
        (self.ceiling * phase.window).saturating_sub(self.estimate(phase)).div_ceil(phase.window)
    }

    /// Milliseconds until one more fits, if nothing else is counted meanwhile.
    pub(super) const fn wait(self, phase: Phase) -> u64 {
        if self.fits(phase) {
            return 0;
        }
        if self.current < self.ceiling {
            let allowed = self.ceiling - self.current;
            return fits_from(self.previous, allowed, phase.window).saturating_sub(phase.elapsed);
        }
        phase.remaining() + fits_from(self.rolled, self.ceiling, phase.window)
    }

    const fn estimate(self, phase: Phase) -> u64 {
        self.previous * phase.previous_weight() + self.current * phase.window
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

    fn tally() -> impl Strategy<Value = (Tally, Phase)> {
        prop_oneof![sized(2_000, 1_000, 100), sized(1 << 31, 1_000_000_000, 86_400)]
    }

    /// Counts of own and of others, a ceiling and a window up to these.
    fn sized(
        counts: u64,
        ceiling: u64,
        seconds: u64,
    ) -> impl Strategy<Value = (Tally, Phase)> + use<> {
        (0..counts, 0..counts, 1..=ceiling, 1..=seconds, 0..seconds * 1_000).prop_map(
            |(previous, current, ceiling, seconds, elapsed)| {
                let window = seconds * 1_000;
                let phase = Phase { window, elapsed: elapsed % window };
                (Tally { previous, current, rolled: current, ceiling }, phase)
            },
        )
    }

    fn later(tally: Tally, phase: Phase, by: u64) -> (Tally, Phase) {
        let at = phase.elapsed + by;
        let moved = Phase { elapsed: at % phase.window, ..phase };
        match at / phase.window {
            0 => (tally, moved),
            1 => (Tally { previous: tally.rolled, current: 0, rolled: 0, ..tally }, moved),
            _ => (Tally { previous: 0, current: 0, rolled: 0, ..tally }, moved),
        }
    }

    proptest! {
        #[test]
        fn spare_is_exactly_how_many_more_fit((tally, phase) in tally()) {
            let spare = tally.spare(phase);
            let with = |more| Tally { current: tally.current + more, ..tally };
            prop_assert!(!with(spare).fits(phase));
            prop_assert!(spare == 0 || with(spare - 1).fits(phase));
        }

        #[test]
        fn waiting_is_exactly_long_enough((tally, phase) in tally()) {
            let wait = tally.wait(phase);
            let (then, there) = later(tally, phase, wait);
            prop_assert!(then.fits(there), "{then:?} {there:?} after {wait}");
            if wait > 0 {
                let (then, there) = later(tally, phase, wait - 1);
                prop_assert!(!then.fits(there));
            }
        }

        #[test]
        fn waiting_longer_never_hurts((tally, phase) in tally(), more in 0_u64..300_000) {
            let (then, there) = later(tally, phase, tally.wait(phase) + more);
            prop_assert!(then.fits(there));
        }
    }
}
