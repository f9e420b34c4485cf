//! What the exchange shows to gauges and to the readiness details.

use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Now;
use crate::rate_limit::limit::{Allowance, Limit};
use crate::rate_limit::share::Share;

/// What remains of an observation after each exchange: a tenth after some 15 s at 100 ms.
const FADING: f64 = 0.985;

/// Whether replicas share their counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncState {
    /// Whether the last round succeeded.
    pub connected: bool,
    /// Live replicas, as last known; 1 if never known.
    pub replicas: u32,
    /// When `connected` last changed.
    pub since: Now,
}

/// Written by the exchange, read by anybody; not on the path of a request.
#[derive(Debug)]
pub struct SyncStatus {
    requests: Box<[u32]>,
    shortest_window: Duration,
    interval: Duration,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    phase: Phase,
    since: Now,
    replicas: u32,
    /// Largest part of a limit that others admitted between two exchanges; fades.
    unseen: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Connected,
    Out,
}

impl SyncStatus {
    pub(super) fn new<'a>(
        allowances: impl Iterator<Item = &'a Allowance> + Clone,
        interval: Duration,
        now: Now,
    ) -> Self {
        let current = Current { phase: Phase::Starting, since: now, replicas: 1, unseen: 0.0 };
        Self {
            requests: allowances.clone().map(Allowance::requests).collect(),
            shortest_window: allowances.map(Allowance::window).min().unwrap_or(Limit::MAX_WINDOW),
            interval,
            current: Mutex::new(current),
        }
    }

    /// Whether counts are shared at present, among how many, and since when.
    pub fn state(&self) -> SyncState {
        let current = self.current.lock();
        SyncState {
            connected: current.phase == Phase::Connected,
            replicas: current.replicas,
            since: current.since,
        }
    }

    /// By which part of its limit one key can at most exceed it (0.07 is 7 %), estimated.
    ///
    /// Connected: the larger of what a key at its limit gains from the lag, and of what other
    /// replicas lately admitted between two exchanges without this one knowing. Otherwise: what
    /// rounding every replica's share up adds.
    pub fn worst_case_overage(&self) -> f64 {
        let current = self.current.lock();
        let replicas = f64::from(current.replicas);
        if current.phase == Phase::Connected {
            let lag = self.interval.as_secs_f64() / self.shortest_window.as_secs_f64();
            return current.unseen.max(lag * (replicas - 1.0) / replicas);
        }
        let share = Share::one_of(current.replicas);
        let rounded =
            |requests: &u32| replicas * f64::from(share.of(*requests)) / f64::from(*requests) - 1.0;
        self.requests.iter().map(rounded).fold(0.0, f64::max)
    }

    pub(super) fn replicas(&self) -> u32 {
        self.current.lock().replicas
    }

    pub(super) fn set_replicas(&self, replicas: u32) {
        self.current.lock().replicas = replicas.max(1);
    }

    pub(super) fn note_unseen(&self, part: f64) {
        let mut current = self.current.lock();
        current.unseen = part.max(current.unseen * FADING);
    }

    /// True when an outage ends here.
    pub(super) fn begin_sharing(&self, now: Now) -> bool {
        self.enter(Phase::Connected, now) == Phase::Out
    }

    /// True when an outage begins here.
    pub(super) fn begin_outage(&self, now: Now) -> bool {
        self.enter(Phase::Out, now) != Phase::Out
    }

    fn enter(&self, phase: Phase, now: Now) -> Phase {
        let mut current = self.current.lock();
        let before = current.phase;
        if before != phase {
            current.phase = phase;
            current.since = now;
        }
        before
    }
}
