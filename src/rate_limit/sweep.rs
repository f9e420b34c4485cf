//! Forgetting keys that stopped calling.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::limiter::Limiter;
use super::shutdown;
use crate::clock::SharedClock;

const PERIOD: Duration = Duration::from_secs(1);

/// Buckets swept under one hold of a shard's lock.
const BATCH: usize = 512;

/// Sweeps the table about once a second, in small steps, until `shutdown` is true.
pub async fn sweep_until_shutdown(
    limiter: Arc<Limiter>,
    clock: SharedClock,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = period.tick() => sweep_once(&limiter, &clock).await,
            () = shutdown::requested(&mut shutdown) => return,
        }
    }
}

pub(super) async fn sweep_once(limiter: &Limiter, clock: &SharedClock) {
    for shard in 0..Limiter::SHARDS {
        let mut swept = 0;
        while limiter.sweep(shard, BATCH, clock.now()) > swept + BATCH {
            swept += BATCH;
            tokio::task::yield_now().await;
        }
    }
}
