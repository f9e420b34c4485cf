//! Two neighbouring windows' counts in one machine word.

const INDEX_BITS: u32 = 10;
/// Of a previous count: these bits of it, and by how many it has to be shifted.
const DIGIT_BITS: u32 = 20;
const SHIFT_BITS: u32 = 4;
const PREVIOUS_BITS: u32 = SHIFT_BITS + DIGIT_BITS;
const CURRENT_BITS: u32 = 30;

/// Counts of the window `index` and of the one before it.
///
/// The current count is exact. The previous one is exact up to 2^20 and rounded up by less than two in a
/// million beyond, which can only refuse. The index is kept modulo 2^10: comparisons are exact while the
/// two sides are less than 512 windows apart. The sweep moves every window on about once a second, and the
/// time line, once it is aligned, never jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    index: u32,
    previous: u32,
    current: u32,
}

impl Counts {
    /// The largest count; more is remembered as this.
    pub(super) const MAX: u32 = (1 << CURRENT_BITS) - 1;

    pub(super) fn new(index: u64, previous: u64, current: u64) -> Self {
        let previous = rounded_up(cap(previous));
        Self { index: low_bits(index, INDEX_BITS), previous, current: cap(current) }
    }

    pub(super) fn unpack(bits: u64) -> Self {
        let digits = low_bits(bits >> CURRENT_BITS, DIGIT_BITS);
        let shift = low_bits(bits >> (CURRENT_BITS + DIGIT_BITS), SHIFT_BITS);
        Self {
            index: low_bits(bits >> (CURRENT_BITS + PREVIOUS_BITS), INDEX_BITS),
            previous: digits << shift,
            current: low_bits(bits, CURRENT_BITS),
        }
    }

    pub(super) fn pack(self) -> u64 {
        let shift = excess(self.previous);
        u64::from(self.index) << (CURRENT_BITS + PREVIOUS_BITS)
            | u64::from(shift) << (CURRENT_BITS + DIGIT_BITS)
            | u64::from(self.previous >> shift) << CURRENT_BITS
            | u64::from(self.current)
    }

    pub(super) const fn previous(self) -> u32 {
        self.previous
    }

    pub(super) const fn current(self) -> u32 {
        self.current
    }

    /// What [`Counts::current`] will be as the previous count.
    pub(super) const fn rolled(self) -> u32 {
        rounded_up(self.current)
    }

    pub(super) const fn is_zero(self) -> bool {
        self.previous == 0 && self.current == 0
    }

    pub(super) fn is_of(self, index: u64) -> bool {
        self.behind(index) == 0
    }

    /// The whole index of these counts, which lies near `index`.
    pub(super) fn index_near(self, index: u64) -> u64 {
        index.saturating_add_signed(-i64::from(self.behind(index)))
    }

    /// Whether these counts belong to a later window than `index`.
    pub(super) fn is_ahead_of(self, index: u64) -> bool {
        self.behind(index) < 0
    }

    /// These counts seen from the window `index`. A request that read its clock before another one
    /// opened the next window counts into that next window: an index never steps back here.
    pub(super) fn seen_from(self, index: u64) -> Self {
        match self.behind(index) {
            ..=0 => self,
            1 => Self::new(index, self.current.into(), 0),
            _ => Self::new(index, 0, 0),
        }
    }

    /// Like [`Counts::seen_from`], but counts from further ahead than a late request explains are
    /// brought back: the time line itself was set back. Nothing is forgiven, nobody is locked out
    /// for longer than a window.
    pub(super) fn settled_at(self, index: u64) -> Self {
        match self.behind(index) {
            ..-1 => Self::new(index, self.previous.max(self.current).into(), 0),
            _ => self.seen_from(index),
        }
    }

    pub(super) fn plus_one(self) -> Self {
        Self { current: self.current.saturating_add(1).min(Self::MAX), ..self }
    }

