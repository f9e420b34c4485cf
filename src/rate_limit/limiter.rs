//! The limiter of this replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::counts::Counts;
use super::epoch::{Epoch, EpochMillis};
use super::key::{KeyRef, Probe};
use super::limit::{Allowance, Limit, LimitId};
use super::overflow::Overflow;
use super::share::Share;
use super::table::{SHARDS, WindowTable};
use super::unsynced::Unsynced;
use super::window::{Exceeded, Standing, Window};
use crate::clock::Now;

/// Only another limiter's id can be unknown.
const UNKNOWN_LIMIT: Exceeded = Exceeded { retry_after_secs: 1 };

/// Why a limiter cannot be built.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimiterError {
    /// Rules refer to limits by name.
    #[error("two limits are named {name:?}")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A limit's number is kept in 16 bits.
    #[error("{limits} limits are too many")]
    TooManyLimits {
        /// How many were given.
        limits: usize,
    },
}

/// All limits and the windows of all keys.
#[derive(Debug)]
pub struct Limiter {
    limits: Vec<Counted>,
    table: WindowTable,
    epoch: Epoch,
    /// Into how many parts limits are split at present.
    parts: AtomicU32,
    /// Into how many parts the limit of one key is split when only its counts cannot be read.
    replicas: AtomicU32,
    unsynced: Unsynced,
    max_keys: usize,
}

#[derive(Debug)]
struct Counted {
    limit: Limit,
    overflow: Overflow,
}

impl Limiter {
    /// A limiter that keeps at most `max_keys` windows, of about 100 bytes each.
    pub fn new(limits: Vec<Limit>, max_keys: usize, now: Now) -> Result<Self, LimiterError> {
        let mut limiter = Self {
            limits: Vec::with_capacity(limits.len()),
            table: WindowTable::new(),
            epoch: Epoch::starting_at(now),
            parts: AtomicU32::new(1),
            replicas: AtomicU32::new(1),
            unsynced: Unsynced::new(),
            max_keys,
        };
        limits.into_iter().try_for_each(|limit| limiter.add(limit).map(drop))?;
        Ok(limiter)
    }

    /// Counts by this limit too.
    pub fn add(&mut self, limit: Limit) -> Result<LimitId, LimiterError> {
        if self.find(limit.name()).is_some() {
            return Err(LimiterError::DuplicateName { name: limit.name().to_owned() });
        }
        let limits = self.limits.len();
        let id = u16::try_from(limits).map_err(|_| LimiterError::TooManyLimits { limits })?;
        self.limits.push(Counted { limit, overflow: Overflow::default() });
        Ok(LimitId(id))
    }

    /// All limits, with the ids that stand for them.
    pub fn ids(&self) -> impl Iterator<Item = (LimitId, &Limit)> {
        let limits = self.limits.iter().zip(0..);
        limits.map(|(counted, id)| (LimitId(id), &counted.limit))
    }

    /// The limit of this name.
    pub fn find(&self, name: &str) -> Option<LimitId> {
        let index = self.limits.iter().position(|counted| counted.limit.name() == name)?;
        u16::try_from(index).ok().map(LimitId)
    }

    /// What the id stands for; `None` for an id of another limiter.
    pub fn limit(&self, id: LimitId) -> Option<&Limit> {
        self.counted(id).map(|counted| &counted.limit)
    }

    /// Counts one request of `key` if it fits; `None` when the limit is off.
    pub fn charge(
        &self,
        id: LimitId,
        key: KeyRef<'_>,
        now: Now,
    ) -> Result<Option<Standing>, Exceeded> {
        let counted = self.counted(id).ok_or(UNKNOWN_LIMIT)?;
        let Some(allowance) = counted.limit.allowance() else { return Ok(None) };
        let (key, at) = (key.probe(), self.epoch.at(now));
        let hash = self.table.hash(id, key);
        let charge = |window: &Arc<Window>| self.charge_at(allowance, window, at);
        let known = self.table.find(hash, id, key, charge);
        let outcome = known.unwrap_or_else(|| match self.insert(hash, id, counted, key, at) {
            Some(window) => charge(&window),
            None => counted.overflow.charge(allowance, self.share(), key, at),
        });
        outcome.map(Some)
    }

    /// Counts one request in a window that [`Limiter::window`] returned.
    pub fn charge_window(&self, window: &Arc<Window>, now: Now) -> Result<Standing, Exceeded> {
        let (_, allowance) = self.counting(window.limit_id()).ok_or(UNKNOWN_LIMIT)?;
        self.charge_at(allowance, window, self.epoch.at(now))
    }

