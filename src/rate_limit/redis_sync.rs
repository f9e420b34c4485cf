//! Replicas tell each other their counts through Redis.
//!
//! Every interval the windows that were charged since are exchanged in one pipelined round trip.
//! Per window there is a hash with one field per replica: its absolute count. Writing it twice, late
//! or after an outage therefore changes nothing, and the sum of the other fields is what the others
//! admitted. No request waits for any of this.
//!
//! With every window exchanged within `lag` (the interval plus a round trip), `n` replicas admit at
//! most `limit + rate * lag * (n - 1) / n` requests of a key that calls at `rate`, and never more
//! than `n * limit`. While Redis is away each replica admits its share.

mod answer;
mod backoff;
mod exchange;
mod fault;
mod keyspace;
mod odd_keys;
mod probe;
mod session;
mod settings;
mod skew;
mod status;

pub use fault::SyncFault;
pub use probe::RedisReport;
pub use settings::{RedisSettings, RedisSettingsError};
pub use status::{SyncState, SyncStatus};

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::watch;

use super::limiter::Limiter;
use super::share::Share;
use super::shutdown;
use crate::clock::SharedClock;
use crate::metrics::ExchangeMetrics;
use backoff::Backoff;
use exchange::Exchange;
use session::Session;
use skew::Skew;

/// One replica's end of the exchange; owned by the task that runs it.
#[derive(Debug)]
pub struct RedisSync {
    settings: RedisSettings,
    limiter: Arc<Limiter>,
    clock: SharedClock,
    status: Arc<SyncStatus>,
    exchange: Exchange,
    skew: Skew,
    backoff: Backoff,
    session: Option<Session>,
    policy_warned: bool,
}

impl RedisSync {
    /// Nothing is connected yet; the limiter counts alone until the first round.
    pub fn new(
        settings: RedisSettings,
        limiter: Arc<Limiter>,
        clock: SharedClock,
        metrics: ExchangeMetrics,
    ) -> Self {
        limiter.unsynced().begin();
        let status = SyncStatus::new(limiter.allowances(), settings.interval(), clock.now());
        let replica = format!("{:016x}", fastrand::u64(..));
        let keyspace = settings.keyspace().clone();
        let ExchangeMetrics { odd_answers, clock_jumps, clock_ahead, .. } = metrics;
        Self {
            exchange: Exchange::new(keyspace, replica, settings.interval(), odd_answers),
            skew: Skew::new(clock_jumps, clock_ahead),
            backoff: Backoff::new(),
            session: None,
            policy_warned: false,
            status: Arc::new(status),
            settings,
            limiter,
            clock,
        }
    }

    /// What gauges and the readiness details read.
    pub fn status(&self) -> Arc<SyncStatus> {
        Arc::clone(&self.status)
    }

    /// Exchanges every interval until `shutdown` is true, then a last time, and signs off.
    pub async fn run(&mut self, mut shutdown: watch::Receiver<bool>) {
        let mut period = tokio::time::interval(self.settings.interval());
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = period.tick() => self.sync_or_unwind().await,
                () = shutdown::requested(&mut shutdown) => break,
            }
        }
        if self.session.is_some() {
            self.sync_once().await;
        }
        if let Some(session) = &mut self.session {
            // Unannounced, the replica is forgotten some seconds later; nobody waits for that.
            let _ = session.sign_off(self.exchange.replica()).await;
        }
    }

    /// One round; one that panics is an outage that lasts until a further run has a good one.
    async fn sync_or_unwind(&mut self) {
        // By itself the limiter would go on to admit whole limits that nobody shares any more.
        if let Err(panic) = AssertUnwindSafe(self.sync_once()).catch_unwind().await {
            self.note_outage(&SyncFault::Panicked);
            resume_unwind(panic);
        }
    }

    /// One round: connects when that is due, announces this replica when that is due, exchanges.
    pub async fn sync_once(&mut self) {
        if self.session.is_none() && !self.backoff.is_due(self.clock.now()) {
            return;
        }
        match self.round().await {
            Ok(()) => self.note_success(),
            Err(fault) => self.note_outage(&fault),
        }
    }

    async fn round(&mut self) -> Result<(), SyncFault> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.open().await?,
        };
        self.announce(&mut session).await?;
        self.exchange(&mut session).await?;
        self.session = Some(session);
        Ok(())
    }

    async fn open(&mut self) -> Result<Session, SyncFault> {
        let mut session = Session::open(&self.settings, self.clock.now()).await?;
        if !self.policy_warned
            && let Some(policy) = session.evicting_policy().await
        {
            self.policy_warned = true;
            tracing::warn!(
                policy,
                "Redis may evict counts of rate limits: set maxmemory-policy to noeviction"
            );
        }
        // The server may have lost everything: it is told all that is still counted.
        for shard in 0..Limiter::SHARDS {
            self.limiter.mark_unsynced(shard);
        }
        Ok(session)
    }

    /// When it is due: compares Redis' time, shows that this replica lives and counts the others.
    async fn announce(&mut self, session: &mut Session) -> Result<(), SyncFault> {
        let now = self.clock.now();
        if !session.is_due(now) {
            return Ok(());
        }
        let server_millis = session.time().await?;
        let ahead = self.limiter.epoch().align(server_millis, now, self.clock.now());
        if self.skew.note(ahead, now) {
            session.settle(now);
        }
        match session.sign_on(self.exchange.replica(), server_millis, now).await? {
            Ok(live) => {
                let known = self.status.replicas();
                let replicas = if session.is_settling(now) { live.max(known) } else { live };
                self.status.set_replicas(replicas);
                self.limiter.set_replicas(replicas);
            }
            // As many as were last known.
            Err(odd) => self.exchange.note(&self.settings.keyspace().replicas(), odd, now),
        }
        Ok(())
    }

    async fn exchange(&mut self, session: &mut Session) -> Result<(), SyncFault> {
        self.exchange.collect(&self.limiter);
        let unseen = self.exchange.run(session, &self.limiter, self.clock.as_ref()).await?;
        self.status.note_unseen(unseen);
        Ok(())
    }

    fn note_success(&mut self) {
        self.backoff.succeeded();
        self.limiter.set_share(Share::WHOLE);
        if self.status.begin_sharing(self.clock.now()) {
            tracing::info!(
                url = self.settings.redacted_url(),
                replicas = self.status.replicas(),
                "Rate limiting resumed: replicas share their counts again"
            );
        }
    }

    fn note_outage(&mut self, fault: &SyncFault) {
        let now = self.clock.now();
        self.session = None;
        self.backoff.failed(now);
        let replicas = self.status.replicas();
        self.limiter.set_share(Share::one_of(replicas));
        if self.status.begin_outage(now) {
            tracing::warn!(
                reason = "redis_unavailable",
                cause = %fault,
                url = self.settings.redacted_url(),
                replicas,
                effect = "counting locally, with this replica's share of every limit",
                hint = fault.hint(),
                "Rate limiting skipped"
            );
        }
        self.exchange.drop_expired(&self.limiter, now);
    }
}

#[cfg(test)]
mod tests;