    /// The larger of both in each window. Others only ever count up, so this is the newer
    /// knowledge, whatever the order in which answers arrive.
    pub(super) fn merged(self, newer: Self) -> Self {
        let ahead = sign_extend(self.index.wrapping_sub(newer.index));
        let (newest, older) = if ahead >= 0 { (self, newer) } else { (newer, self) };
        let older = older.seen_from(newest.index.into());
        Self {
            index: newest.index,
            previous: newest.previous.max(older.previous),
            current: newest.current.max(older.current),
        }
    }

    /// Windows from these counts to `index`; negative when these are ahead.
    fn behind(self, index: u64) -> i32 {
        sign_extend(low_bits(index, INDEX_BITS).wrapping_sub(self.index))
    }
}

/// Reads the bits of an index as a signed number.
const fn sign_extend(difference: u32) -> i32 {
    (difference << (u32::BITS - INDEX_BITS)).cast_signed() >> (u32::BITS - INDEX_BITS)
}

fn low_bits(bits: u64, count: u32) -> u32 {
    u32::try_from(bits & ((1 << count) - 1)).unwrap_or(u32::MAX)
}

/// By how many bits a count is longer than what is kept of it.
const fn excess(count: u32) -> u32 {
    (u32::BITS - count.leading_zeros()).saturating_sub(DIGIT_BITS)
}

/// The next count, or this one, of which all that is not kept is zero.
const fn rounded_up(count: u32) -> u32 {
    count.next_multiple_of(1 << excess(count))
}

fn cap(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).min(Counts::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts() -> impl Strategy<Value = Counts> {
        let count = || prop_oneof![0_u64..1 << 21, 0_u64..1 << 31];
        (1_000_000_u64..1_000_003, count(), count())
            .prop_map(|(index, previous, current)| Counts::new(index, previous, current))
    }

    proptest! {
        #[test]
        fn packing_loses_nothing(counts in counts()) {
            prop_assert_eq!(Counts::unpack(counts.pack()), counts);
        }

        #[test]
        fn a_count_that_becomes_the_previous_one_is_never_forgiven(count in 0..=Counts::MAX) {
            let previous = Counts::new(7, 0, count.into()).seen_from(8).previous();
            prop_assert!(previous >= count);
            let most = if count < 1 << 20 { 0 } else { u64::from(count) * 2 / 1_000_000 };
            prop_assert!(u64::from(previous - count) <= most, "{count} {previous}");
        }

        #[test]
        fn merging_is_idempotent_and_commutative(a in counts(), b in counts()) {
            prop_assert_eq!(a.merged(a), a);
            prop_assert_eq!(a.merged(b), b.merged(a));
            prop_assert_eq!(a.merged(b).merged(b), a.merged(b));
        }

        #[test]
        fn merging_is_associative(a in counts(), b in counts(), c in counts()) {
            prop_assert_eq!(a.merged(b).merged(c), a.merged(b.merged(c)));
        }
    }

    #[test]
    fn the_current_count_becomes_the_previous_one_and_then_nothing() {
        let counts = Counts::new(7, 1, 2);
        assert_eq!(counts.seen_from(7), counts);
        assert_eq!(counts.seen_from(8), Counts::new(8, 2, 0));
        assert_eq!(counts.seen_from(9), Counts::new(9, 0, 0));
    }

    #[test]
    fn an_index_that_steps_back_is_the_same_window() {
        let counts = Counts::new(7, 1, 2);
        assert_eq!(counts.seen_from(6), counts);
        assert_eq!(counts.seen_from(1), counts);
        assert_eq!(counts.settled_at(6), counts);
    }

    #[test]
    fn a_time_line_that_was_set_back_forgives_nothing() {
        assert_eq!(Counts::new(500, 1, 9).settled_at(5), Counts::new(5, 9, 0));
    }

    #[test]
    fn the_index_wraps_around() {
        let last = (1 << INDEX_BITS) - 1;
        assert_eq!(Counts::new(last, 1, 2).seen_from(last + 1), Counts::new(last + 1, 2, 0));
        assert!(Counts::new(last + 1, 0, 0).is_ahead_of(last));
    }
}