    /// Tells whether one request of `key` would fit, without counting it.
    pub fn peek(
        &self,
        id: LimitId,
        key: KeyRef<'_>,
        now: Now,
    ) -> Result<Option<Standing>, Exceeded> {
        let counted = self.counted(id).ok_or(UNKNOWN_LIMIT)?;
        let Some(allowance) = counted.limit.allowance() else { return Ok(None) };
        let (key, at) = (key.probe(), self.epoch.at(now));
        let hash = self.table.hash(id, key);
        let peek = |window: &Arc<Window>| window.peek(allowance, self.share_for(window), at);
        let known = self.table.find(hash, id, key, peek);
        known.unwrap_or_else(|| counted.overflow.peek(allowance, self.share(), key, at)).map(Some)
    }

    /// The window of `key`, to keep beside whatever the key belongs to: it is not forgotten while
    /// it is held. `None` when the table is full, or the limit off; such a key goes through
    /// [`Limiter::charge`].
    pub fn window(&self, id: LimitId, key: KeyRef<'_>, now: Now) -> Option<Arc<Window>> {
        let counted = self.counted(id)?;
        let (key, at) = (key.probe(), self.epoch.at(now));
        let hash = self.table.hash(id, key);
        let known = self.table.find(hash, id, key, Arc::clone);
        known.or_else(|| self.insert(hash, id, counted, key, at))
    }

    /// Windows in the table.
    pub fn keys(&self) -> usize {
        self.table.len()
    }

    /// Limits whose newest keys are counted in a sketch because the table is or was full.
    pub fn limits_in_overflow(&self) -> usize {
        self.limits.iter().filter(|counted| counted.overflow.is_in_use()).count()
    }

    /// The share of each limit that this replica admits by itself.
    pub fn share(&self) -> Share {
        Share::one_of(self.parts.load(Ordering::Relaxed))
    }

    pub(super) fn set_share(&self, share: Share) {
        self.parts.store(share.parts(), Ordering::Relaxed);
    }

    pub(super) fn set_replicas(&self, replicas: u32) {
        self.replicas.store(replicas, Ordering::Relaxed);
    }

    pub(super) const fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    pub(super) const fn unsynced(&self) -> &Unsynced {
        &self.unsynced
    }

    /// Of all limits that are on.
    pub(super) fn allowances(&self) -> impl Iterator<Item = &Allowance> + Clone {
        self.limits.iter().filter_map(|counted| counted.limit.allowance())
    }

    /// Name and allowance of a limit that is on.
    pub(super) fn counting(&self, id: LimitId) -> Option<(&str, &Allowance)> {
        let limit = self.limit(id)?;
        Some((limit.name(), limit.allowance()?))
    }

    /// Queues every window of one shard for the exchange.
    pub(super) fn mark_unsynced(&self, shard: usize) {
        self.table.visit(shard, |window| self.unsynced.note(window));
    }

    /// Moves the next `buckets` of a shard on to the present, and forgets what has expired among them;
    /// returns how many the shard has.
    pub(super) fn sweep(&self, shard: usize, buckets: usize, now: Now) -> usize {
        let at = self.epoch.at(now);
        if shard == 0 {
            for Counted { limit, overflow } in &self.limits {
                if let Some(allowance) = limit.allowance() {
                    overflow.settle(allowance.position(at).0);
                }
            }
        }
        self.table.sweep(shard, buckets, |window| self.is_expired(window, at))
    }

    pub(super) const SHARDS: usize = SHARDS;

    fn charge_at(
        &self,
        allowance: &Allowance,
        window: &Arc<Window>,
        at: EpochMillis,
    ) -> Result<Standing, Exceeded> {
        let standing = window.charge(allowance, self.share_for(window), at)?;
        self.unsynced.note(window);
        Ok(standing)
    }

    fn share_for(&self, window: &Window) -> Share {
        if window.is_unread() {
            return Share::one_of(self.replicas.load(Ordering::Relaxed));
        }
        self.share()
    }

    #[cold]
    fn insert(
        &self,
        hash: u64,
        id: LimitId,
        counted: &Counted,
        key: Probe<'_>,
        at: EpochMillis,
    ) -> Option<Arc<Window>> {
        let allowance = counted.limit.allowance()?;
        let (index, _) = allowance.position(at);
        // Invented keys leave room for those that had to be authenticated.
        let reserved = if counted.limit.key().is_free_to_invent() { self.max_keys / 4 } else { 0 };
        let ceiling = self.max_keys - reserved;
        let make = || {
            let seed = counted.overflow.counts(key, index);
            let current = seed.current().min(allowance.requests());
            let seed = Counts::new(index, seed.previous().into(), current.into());
            Window::new(id, key.to_key(), index, seed)
        };
        let expired = |window: &Window| self.is_expired(window, at);
        self.table.find_or_insert(hash, (id, key), ceiling, make, expired)
    }

    fn is_expired(&self, window: &Window, at: EpochMillis) -> bool {
        let Some((_, allowance)) = self.counting(window.limit_id()) else { return true };
        window.settle(allowance.position(at).0)
    }

    fn counted(&self, id: LimitId) -> Option<&Counted> {
        self.limits.get(usize::from(id.0))
    }
}

#[cfg(test)]
mod tests;
