use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::{Clock, ManualClock, SystemClock};
use crate::metrics::Metrics;
use crate::rate_limit::{EpochMillis, KeyKind, KeyRef, Limit, LimitId};

mod odd;
mod outage;
mod server;
mod stub;

use crate::telemetry::testing::Log;
use server::Server;

const INTERVAL: Duration = Duration::from_millis(100);
const ALICE: KeyRef<'static> = KeyRef::Text("alice");
const BOB: KeyRef<'static> = KeyRef::Text("bob");

struct Replica {
    clock: Arc<ManualClock>,
    limiter: Arc<Limiter>,
    limit: LimitId,
    sync: RedisSync,
    metrics: ExchangeMetrics,
}

impl Replica {
    /// With a limit of 100.
    fn of(url: &str) -> Self {
        Self::limiting(url, 100)
    }

    /// With a limit whose window neither begins nor ends anywhere near the test.
    fn limiting(url: &str, requests: u32) -> Self {
        let unix_millis = SystemClock.now().unix_millis();
        let length = |seconds| Limit::new("shared", KeyKind::Principal, requests, seconds).unwrap();
        let limit =
            (3_600..7_200).map(|seconds| length(Duration::from_secs(seconds))).find(|limit| {
                let allowance = limit.allowance().unwrap();
                let (_, elapsed) = allowance.position(EpochMillis(unix_millis));
                (allowance.window_millis() / 4..allowance.window_millis() / 2).contains(&elapsed)
            });
        let clock = Arc::new(ManualClock::starting_at(unix_millis));
        let limiter = Limiter::new(vec![limit.unwrap()], 10_000, clock.now()).unwrap();
        let limiter = Arc::new(limiter);
        let second = Duration::from_secs(1);
        let settings = RedisSettings::new(url, "store", INTERVAL, second).unwrap();
        let metrics = Metrics::new().unwrap().exchange;
        let sync = RedisSync::new(settings, Arc::clone(&limiter), clock.clone(), metrics.clone());
        let limit = limiter.find("shared").unwrap();
        Self { clock, limiter, limit, sync, metrics }
    }

    fn admitted(&self, key: KeyRef<'_>, requests: usize) -> usize {
        let charge = || self.limiter.charge(self.limit, key, self.clock.now());
        (0..requests).filter(|_| charge().is_ok()).count()
    }

    fn remaining(&self, key: KeyRef<'_>) -> u32 {
        let standing = self.limiter.peek(self.limit, key, self.clock.now());
        standing.map_or(0, |standing| standing.unwrap().remaining)
    }

    fn state(&self) -> SyncState {
        self.sync.status().state()
    }

    /// A round without the heartbeat, which would take Redis' time over from the moved clock.
    async fn exchange(&mut self) {
        let mut session = self.sync.session.take().unwrap();
        self.sync.exchange(&mut session).await.unwrap();
        self.sync.session = Some(session);
    }

    fn enter_next_window(&self) {
        let (_, allowance) = self.limiter.counting(self.limit).unwrap();
        let (_, elapsed) = allowance.position(self.limiter.epoch().at(self.clock.now()));
        self.clock.advance(Duration::from_millis(allowance.window_millis() - elapsed));
    }

    fn queue_everything(&self) {
        (0..Limiter::SHARDS).for_each(|shard| self.limiter.mark_unsynced(shard));
    }

    /// Longer than any delay between two attempts.
    fn wait_out_the_backoff(&self) {
        self.clock.advance(Duration::from_secs(5));
    }
}

async fn sync_all(replicas: &mut [Replica]) {
    for replica in replicas {
        replica.sync.sync_once().await;
    }
}

async fn two_that_know_each_other(redis: &Server) -> [Replica; 2] {
    let mut replicas = [Replica::of(&redis.url()), Replica::of(&redis.url())];
    sync_all(&mut replicas).await;
    replicas.iter().for_each(Replica::wait_out_the_backoff);
    sync_all(&mut replicas).await;
    assert_eq!(replicas.each_ref().map(|replica| replica.state().replicas), [2, 2]);
    replicas
}

#[tokio::test]
async fn two_replicas_count_as_one() {
    let redis = Server::start();
    let mut replicas = [Replica::of(&redis.url()), Replica::of(&redis.url())];
    assert_eq!(replicas[0].admitted(ALICE, 60), 60);
    assert_eq!(replicas[1].admitted(ALICE, 30), 30);
    sync_all(&mut replicas).await;
    replicas[0].admitted(ALICE, 1);
    sync_all(&mut replicas).await;
    assert_eq!(replicas[0].remaining(ALICE), 9);
    assert_eq!(replicas[1].remaining(ALICE), 10, "not asked again since it was last charged");
    assert_eq!(replicas[0].admitted(ALICE, 1_000), 9);
    replicas[1].admitted(ALICE, 1);
    sync_all(&mut replicas).await;
    assert_eq!(replicas[0].admitted(ALICE, 1_000) + replicas[1].admitted(ALICE, 1_000), 0);
    assert_eq!(replicas[1].state().replicas, 2);
}

