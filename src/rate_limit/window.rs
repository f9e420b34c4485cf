//! One key's sliding window.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::counts::Counts;
use super::epoch::EpochMillis;
use super::key::Key;
use super::limit::{Allowance, LimitId};
use super::share::Share;
use super::tally::{Phase, Tally};

/// Counts of one key under one limit. Lock-free; 64 bytes with its reference counts.
#[derive(Debug)]
pub struct Window {
    /// What this replica admitted.
    local: AtomicU64,
    /// What the other replicas admitted, as far as known.
    others: AtomicU64,
    key: Key,
    limit: LimitId,
    /// Whether the window already waits to be exchanged.
    unsynced: AtomicBool,
    /// Whether what others told about it could not be read.
    unread: AtomicBool,
}

/// Where an admitted request leaves its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests that would still fit now.
    pub remaining: u32,
    /// With requests remaining: seconds for which they have to last, the rest of the window. With
    /// none: seconds until one more fits. Rounded up, at least 1.
    pub reset_secs: u32,
}

/// A request that does not fit, and was not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// A client that waits this long and is alone under its key is admitted. Rounded up, at least 1.
    pub retry_after_secs: u32,
}

impl Standing {
    pub(super) fn new(phase: Phase, spare: u64, wait: impl FnOnce() -> u64) -> Self {
        let until = if spare > 0 { phase.remaining() } else { wait() };
        Self { remaining: u32::try_from(spare).unwrap_or(u32::MAX), reset_secs: seconds(until) }
    }
}

impl Exceeded {
    pub(super) fn for_millis(wait: u64) -> Self {
        Self { retry_after_secs: seconds(wait) }
    }
}

impl Window {
    pub(super) fn new(limit: LimitId, key: Key, index: u64, seed: Counts) -> Self {
        Self {
            local: AtomicU64::new(seed.pack()),
            others: AtomicU64::new(Counts::new(index, 0, 0).pack()),
            key,
            limit,
            unsynced: AtomicBool::new(false),
            unread: AtomicBool::new(false),
        }
    }

    /// Which limit it counts under.
    pub const fn limit_id(&self) -> LimitId {
        self.limit
    }

    pub(super) const fn key(&self) -> &Key {
        &self.key
    }

    /// Counts one request if it fits.
    pub fn charge(
        &self,
        allowance: &Allowance,
        share: Share,
        at: EpochMillis,
    ) -> Result<Standing, Exceeded> {
        let mut seen = self.local.load(Ordering::Relaxed);
        loop {
            let view = self.view(Counts::unpack(seen), allowance, share, at);
            if !view.fits() {
                return Err(view.exceeded());
            }
            let charged = View { local: view.local.plus_one(), ..view };
            // Sequentially consistent with `begin_sync`: either it sees this count, or the caller
            // sees that it has to queue the window again.
            match self.local.compare_exchange_weak(
                seen,
                charged.local.pack(),
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(charged.standing()),
                Err(actual) => seen = actual,
            }
        }
    }

    /// What [`Window::charge`] would say before it counts.
    pub fn peek(
        &self,
        allowance: &Allowance,
        share: Share,
        at: EpochMillis,
    ) -> Result<Standing, Exceeded> {
        let local = Counts::unpack(self.local.load(Ordering::Relaxed));
        let view = self.view(local, allowance, share, at);
        if view.fits() { Ok(view.standing()) } else { Err(view.exceeded()) }
    }

    /// Marks the window as waiting; true for the one caller that has to queue it.
    pub(super) fn wants_sync(&self) -> bool {
        !self.unsynced.load(Ordering::SeqCst) && !self.unsynced.swap(true, Ordering::SeqCst)
    }

    /// Takes the mark off and reads what has to be told.
    pub(super) fn begin_sync(&self, index: u64) -> Counts {
        self.unsynced.swap(false, Ordering::SeqCst);
        Counts::unpack(self.local.load(Ordering::SeqCst)).seen_from(index)
    }

