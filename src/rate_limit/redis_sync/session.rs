//! One connection to Redis, and the signs of life on it.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, Pipeline, Value};

use super::answer::{self, Odd};
use super::fault::SyncFault;
use super::settings::RedisSettings;
use crate::clock::{Now, millis};

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
    unsettled: Now,
    /// Whether the key of the replicas holds something else.
    is_taken: bool,
    announced: Option<Now>,
}

impl Session {
    pub(super) async fn open(settings: &RedisSettings, now: Now) -> Result<Self, SyncFault> {
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
        Ok(Self {
            connection,
            replicas_key,
            timeout,
            unsettled: now,
            is_taken: false,
            announced: None,
        })
    }

    /// The server's `maxmemory-policy` when it could throw counts away; `None` also when it does
    /// not tell, as managed services do.
    pub(super) async fn evicting_policy(&mut self) -> Option<String> {
        let mut ask = Pipeline::new();
        ask.cmd("CONFIG").arg("GET").arg("maxmemory-policy");
        let ((_, policy),): ((String, String),) = self.query(&ask).await.ok()?;
        (policy != "noeviction").then_some(policy)
    }

    /// Whether it is time for the next sign of life.
    pub(super) fn is_due(&self, now: Now) -> bool {
        self.announced.is_none_or(|before| now.since(before) >= ANNOUNCE_EVERY)
    }

    /// Redis' time in milliseconds since the Unix epoch.
    pub(super) async fn time(&mut self) -> Result<u64, SyncFault> {
        let mut ask = Pipeline::new();
        ask.cmd("TIME");
        let ((seconds, micros),): ((u64, u64),) = self.query(&ask).await?;
        Ok(seconds.saturating_mul(1_000).saturating_add(micros / 1_000))
    }

    /// Shows that `replica` lives, and counts the others.
    pub(super) async fn sign_on(
        &mut self,
        replica: &str,
        server_millis: u64,
        now: Now,
    ) -> Result<Result<u32, Odd>, SyncFault> {
        let gone_after = millis(GONE_AFTER);
        let key = &self.replicas_key;
        let mut announce = Pipeline::new();
        announce.cmd("ZADD").arg(key).arg(server_millis).arg(replica);
        let dead = server_millis.saturating_sub(gone_after);
        announce.cmd("ZREMRANGEBYSCORE").arg(key).arg("-inf").arg(dead);
        // Signs of life from before Redis' clock was set back; whoever lives gives another one.
        let ahead = server_millis.saturating_add(gone_after);
        announce.cmd("ZREMRANGEBYSCORE").arg(key).arg(format!("({ahead}")).arg("+inf");
        // What somebody else has put there is not kept alive.
        if !self.is_taken {
            announce.cmd("PEXPIRE").arg(key).arg(gone_after.saturating_mul(12));
        }
        announce.cmd("ZCARD").arg(key);
        let live = answer::members(self.query_each(announce).await?.into_iter())?;
        self.is_taken = live.is_err();
        self.announced = Some(now);
        Ok(live.map(|live| live.max(1)))
    }

    /// The others' signs of life may be missing for as long as they had no time for a new one.
    pub(super) fn settle(&mut self, now: Now) {
        self.unsettled = now;
    }

    /// Whether others may still be missing.
    pub(super) fn is_settling(&self, now: Now) -> bool {
        now.since(self.unsettled) < GONE_AFTER
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

    /// One round trip, each answer by itself: an error of one command is a value among the others.
    pub(super) async fn query_each(
        &mut self,
        mut pipeline: Pipeline,
    ) -> Result<Vec<Value>, SyncFault> {
        pipeline.ignore_errors();
        self.query(&pipeline).await
    }
}
