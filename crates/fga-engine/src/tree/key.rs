//! What the tree is ordered by.

/// Object, relation, the user's relation (0 for a plain user) and the user's object, from
/// the high bits to the low ones. One wide number compares without a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(u128);

impl Key {
    pub(crate) fn new(object: u32, relation: u32, user_relation: u32, user: u32) -> Self {
        let group = (u64::from(object) << 32) | u64::from(relation);
        let member = (u64::from(user_relation) << 32) | u64::from(user);
        Self((u128::from(group) << 64) | u128::from(member))
    }

    pub(crate) const fn object(self) -> u32 {
        self.part(96)
    }

    pub(crate) const fn relation(self) -> u32 {
        self.part(64)
    }

    pub(crate) const fn user_relation(self) -> u32 {
        self.part(32)
    }

    pub(crate) const fn user(self) -> u32 {
        self.part(0)
    }

    #[expect(clippy::cast_possible_truncation, reason = "one of the four parts")]
    const fn part(self, shift: u32) -> u32 {
        (self.0 >> shift) as u32
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub key: Key,
    /// Milliseconds since the Unix epoch.
    pub written: u64,
    /// Number of the condition plus one, or 0.
    pub condition: u32,
}