    pub(super) fn known_of_others(&self) -> Counts {
        Counts::unpack(self.others.load(Ordering::Relaxed))
    }

    pub(super) fn learn(&self, others: Counts) {
        let merge = |bits| Some(Counts::unpack(bits).merged(others).pack());
        // The closure always returns a value, so this cannot fail.
        let _ = self.others.fetch_update(Ordering::Relaxed, Ordering::Relaxed, merge);
    }

    /// Whether it has to be counted as if the others could not be reached.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    pub(super) fn set_unread(&self, unread: bool) {
        self.unread.store(unread, Ordering::Relaxed);
    }

    /// Moves both words on to `index`. True when nothing is counted any more, so that forgetting
    /// the window changes no decision.
    pub(super) fn settle(&self, index: u64) -> bool {
        let local = settle_word(&self.local, index);
        let others = settle_word(&self.others, index);
        local.is_zero() && others.is_zero()
    }

    fn view<'a>(
        &self,
        local: Counts,
        allowance: &'a Allowance,
        share: Share,
        at: EpochMillis,
    ) -> View<'a> {
        let (index, elapsed) = allowance.position(at);
        let elapsed = if local.is_ahead_of(index) { 0 } else { elapsed };
        let phase = Phase { window: allowance.window_millis(), elapsed };
        View {
            local: local.seen_from(index),
            others: self.known_of_others().seen_from(index),
            phase,
            allowance,
            share,
        }
    }
}

fn settle_word(word: &AtomicU64, index: u64) -> Counts {
    let settle = |bits| {
        let settled = Counts::unpack(bits).settled_at(index).pack();
        (settled != bits).then_some(settled)
    };
    let bits = match word.fetch_update(Ordering::SeqCst, Ordering::Relaxed, settle) {
        Ok(before) => Counts::unpack(before).settled_at(index).pack(),
        Err(unchanged) => unchanged,
    };
    Counts::unpack(bits)
}

/// Everything that decides about one request.
#[derive(Clone, Copy)]
struct View<'a> {
    local: Counts,
    others: Counts,
    phase: Phase,
    allowance: &'a Allowance,
    share: Share,
}

impl View<'_> {
    fn fits(&self) -> bool {
        self.together().fits(self.phase)
            && (self.share == Share::WHOLE || self.alone().fits(self.phase))
    }

    fn standing(&self) -> Standing {
        let mut spare = self.together().spare(self.phase);
        if self.share != Share::WHOLE {
            spare = spare.min(self.alone().spare(self.phase));
        }
        Standing::new(self.phase, spare, || self.wait())
    }

    fn exceeded(&self) -> Exceeded {
        Exceeded::for_millis(self.wait())
    }

    fn wait(&self) -> u64 {
        let together = self.together().wait(self.phase);
        if self.share == Share::WHOLE {
            return together;
        }
        together.max(self.alone().wait(self.phase))
    }

    /// Against the whole limit: what was last known of the others still counts while they cannot
    /// be reached.
    fn together(&self) -> Tally {
        let own = self.own();
        Tally {
            previous: own.previous + u64::from(self.others.previous()),
            current: own.current + u64::from(self.others.current()),
            rolled: own.rolled + u64::from(self.others.rolled()),
            ceiling: self.allowance.requests().into(),
        }
    }

    /// Against this replica's share.
    fn alone(&self) -> Tally {
        Tally { ceiling: self.share.of(self.allowance.requests()).into(), ..self.own() }
    }

    fn own(&self) -> Tally {
        let requests = self.allowance.requests();
        // Large counts are remembered rounded up; no replica admits more than the whole limit.
        let remembered = |count: u32| u64::from(count.min(requests));
        Tally {
            previous: remembered(self.local.previous()),
            current: self.local.current().into(),
            rolled: remembered(self.local.rolled()),
            ceiling: requests.into(),
        }
    }
}

/// Rounded up, at least 1.
fn seconds(millis: u64) -> u32 {
    u32::try_from(millis.div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests;