#[tokio::test]
async fn three_replicas_admit_at_most_what_one_interval_hides() {
    const PER_INTERVAL: usize = 7;
    let redis = Server::start();
    let mut replicas = [(); 3].map(|()| Replica::of(&redis.url()));
    sync_all(&mut replicas).await;
    let mut admitted = 0;
    for _ in 0..30 {
        for replica in &replicas {
            admitted += replica.admitted(ALICE, PER_INTERVAL);
        }
        sync_all(&mut replicas).await;
    }
    assert!((100..=100 + 2 * PER_INTERVAL).contains(&admitted), "{admitted}");
    let worst = replicas.each_ref().map(|replica| replica.sync.status().worst_case_overage());
    assert!(worst.iter().any(|part| *part >= 0.07), "{worst:?}");
    assert!(worst.iter().all(|part| *part <= 0.21), "{worst:?}");
}

#[tokio::test]
async fn the_largest_limit_is_shared_to_its_last_request() {
    let redis = Server::start();
    let mut replica = Replica::limiting(&redis.url(), Limit::MAX_REQUESTS);
    replica.admitted(ALICE, 5);
    let (name, allowance) = replica.limiter.counting(replica.limit).unwrap();
    let (index, _) = allowance.position(replica.limiter.epoch().at(replica.clock.now()));
    let keyspace = replica.sync.settings.keyspace();
    let key = keyspace.counts(name, index, ALICE.probe().fingerprint());
    redis.command(&["HSET", &key, "another", "999999993"]).await;
    replica.sync.sync_once().await;
    assert_eq!(replica.remaining(ALICE), 2);
    assert_eq!(replica.admitted(ALICE, 10), 2);
    // More than one replica can have admitted it while they did not hear of each other.
    redis.command(&["HSET", &key, "a third", "4000000000"]).await;
    replica.admitted(ALICE, 1);
    replica.queue_everything();
    replica.sync.sync_once().await;
    assert_eq!(replica.admitted(ALICE, 10), 0);
    replica.enter_next_window();
    assert_eq!(replica.admitted(ALICE, 10), 0);
}

#[tokio::test]
async fn telling_the_same_counts_again_changes_nothing() {
    let redis = Server::start();
    let mut replicas = [Replica::of(&redis.url()), Replica::of(&redis.url())];
    replicas[0].admitted(ALICE, 20);
    replicas[1].admitted(ALICE, 30);
    for _ in 0..5 {
        replicas.iter().for_each(Replica::queue_everything);
        sync_all(&mut replicas).await;
    }
    assert_eq!(replicas.each_ref().map(|replica| replica.remaining(ALICE)), [50, 50]);
}

#[tokio::test]
async fn a_replica_that_joins_in_the_next_window_learns_the_previous_one() {
    let redis = Server::start();
    let mut replicas = [Replica::of(&redis.url()), Replica::of(&redis.url())];
    sync_all(&mut replicas).await;
    replicas[0].admitted(ALICE, 80);
    replicas[0].exchange().await;
    replicas.iter().for_each(Replica::enter_next_window);
    assert_eq!(replicas[1].admitted(ALICE, 1), 1);
    replicas[1].exchange().await;
    assert_eq!(replicas[1].remaining(ALICE), 20);
}

#[tokio::test]
async fn the_last_counts_of_a_window_are_told_after_its_end() {
    let redis = Server::start();
    let mut replicas = [Replica::of(&redis.url()), Replica::of(&redis.url())];
    sync_all(&mut replicas).await;
    replicas[0].admitted(ALICE, 80);
    replicas.iter().for_each(Replica::enter_next_window);
    replicas[1].admitted(ALICE, 1);
    replicas[1].exchange().await;
    assert_eq!(replicas[1].remaining(ALICE), 99);
    replicas[0].exchange().await;
    replicas[1].admitted(ALICE, 1);
    replicas[1].exchange().await;
    assert_eq!(replicas[1].remaining(ALICE), 19);
}

#[tokio::test]
async fn counts_of_a_replica_that_was_restarted_are_not_forgotten() {
    let redis = Server::start();
    let mut first = Replica::of(&redis.url());
    first.admitted(ALICE, 70);
    first.sync.sync_once().await;
    drop(first);
    let mut second = Replica::of(&redis.url());
    second.admitted(ALICE, 1);
    second.sync.sync_once().await;
    assert_eq!(second.remaining(ALICE), 29);
}

