//! One connection to Redis, and the signs of life on it.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, Pipeline};

use super::super::epoch::Epoch;
use super::fault::SyncFault;
use super::settings::Settings;
use crate::clock::{Clock, Now};

/// How often a replica shows that it lives.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);

/// A replica that did not show for so long is gone.
const GONE_AFTER: Duration = Duration::from_secs(5);

/// A connection may need name resolution and a TLS handshake; nobody waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Session {
    connection: MultiplexedConnection,
    replicas_key: String,
    timeout: Duration,
    opened: Now,
    announced: Option<Now>,
}

impl Session {
    pub(super) async fn open(settings: &Settings, now: Now) -> Result<Self, SyncFault> {
        let timeout = settings.timeout();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT.max(timeout)))
            .set_response_timeout(Some(timeout));
        let connection = settings
            .client()
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| SyncFault::of(error, CONNECT_TIMEOUT.max(timeout)))?;
        let replicas_key = settings.keyspace().replicas();
        Ok(Self { connection, replicas_key, timeout, opened: now, announced: None })
    }

    /// The server's `maxmemory-policy` when it could throw counts away; `None` also when it does
    /// not tell, as managed services do.
    pub(super) async fn evicting_policy(&mut self) -> Option<String> {
        let mut ask = Pipeline::new();
        ask.cmd("CONFIG").arg("GET").arg("maxmemory-policy");
        let ((_, policy),): ((String, String),) = self.query(&ask).await.ok()?;
        (policy != "noeviction").then_some(policy)
    }

    /// When it is due: takes over Redis' time, shows that `replica` lives and counts the others.
    ///
    /// Just after connecting the others may not have come back themselves: until they had time
    /// to, the number that was `known` is not lowered.
    pub(super) async fn announce(
        &mut self,
        epoch: &Epoch,
        clock: &dyn Clock,
        replica: &str,
        known: u32,
    ) -> Result<Option<u32>, SyncFault> {
        let now = clock.now();
        if self.announced.is_some_and(|before| now.since(before) < ANNOUNCE_EVERY) {
            return Ok(None);
        }
        let server_millis = self.align(epoch, clock).await?;
        let live = self.sign_on(replica, server_millis).await?;
        self.announced = Some(now);
        let settling = now.since(self.opened) < GONE_AFTER;
        Ok(Some(if settling { live.max(known) } else { live }))
    }

    /// Lets the others have this replica's share at once.
    pub(super) async fn sign_off(&mut self, replica: &str) -> Result<(), SyncFault> {
        let mut leave = Pipeline::new();
        leave.cmd("ZREM").arg(&self.replicas_key).arg(replica).ignore();
        self.query(&leave).await
    }

    /// One round trip.
    pub(super) async fn query<T: FromRedisValue>(
        &mut self,
        pipeline: &Pipeline,
    ) -> Result<T, SyncFault> {
        let answer = pipeline.query_async(&mut self.connection).await;
        answer.map_err(|error| SyncFault::of(error, self.timeout))
    }

    async fn align(&mut self, epoch: &Epoch, clock: &dyn Clock) -> Result<u64, SyncFault> {
        let mut ask = Pipeline::new();
        ask.cmd("TIME");
        let sent = clock.now();
        let ((seconds, micros),): ((u64, u64),) = self.query(&ask).await?;
        let server_millis = seconds.saturating_mul(1_000).saturating_add(micros / 1_000);
        epoch.align(server_millis, sent, clock.now());
        Ok(server_millis)
    }

    async fn sign_on(&mut self, replica: &str, server_millis: u64) -> Result<u32, SyncFault> {
        let gone_after = u64::try_from(GONE_AFTER.as_millis()).unwrap_or(u64::MAX);
        let key = &self.replicas_key;
        let mut announce = Pipeline::new();
        announce.cmd("ZADD").arg(key).arg(server_millis).arg(replica).ignore();
        let dead = server_millis.saturating_sub(gone_after);
        announce.cmd("ZREMRANGEBYSCORE").arg(key).arg("-inf").arg(dead).ignore();
        announce.cmd("PEXPIRE").arg(key).arg(gone_after.saturating_mul(12)).ignore();
        announce.cmd("ZCARD").arg(key);
        let (live,): (u32,) = self.query(&announce).await?;
        Ok(live.max(1))
    }
}
