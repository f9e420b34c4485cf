//! Where windows are found: sharded, bounded, and never swept as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ahash::RandomState;
use hashbrown::HashTable;
use parking_lot::RwLock;

use super::key::Probe;
use super::limit::LimitId;
use super::window::Window;

pub(super) const SHARDS: usize = 64;

/// Windows looked at when a full table is asked for one more place.
const SWEPT_PER_INSERT: usize = 8;

/// Hashes are seeded at random: keys come from clients.
#[derive(Debug)]
pub(super) struct WindowTable {
    shards: Box<[Shard]>,
    hasher: RandomState,
    len: AtomicUsize,
}

/// On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    windows: RwLock<HashTable<Arc<Window>>>,
    /// The bucket where the next partial sweep begins.
    sweep_from: AtomicUsize,
}

impl WindowTable {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { shards, hasher: RandomState::new(), len: AtomicUsize::new(0) }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(super) fn hash(&self, limit: LimitId, key: Probe<'_>) -> u64 {
        self.hasher.hash_one((limit, key))
    }

    /// Reads a window under the shard's lock, which spares the reference count.
    pub(super) fn find<R>(
        &self,
        hash: u64,
        limit: LimitId,
        key: Probe<'_>,
        read: impl FnOnce(&Arc<Window>) -> R,
    ) -> Option<R> {
        let windows = self.shard(hash)?.windows.read();
        windows.find(hash, |window| is(window, limit, key)).map(read)
    }

    /// Finds or makes a window; `None` when `ceiling` windows exist and a look at a few of them
    /// found none that `expired`.
    pub(super) fn find_or_insert(
        &self,
        hash: u64,
        (limit, key): (LimitId, Probe<'_>),
        ceiling: usize,
        make: impl FnOnce() -> Window,
        expired: impl Fn(&Window) -> bool,
    ) -> Option<Arc<Window>> {
        let shard = self.shard(hash)?;
        let mut windows = if self.len() < ceiling {
            shard.windows.write()
        } else {
            // A flood of new keys must not hold up the requests of known ones.
            shard.windows.try_write()?
        };
        if let Some(found) = windows.find(hash, |window| is(window, limit, key)) {
            return Some(Arc::clone(found));
        }
        if self.len() >= ceiling {
            self.sweep_some(shard, &mut windows, SWEPT_PER_INSERT, expired);
        }
        if self.len.fetch_add(1, Ordering::Relaxed) >= ceiling {
            self.len.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let window = Arc::new(make());
        let rehash = |window: &Arc<Window>| self.hash(window.limit_id(), window.key().probe());
        windows.insert_unique(hash, Arc::clone(&window), rehash);
        Some(window)
    }

    /// Sweeps the next `buckets` of a shard; returns how many buckets it has.
    pub(super) fn sweep(
        &self,
        shard: usize,
        buckets: usize,
        expired: impl Fn(&Window) -> bool,
    ) -> usize {
        let Some(shard) = self.shards.get(shard) else { return 0 };
        let mut windows = shard.windows.write();
        self.sweep_some(shard, &mut windows, buckets, expired);
        windows.num_buckets()
    }

    /// Visits every window of a shard.
    pub(super) fn visit(&self, shard: usize, visit: impl FnMut(&Arc<Window>)) {
        if let Some(shard) = self.shards.get(shard) {
            shard.windows.read().iter().for_each(visit);
        }
    }

    fn sweep_some(
        &self,
        shard: &Shard,
        windows: &mut HashTable<Arc<Window>>,
        buckets: usize,
        expired: impl Fn(&Window) -> bool,
    ) {
        let all = windows.num_buckets().max(1);
        let from = shard.sweep_from.load(Ordering::Relaxed);
        for offset in 0..buckets.min(all) {
            let Ok(entry) = windows.get_bucket_entry((from + offset) % all) else { continue };
            // Asked of those too that somebody holds: their counts have to keep up with the time.
            let expired = expired(entry.get());
            // References are only taken under the shard's lock, which is held for writing here:
            // one that counts 1 belongs to the table and stays so.
            if expired && Arc::strong_count(entry.get()) == 1 {
                entry.remove();
                self.len.fetch_sub(1, Ordering::Relaxed);
            }
        }
        shard.sweep_from.store((from + buckets) % all, Ordering::Relaxed);
    }

    fn shard(&self, hash: u64) -> Option<&Shard> {
        // The table below uses the lowest and the highest bits.
        let index = usize::try_from((hash >> 40) & 63).unwrap_or_default();
        self.shards.get(index)
    }
}

fn is(window: &Window, limit: LimitId, key: Probe<'_>) -> bool {
    window.limit_id() == limit && window.key().probe() == key
}
