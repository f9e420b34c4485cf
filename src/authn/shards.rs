//! How finely a cache is divided.

use std::hash::{BuildHasher, Hash};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

/// The largest entries that each shard has room for.
const LARGEST_TO_A_SHARD: u64 = 4;

/// As many as 64 cores would have by default.
const MOST_SHARDS: usize = 256;

/// What a cache is made for.
pub(super) struct Size {
    /// Entries, about.
    pub(super) expected: usize,
    /// Weight of all entries.
    pub(super) capacity: u64,
    /// Weight of the largest one.
    pub(super) largest: u64,
}

/// An empty cache. An entry that outgrows its shard is never remembered, so their number follows from
/// the largest entry and not, as by default, from the machine's cores.
pub(super) fn cache<K, V, W, B>(size: &Size, weighter: W, hasher: B) -> Cache<K, V, W, B>
where
    K: Eq + Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
    B: BuildHasher + Clone,
{
    let mut options = OptionsBuilder::new();
    options.estimated_items_capacity(size.expected).weight_capacity(size.capacity);
    let lifecycle = DefaultLifecycle::default();
    match options.shards(size.shards()).build() {
        Ok(options) => Cache::with_options(options, weighter, hasher, lifecycle),
        // Only where a capacity is not given.
        Err(_) => Cache::with(size.expected, size.capacity, weighter, hasher, lifecycle),
    }
}

impl Size {
    /// A power of two: others would be rounded up.
    fn shards(&self) -> usize {
        let most = self.capacity / self.largest.saturating_mul(LARGEST_TO_A_SHARD).max(1);
        let power = most.max(1).ilog2();
        1 << power.min(MOST_SHARDS.ilog2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_room_for_several_of_the_largest() {
        for (capacity, largest, expected) in [
            (64 << 20, 270 << 10, 32),
            (64 << 20, 256 << 10, 64),
            (1 << 20, 256 << 10, 1),
            (1 << 10, 256 << 10, 1),
            (1 << 40, 1, MOST_SHARDS),
            (0, 0, 1),
        ] {
            let size = Size { expected: 100_000, capacity, largest };
            assert_eq!(size.shards(), expected, "{capacity} {largest}");
        }
    }
}
