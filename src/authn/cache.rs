//! Tokens that were verified before, with what they stood for.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use super::Belief;
use super::bearer::MAX_TOKEN_BYTES;
use super::block::block_bytes;
use super::principal::MAX_HELD_BYTES;
use super::shards;
use crate::clock::Now;
use crate::sweep::sweep;

/// Default bound on entries.
pub const DEFAULT_MAX_ENTRIES: usize = 100_000;
/// Default bound on memory, in bytes.
pub const DEFAULT_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What the tables take for an entry, half of it to grow into.
const PLACE_BYTES: usize = 200;

/// How much of a token's end is hashed.
const HASHED_BYTES: usize = 32;

/// A bounded map from verified tokens to values.
///
/// Only verified tokens may be inserted: the hash covers the token's end only, which nobody but
/// the issuer chooses. Look-ups compare the whole token.
pub struct TokenCache<T> {
    entries: Cache<Token, Entry<T>, Weight, ahash::RandomState>,
}

#[derive(Clone, PartialEq, Eq)]
struct Token(Arc<str>);

struct TokenRef<'a>(&'a [u8]);

struct Entry<T> {
    belief: Belief,
    /// All that would be free without it.
    bytes: u64,
    value: Arc<T>,
}

/// Bytes, but at least the share of one entry, so that both bounds hold.
#[derive(Clone)]
struct Weight {
    at_least: u64,
}

impl<T> TokenCache<T> {
    /// A cache of at most so many entries and about so many bytes.
    pub fn new(max_entries: usize, max_bytes: u64) -> Self {
        let entries = u64::try_from(max_entries).unwrap_or(u64::MAX).max(1);
        // The tables keep the hashes of half as many evicted tokens as they expect to hold, to tell
        // who comes back. They need not expect all.
        let expected = max_entries.div_ceil(4);
        let ghosts = u64::try_from(expected / 2 * PLACE_BYTES).unwrap_or(u64::MAX);
        let capacity = max_bytes.saturating_sub(ghosts).max(1);
        let weight = Weight { at_least: capacity.div_ceil(entries) };
        let size = shards::Size { expected, capacity, largest: Self::largest_bytes() };
        Self { entries: shards::cache(&size, weight, ahash::RandomState::new()) }
    }

    fn largest_bytes() -> u64 {
        entry_bytes::<T>(MAX_TOKEN_BYTES, MAX_HELD_BYTES)
    }

    /// The value of a token that is still valid and whose keys are those of this generation.
    pub fn get(&self, token: impl AsRef<[u8]>, now: Now, generation: u64) -> Option<Arc<T>> {
        let entry = self.entries.get(&TokenRef(token.as_ref()))?;
        entry.belief.holds(now, generation).then_some(entry.value)
    }

    /// Remembers a verified token and returns its value as it is shared from now on. The value
    /// holds so many bytes outside of itself.
    pub fn insert(&self, token: &str, belief: Belief, value: T, held_bytes: usize) -> Arc<T> {
        let value = Arc::new(value);
        let shared = Arc::clone(&value);
        let bytes = entry_bytes::<T>(token.len(), held_bytes);
        self.entries.insert(Token(token.into()), Entry { belief, bytes, value });
        shared
    }

    /// Forgets the tokens that nobody will be given any more.
    pub async fn sweep(&self, now: Now, generation: u64) {
        sweep(&self.entries, |entry| !entry.belief.holds(now, generation)).await;
    }

    /// Number of entries, those included that nobody will be given any more.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn entry_bytes<T>(token_bytes: usize, held_bytes: usize) -> u64 {
    let bytes = PLACE_BYTES + block_bytes(token_bytes) + size_of::<T>() + held_bytes;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl<T> Default for TokenCache<T> {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_ENTRIES, DEFAULT_MAX_BYTES)
    }
}

impl<T> std::fmt::Debug for TokenCache<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCache").field("entries", &self.len()).finish_non_exhaustive()
    }
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

impl<T> Weighter<Token, Entry<T>> for Weight {
    fn weight(&self, _: &Token, entry: &Entry<T>) -> u64 {
        entry.bytes.max(self.at_least)
    }
}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        TokenRef(self.0.as_bytes()).hash(state);
    }
}

impl Hash for TokenRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let bytes = self.0;
        state.write(bytes.last_chunk::<HASHED_BYTES>().map_or(bytes, |end| end));
    }
}

