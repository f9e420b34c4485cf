//! Forgetting what nobody will be given any more.

use std::hash::{BuildHasher, Hash};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// Entries looked at before others have a turn.
const BATCH: usize = 512;

/// Removes the entries of which `is_over` is true. One at a time: no request waits for longer than
/// another's look-up takes. Keys are cloned on the way, so they should be cheap to clone.
pub async fn sweep<K, V, W, B>(cache: &Cache<K, V, W, B>, is_over: impl Fn(&V) -> bool)
where
    K: Eq + Hash + Clone,
    V: Clone,
    W: Weighter<K, V> + Clone,
    B: BuildHasher + Clone,
{
    for (nth, (key, value)) in cache.iter().enumerate() {
        if is_over(&value) {
            cache.remove_if(&key, &is_over);
        }
        if nth % BATCH == BATCH - 1 {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_over_goes_and_the_rest_stays() {
        let cache: Cache<usize, usize> = Cache::new(10_000);
        for key in 0..2_000 {
            cache.insert(key, key);
        }
        let before = cache.len();
        sweep(&cache, |value| value % 4 == 0).await;
        assert_eq!(cache.len(), before - 500);
        assert_eq!((cache.get(&4), cache.get(&5)), (None, Some(5)));
    }
}
