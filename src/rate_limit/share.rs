//! How much of a limit this replica may admit on its own.

use std::num::NonZeroU32;

/// One part of a limit that is split evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(NonZeroU32);

impl Share {
    /// The limit is not split.
    pub const WHOLE: Self = Self(NonZeroU32::MIN);

    /// The share of one among `replicas`; nobody known means alone.
    pub fn one_of(replicas: u32) -> Self {
        Self(NonZeroU32::new(replicas).unwrap_or(NonZeroU32::MIN))
    }

    /// Into how many parts the limit is split.
    pub const fn parts(self) -> u32 {
        self.0.get()
    }

    /// This share of `requests`, rounded up so that it is never nothing.
    pub const fn of(self, requests: u32) -> u32 {
        requests.div_ceil(self.0.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up_and_never_nothing() {
        assert_eq!(Share::WHOLE.of(100), 100);
        assert_eq!(Share::one_of(3).of(100), 34);
        assert_eq!(Share::one_of(10).of(1), 1);
        assert_eq!(Share::one_of(0), Share::WHOLE);
    }
}