impl Equivalent<Token> for TokenRef<'_> {
    fn equivalent(&self, token: &Token) -> bool {
        self.0 == token.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use allocation_counter::measure;

    use super::*;

    const NOW: Now = Now::at(1_000, 1);

    const fn until(expires_unix_millis: u64, generation: u64) -> Belief {
        Belief { expires_unix_millis, until_mono_millis: u64::MAX, generation }
    }

    #[test]
    fn a_token_is_found_until_it_expires() {
        let cache = TokenCache::default();
        cache.insert("token", until(1_001, 1), 7, 0);
        assert_eq!(cache.get("token", NOW, 1).as_deref(), Some(&7));
        assert_eq!(cache.get("token", Now::at(1_001, 1), 1), None);
        assert_eq!(cache.get("other", NOW, 1), None);
    }

    #[test]
    fn a_token_of_withdrawn_keys_is_forgotten() {
        let cache = TokenCache::default();
        cache.insert("token", until(2_000, 1), 7, 0);
        assert_eq!(cache.get("token", NOW, 2), None);
        cache.insert("token", until(2_000, 2), 8, 0);
        assert_eq!(cache.get("token", NOW, 2).as_deref(), Some(&8));
    }

    #[test]
    fn tokens_that_differ_anywhere_are_different() {
        let cache = TokenCache::default();
        let end = "s".repeat(40);
        cache.insert(&format!("aa.bb.{end}"), until(2_000, 1), 1, 0);
        for other in [format!("ab.bb.{end}"), end.clone(), format!("aa.bb.{end}s"), "aa".into()] {
            assert_eq!(cache.get(&other, NOW, 1), None, "{other}");
        }
    }

    /// Inserts so many tokens of a length with values that hold so much; returns what that took.
    fn fill(cache: &TokenCache<Box<[u8]>>, tokens: usize, length: usize, held: usize) -> u64 {
        let made = measure(|| {
            for index in 0..tokens {
                let value = vec![0; held].into_boxed_slice();
                cache.insert(&format!("{index:0length$}"), until(2_000, 1), value, held);
            }
        });
        u64::try_from(made.bytes_current).expect("nothing was given back")
    }

    #[test]
    fn a_token_weighs_what_it_holds() {
        for (length, held) in [(40, 0), (900, 300), (40, 60_000)] {
            let cache = TokenCache::new(10_000_000, 1 << 30);
            let really = fill(&cache, 1_000, length, held);
            let weight = cache.entries.weight();
            assert_eq!(cache.len(), 1_000);
            let places = 1_000 * u64::try_from(PLACE_BYTES).expect("small");
            assert!(
                (weight - places..=weight).contains(&really),
                "{length} {held}: {weight} told, {really} held"
            );
        }
    }

    #[test]
    fn both_bounds_hold_whatever_comes() {
        let by_entries = TokenCache::new(100, 64 << 20);
        fill(&by_entries, 5_000, 40, 0);
        assert!(by_entries.len() <= 100, "{}", by_entries.len());
        for (length, held) in [(40, 0), (1_000, 300), (40, 60_000)] {
            let by_bytes = TokenCache::new(7_000, 4 << 20);
            let really = fill(&by_bytes, 20_000, length, held);
            assert!(really <= 4 << 20, "{length} {held}: {really}");
            assert!(really > 1 << 20, "{length} {held}: {really}");
        }
    }

    #[test]
    fn callers_who_stand_for_as_much_as_they_may_are_remembered() {
        let cache: TokenCache<Box<[u8]>> = TokenCache::default();
        assert!(cache.entries.num_shards() > 1);
        let room = cache.entries.shard_capacity() / TokenCache::<Box<[u8]>>::largest_bytes();
        assert!(room >= 4, "{room} to a shard");
        for index in 0..500 {
            let token = format!("{index:0MAX_TOKEN_BYTES$}");
            cache.insert(&token, until(2_000, 1), Box::default(), MAX_HELD_BYTES);
            assert!(cache.get(&token, NOW, 1).is_some(), "{index}");
        }
    }

    #[tokio::test]
    async fn a_sweep_forgets_what_is_over_and_gives_its_memory_back() {
        let cache = TokenCache::default();
        fill(&cache, 100, 40, 60_000);
        cache.insert("lives", until(3_000, 1), Box::default(), 0);
        cache.insert("withdrawn", until(3_000, 2), Box::default(), 0);
        cache.sweep(NOW, 1).await;
        assert_eq!(cache.len(), 101);
        cache.sweep(Now::at(2_000, 1), 1).await;
        assert_eq!(cache.len(), 1);
        assert!(cache.get("lives", NOW, 1).is_some());
        assert!(cache.entries.weight() < 1_000);
    }
}
