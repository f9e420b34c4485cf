//! Telling and learning counts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use redis::{Pipeline, Value};

use super::answer::{MAX_FIELDS, Odd, Reading};
use super::fault::SyncFault;
use super::keyspace::Keyspace;
use super::odd_keys::OddKeys;
use super::session::Session;
use crate::clock::{Clock, Now, millis};
use crate::rate_limit::counts::Counts;
use crate::rate_limit::epoch::EpochMillis;
use crate::rate_limit::limit::Allowance;
use crate::rate_limit::limiter::Limiter;
use crate::rate_limit::window::Window;

/// Windows per round trip, so that one reply stays small and Redis serves others in between.
const CHUNK: usize = 1_000;

/// Round trips per round; what is left waits for the next one.
const MAX_CHUNKS: usize = 50;

/// How much of a hash is read: all of it unless there are too many fields. Redis before 7.2 counts
/// names and values.
const SCANNED: usize = 2 * (MAX_FIELDS + 1);

/// How long the previous window's counts may still change: others tell their last ones one interval
/// after its end, and a lost round later.
const INTERVALS_TO_CLOSE: u32 = 3;

/// What this replica has still to tell.
#[derive(Debug)]
pub(super) struct Exchange {
    keyspace: Keyspace,
    replica: String,
    closes_after: Duration,
    pending: VecDeque<Arc<Window>>,
    odd_keys: OddKeys,
}

/// One window's part of a round trip.
struct Exchanged {
    window: Arc<Window>,
    index: u64,
    own: Counts,
    with_previous: bool,
    expiry_millis: u64,
}

/// One window's part of the answer.
struct Heard {
    current: Reading,
    previous: Option<Reading>,
}

impl Exchange {
    /// `replica` names this process among those that share the keyspace.
    pub(super) fn new(
        keyspace: Keyspace,
        replica: String,
        interval: Duration,
        odd_answers: IntCounter,
    ) -> Self {
        let closes_after = interval.saturating_mul(INTERVALS_TO_CLOSE);
        let odd_keys = OddKeys::new(odd_answers);
        Self { keyspace, replica, closes_after, pending: VecDeque::new(), odd_keys }
    }

    /// Takes note of a key that cannot be read.
    pub(super) fn note(&mut self, key: &str, odd: Odd, now: Now) {
        self.odd_keys.note(key, odd, now);
    }

    pub(super) fn replica(&self) -> &str {
        &self.replica
    }

    /// Takes over what requests charged since the last round.
    pub(super) fn collect(&mut self, limiter: &Limiter) {
        limiter.unsynced().drain(&mut self.pending);
    }

    /// Tells and learns what is pending. Returns the largest part of a limit that others had
    /// admitted without this replica knowing, among windows that it was following.
    pub(super) async fn run(
        &mut self,
        session: &mut Session,
        limiter: &Limiter,
        clock: &dyn Clock,
    ) -> Result<f64, SyncFault> {
        let mut unseen: f64 = 0.0;
        for _ in 0..MAX_CHUNKS {
            if self.pending.is_empty() {
                break;
            }
            let (told, pipeline) = self.tell(limiter, limiter.epoch().at(clock.now()));
            let answers = session.query_each(pipeline).await;
            let heard = match answers.and_then(|answers| hear(&told, answers)) {
                Ok(heard) => heard,
                Err(fault) => {
                    self.put_back(told);
                    return Err(fault);
                }
            };
            for (told, heard) in told.iter().zip(heard) {
                let Some((name, allowance)) = limiter.counting(told.window.limit_id()) else {
                    continue;
                };
                unseen = unseen.max(told.learn(&heard, allowance));
                self.note_odd(told, &heard, name, clock.now());
            }
        }
        Ok(unseen)
    }

    fn note_odd(&mut self, told: &Exchanged, heard: &Heard, limit: &str, now: Now) {
        let previous = heard.previous.and_then(|previous| previous.odd);
        for (index, odd) in
            [(told.index, heard.current.odd), (told.index.saturating_sub(1), previous)]
        {
            if let Some(odd) = odd {
                let fingerprint = told.window.key().probe().fingerprint();
                self.note(&self.keyspace.counts(limit, index, fingerprint), odd, now);
            }
        }
    }

