//! Tokens that were verified before, with what they stood for.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, Weighter};

use super::Belief;
use crate::clock::Now;

/// Default bound on entries.
pub const DEFAULT_MAX_ENTRIES: usize = 100_000;
/// Default bound on memory, in bytes.
pub const DEFAULT_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What an entry takes besides its token: a principal of usual size and the tables' own share.
const ENTRY_OVERHEAD_BYTES: u64 = 1024;

/// How much of a token's end is hashed.
const HASHED_BYTES: usize = 32;

/// A bounded map from verified tokens to values.
///
/// Only verified tokens may be inserted: the hash covers the token's end only, which nobody but
/// the issuer chooses. Look-ups compare the whole token.
pub struct TokenCache<T> {
    entries: Cache<Token, Entry<T>, Weight, ahash::RandomState>,
}

#[derive(PartialEq, Eq)]
struct Token(Box<str>);

struct TokenRef<'a>(&'a [u8]);

struct Entry<T> {
    belief: Belief,
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
        let weight = Weight { at_least: max_bytes.div_ceil(entries).max(1) };
        let lifecycle = DefaultLifecycle::default();
        Self {
            entries: Cache::with(
                max_entries.max(1),
                max_bytes,
                weight,
                ahash::RandomState::new(),
                lifecycle,
            ),
        }
    }

    /// The value of a token that is still valid and whose keys are those of this generation.
    pub fn get(&self, token: impl AsRef<[u8]>, now: Now, generation: u64) -> Option<Arc<T>> {
        let entry = self.entries.get(&TokenRef(token.as_ref()))?;
        entry.belief.holds(now, generation).then_some(entry.value)
    }

    /// Remembers a verified token and returns its value as it is shared from now on.
    pub fn insert(&self, token: &str, belief: Belief, value: T) -> Arc<T> {
        let value = Arc::new(value);
        let shared = Arc::clone(&value);
        let entry = Entry { belief, value };
        self.entries.insert(Token(token.into()), entry);
        shared
    }

    /// Forgets the tokens whose value is not wanted any more.
    pub fn retain(&self, is_wanted: impl Fn(&T) -> bool) {
        self.entries.retain(|_, entry| is_wanted(&entry.value));
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
    fn weight(&self, token: &Token, _: &Entry<T>) -> u64 {
        let bytes = u64::try_from(token.0.len()).unwrap_or(u64::MAX);
        bytes.saturating_add(ENTRY_OVERHEAD_BYTES).max(self.at_least)
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
    use super::*;

    const NOW: Now = Now::at(1_000, 1);

    const fn until(expires_unix_millis: u64, generation: u64) -> Belief {
        Belief { expires_unix_millis, until_mono_millis: u64::MAX, generation }
    }

    #[test]
    fn a_token_is_found_until_it_expires() {
        let cache = TokenCache::default();
        cache.insert("token", until(1_001, 1), 7);
        assert_eq!(cache.get("token", NOW, 1).as_deref(), Some(&7));
        assert_eq!(cache.get("token", Now::at(1_001, 1), 1), None);
        assert_eq!(cache.get("other", NOW, 1), None);
    }

    #[test]
    fn a_token_of_withdrawn_keys_is_forgotten() {
        let cache = TokenCache::default();
        cache.insert("token", until(2_000, 1), 7);
        assert_eq!(cache.get("token", NOW, 2), None);
        cache.insert("token", until(2_000, 2), 8);
        assert_eq!(cache.get("token", NOW, 2).as_deref(), Some(&8));
    }

    #[test]
    fn tokens_that_differ_anywhere_are_different() {
        let cache = TokenCache::default();
        let end = "s".repeat(40);
        cache.insert(&format!("aa.bb.{end}"), until(2_000, 1), 1);
        for other in [format!("ab.bb.{end}"), end.clone(), format!("aa.bb.{end}s"), "aa".into()] {
            assert_eq!(cache.get(&other, NOW, 1), None, "{other}");
        }
    }

    #[test]
    fn both_bounds_hold() {
        let by_entries = TokenCache::new(100, 64 << 20);
        let by_bytes = TokenCache::new(1_000_000, 1 << 20);
        for index in 0..5_000 {
            by_entries.insert(&format!("token-{index}"), until(2_000, 1), ());
            by_bytes.insert(&format!("{index:01000}"), until(2_000, 1), ());
        }
        assert!(by_entries.len() <= 100, "{}", by_entries.len());
        assert!(by_bytes.len() * 2_024 <= 1 << 20, "{}", by_bytes.len());
    }

    #[test]
    fn unwanted_values_are_dropped() {
        let cache = TokenCache::default();
        cache.insert("a", until(2_000, 1), "anne");
        cache.insert("b", until(2_000, 1), "bob");
        cache.retain(|name| *name != "anne");
        assert_eq!(cache.get("a", NOW, 1), None);
        assert_eq!(cache.get("b", NOW, 1).as_deref(), Some(&"bob"));
    }
}
