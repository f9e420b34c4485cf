//! Until when a verified token is remembered.

use crate::clock::Now;

/// When a token has to be verified again: at the earliest of three ends.
///
/// Two clocks: the wall clock for what the issuer stamped, the monotonic one for what is believed
/// for a while, so that a wall clock that is set back prolongs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief {
    /// `exp` in milliseconds since the epoch; `u64::MAX` where an issuer names none.
    pub expires_unix_millis: u64,
    /// When its key, or the issuer's word for it, is too old; on the monotonic clock.
    pub until_mono_millis: u64,
    /// The [`Authenticator::generation`](super::Authenticator::generation) that it was verified
    /// under.
    pub generation: u64,
}

impl Belief {
    /// Whether the token is good while the keys are those of `generation`.
    pub const fn holds(self, now: Now, generation: u64) -> bool {
        self.generation == generation
            && now.unix_millis() < self.expires_unix_millis
            && now.mono_millis() < self.until_mono_millis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BELIEF: Belief =
        Belief { expires_unix_millis: 5_000, until_mono_millis: 3_000, generation: 1 };

    const fn at(unix_millis: u64, mono_millis: u64) -> Now {
        Now::at(unix_millis, mono_millis * 1_000_000)
    }

    #[test]
    fn each_of_the_three_ends_is_one() {
        assert!(BELIEF.holds(at(4_999, 2_999), 1));
        for (now, generation) in
            [(at(5_000, 2_999), 1), (at(4_999, 3_000), 1), (at(4_999, 2_999), 2)]
        {
            assert!(!BELIEF.holds(now, generation), "{now:?} {generation}");
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_back_prolongs_no_belief() {
        assert!(!BELIEF.holds(at(0, 3_000), 1));
    }
}