    /// Forgets pending windows that nothing is counted in any more, so that a long outage does not
    /// keep them alive.
    pub(super) fn drop_expired(&mut self, limiter: &Limiter, now: Now) {
        self.collect(limiter);
        let at = limiter.epoch().at(now);
        self.pending.retain(|window| {
            let Some((_, allowance)) = limiter.counting(window.limit_id()) else { return false };
            let (index, _) = allowance.position(at);
            !window.settle(index) || !window.begin_sync(index).is_zero()
        });
    }

    #[cfg(test)]
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    fn tell(&mut self, limiter: &Limiter, at: EpochMillis) -> (Vec<Exchanged>, Pipeline) {
        let chunk = self.pending.len().min(CHUNK);
        let mut told = Vec::with_capacity(chunk);
        let mut pipeline = Pipeline::with_capacity(chunk * 6);
        // One by one: after a panic the rest is still pending.
        while told.len() < chunk
            && let Some(window) = self.pending.pop_front()
        {
            let Some((name, allowance)) = limiter.counting(window.limit_id()) else { continue };
            let told_now = Exchanged::new(window, allowance, at, self.closes_after);
            told_now.write(&mut pipeline, name, &self.keyspace, &self.replica);
            told.push(told_now);
        }
        (told, pipeline)
    }

    fn put_back(&mut self, told: Vec<Exchanged>) {
        // A window that was charged meanwhile is queued already.
        let unqueued =
            told.into_iter().map(|told| told.window).filter(|window| window.wants_sync());
        self.pending.extend(unqueued);
    }
}

impl Exchanged {
    fn new(
        window: Arc<Window>,
        allowance: &Allowance,
        at: EpochMillis,
        closes_after: Duration,
    ) -> Self {
        let (index, elapsed) = allowance.position(at);
        window.settle(index);
        let own = window.begin_sync(index);
        let index = own.index_near(index);
        let is_new = !window.known_of_others().is_of(index);
        let with_previous = is_new || elapsed < millis(closes_after);
        // A window's counts matter until the next one ends; clocks differ a little.
        let expiry_millis = allowance.window_millis().saturating_mul(3);
        Self { window, index, own, with_previous, expiry_millis }
    }

    fn write(&self, pipeline: &mut Pipeline, limit: &str, keys: &Keyspace, replica: &str) {
        let fingerprint = self.window.key().probe().fingerprint();
        let mut add = |index: u64, count: u32| {
            let key = keys.counts(limit, index, fingerprint);
            if count > 0 {
                pipeline.cmd("HSET").arg(&key).arg(replica).arg(count);
                pipeline.cmd("PEXPIRE").arg(&key).arg(self.expiry_millis);
            }
            pipeline.cmd("HSCAN").arg(&key).arg(0).arg("COUNT").arg(SCANNED);
        };
        add(self.index, self.own.current());
        if self.with_previous {
            add(self.index.saturating_sub(1), self.own.previous());
        }
    }

    /// Reads the answers to what [`Exchanged::write`] has asked.
    fn read(&self, answers: &mut impl Iterator<Item = Value>) -> Result<Heard, SyncFault> {
        let mut read = |count: u32| Reading::of(answers, if count > 0 { 3 } else { 1 });
        let current = read(self.own.current())?;
        let previous = self.with_previous.then(|| read(self.own.previous())).transpose()?;
        Ok(Heard { current, previous })
    }

    /// Takes over what others told. Returns the part of the limit that they had admitted without this
    /// replica knowing, if it was following.
    fn learn(&self, heard: &Heard, allowance: &Allowance) -> f64 {
        let others = |reading: Option<Reading>, own: u32| {
            let total = reading.and_then(|reading| reading.total);
            total.map_or(0, |total| total.saturating_sub(own.into()))
        };
        let current = others(Some(heard.current), self.own.current());
        let previous = others(heard.previous, self.own.previous());
        let known = self.window.known_of_others();
        let learned = Counts::new(self.index, previous, current);
        self.window.learn(learned);
        let readings = [Some(heard.current), heard.previous];
        self.window.set_unread(readings.iter().flatten().any(|reading| reading.total.is_none()));
        if !known.is_of(self.index) {
            return 0.0;
        }
        let news = learned.current().saturating_sub(known.current());
        f64::from(news) / f64::from(allowance.requests())
    }
}

fn hear(told: &[Exchanged], answers: Vec<Value>) -> Result<Vec<Heard>, SyncFault> {
    let mut answers = answers.into_iter();
    told.iter().map(|told| told.read(&mut answers)).collect()
}