#[tokio::test]
async fn many_keys_are_told_in_chunks() {
    let redis = Server::start();
    let mut replicas = [Replica::of(&redis.url()), Replica::of(&redis.url())];
    let keys: Vec<String> = (0..2_500).map(|number| format!("user-{number}")).collect();
    for replica in &mut replicas {
        for key in &keys {
            replica.admitted(KeyRef::Text(key), 40);
        }
        replica.sync.sync_once().await;
    }
    assert!(keys.iter().all(|key| replicas[1].remaining(KeyRef::Text(key)) == 20));
}

#[tokio::test]
async fn all_keys_expire_lie_below_our_prefix_and_name_nobody() {
    let redis = Server::start();
    let mut replica = Replica::of(&redis.url());
    replica.admitted(ALICE, 5);
    replica.sync.sync_once().await;
    let keys = redis.keys().await;
    assert_eq!(keys.len(), 2);
    for key in keys {
        assert!(key.starts_with("ag:v1:store:"), "{key}");
        assert!(!key.contains("alice"), "{key}");
        let expiry: i64 = redis.query(&["PTTL", &key]).await;
        assert!(expiry > 0, "{key} {expiry}");
    }
}

#[tokio::test]
async fn a_replica_that_signs_off_leaves_its_share_to_the_others() {
    let redis = Server::start();
    let mut replicas = [(); 3].map(|()| Replica::of(&redis.url()));
    sync_all(&mut replicas).await;
    assert_eq!(replicas[2].state().replicas, 3);
    let [mut stays, mut leaves, _] = replicas;
    let (stop, stopped) = watch::channel(true);
    leaves.sync.run(stopped).await;
    drop(stop);
    stays.clock.advance(Duration::from_secs(6));
    stays.sync.sync_once().await;
    assert_eq!(stays.state().replicas, 2);
}

#[tokio::test]
async fn running_exchanges_until_shutdown_and_tells_the_rest() {
    let redis = Server::start();
    let Replica { clock, limiter, limit, sync, .. } = Replica::of(&redis.url());
    let status = sync.status();
    let (stop, stopped) = watch::channel(false);
    let mut sync = sync;
    let running = tokio::spawn(async move { sync.run(stopped).await });
    while !status.state().connected {
        tokio::task::yield_now().await;
    }
    limiter.charge(limit, ALICE, clock.now()).unwrap();
    stop.send(true).unwrap();
    running.await.unwrap();
    assert_eq!(redis.total(ALICE.probe().fingerprint()).await, 1);
    let replicas: usize = redis.query(&["ZCARD", "ag:v1:store:replicas"]).await;
    assert_eq!(replicas, 0);
}

#[tokio::test]
async fn a_redis_that_may_evict_is_warned_about_once() {
    let log = Log::capture();
    let mut redis = Server::start();
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    let mut replica = Replica::of(&redis.url());
    replica.sync.sync_once().await;
    redis.stop();
    replica.wait_out_the_backoff();
    replica.sync.sync_once().await;
    assert!(!replica.state().connected);
    redis.restart();
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    replica.wait_out_the_backoff();
    replica.sync.sync_once().await;
    assert!(replica.state().connected);
    assert_eq!(log.lines("set maxmemory-policy to noeviction"), 1);
}

#[tokio::test]
async fn a_replica_that_died_before_redis_clock_was_set_back_is_no_longer_counted() {
    let redis = Server::start();
    let mut replicas = [Replica::of(&redis.url()), Replica::of(&redis.url())];
    let key = "ag:v1:store:replicas";
    let (seconds, _): (u64, u64) = redis.query(&["TIME"]).await;
    let sign_on = async |millis: u64, replica: &str| {
        redis.command(&["ZADD", key, &millis.to_string(), replica]).await;
    };
    sign_on(seconds * 1_000, "dead").await;
    sync_all(&mut replicas).await;
    assert_eq!(replicas[1].state().replicas, 3);

    let before_the_step = (seconds + 3_600) * 1_000;
    let alive = replicas.each_ref().map(|replica| replica.sync.exchange.replica().to_owned());
    for replica in ["dead", &alive[0], &alive[1]] {
        sign_on(before_the_step, replica).await;
    }
    // In steps that are none of Redis' clock for the replicas.
    for _ in 0..7 {
        for replica in &replicas {
            replica.clock.advance(Duration::from_secs(1));
        }
        sync_all(&mut replicas).await;
    }
    assert_eq!(replicas.each_ref().map(|replica| replica.state().replicas), [2, 2]);
    let signs: Vec<(String, u64)> = redis.query(&["ZRANGE", key, "0", "-1", "WITHSCORES"]).await;
    assert_eq!(signs.len(), 2);
    assert!(signs.iter().all(|(name, at)| alive.contains(name) && *at < before_the_step));
}
