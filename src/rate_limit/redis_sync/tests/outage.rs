//! Redis is away, refuses, or is not asked.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;

use super::*;
use crate::clock::Now;

#[tokio::test]
async fn without_redis_each_replica_admits_its_share_and_afterwards_nothing_is_counted_twice() {
    let log = Log::capture();
    let mut redis = Server::start();
    let mut replicas = [Replica::of(&redis.url()), Replica::of(&redis.url())];
    replicas[0].admitted(ALICE, 60);
    replicas[1].admitted(ALICE, 30);
    sync_all(&mut replicas).await;
    replicas.iter().for_each(Replica::wait_out_the_backoff);
    replicas.iter().for_each(Replica::queue_everything);
    sync_all(&mut replicas).await;

    redis.stop();
    for _ in 0..3 {
        replicas.iter().for_each(Replica::wait_out_the_backoff);
        sync_all(&mut replicas).await;
    }
    assert!(replicas.iter().all(|replica| !replica.state().connected));
    assert_eq!(replicas[0].admitted(ALICE, 1_000), 0, "more than its half already");
    assert_eq!(replicas[1].admitted(ALICE, 1_000), 10, "what was known of the other still counts");
    assert_eq!(replicas[0].admitted(BOB, 1_000), 50);
    assert_eq!(replicas[1].admitted(BOB, 1_000), 50);

    redis.restart();
    replicas.iter().for_each(Replica::wait_out_the_backoff);
    sync_all(&mut replicas).await;
    replicas.iter().for_each(Replica::queue_everything);
    sync_all(&mut replicas).await;
    assert!(replicas.iter().all(|replica| replica.state().connected));
    assert!(replicas.iter().all(|replica| replica.admitted(ALICE, 10) == 0));
    assert_eq!(replicas[1].state().replicas, 2);
    for key in [ALICE, BOB] {
        let fingerprint = key.probe().fingerprint();
        assert_eq!(redis.total(fingerprint).await, 100);
    }
    assert_eq!(log.lines(r#""message":"Rate limiting skipped""#), 2, "one for each replica");
    assert_eq!(log.lines(r#""reason":"redis_unavailable""#), 2);
    assert_eq!(log.lines("Rate limiting resumed"), 2);
    assert!(log.text().contains(r#""replicas":2"#));
}

#[tokio::test]
async fn a_wrong_password_leaves_the_whole_limit_to_a_lone_replica_and_is_not_logged() {
    let log = Log::capture();
    let redis = Server::start();
    redis.command(&["CONFIG", "SET", "requirepass", "s3cret"]).await;
    for (credentials, code) in [(":hunter2@", "WRONGPASS"), ("", "NOAUTH")] {
        let mut replica = Replica::of(&redis.url().replace("//", &format!("//{credentials}")));
        replica.sync.sync_once().await;
        assert!(!replica.state().connected);
        assert_eq!(replica.admitted(ALICE, 1_000), 100);
        assert!(log.text().contains(code), "{}", log.text());
    }
    assert_eq!(log.lines("Rate limiting skipped"), 2);
    assert!(!log.text().contains("hunter2"));
    let mut replica = Replica::of(&redis.url().replace("//", "//:s3cret@"));
    replica.sync.sync_once().await;
    assert!(replica.state().connected);
    assert!(!log.text().contains("s3cret"));
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_is_an_outage_until_it_takes_them_again() {
    let cases: [(&str, &[&str], &[&str]); 2] = [
        ("READONLY", &["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
        ("OOM", &["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
    ];
    for (code, break_it, mend_it) in cases {
        let log = Log::capture();
        let redis = Server::start();
        let mut replica = Replica::of(&redis.url());
        replica.sync.sync_once().await;
        assert!(replica.state().connected);
        redis.command(break_it).await;
        assert_eq!(replica.admitted(ALICE, 10), 10);
        replica.sync.sync_once().await;
        assert!(!replica.state().connected, "{code}");
        assert!(log.text().contains(code), "{}", log.text());
        assert_eq!(replica.admitted(ALICE, 1_000), 90);
        redis.command(mend_it).await;
        replica.wait_out_the_backoff();
        replica.sync.sync_once().await;
        assert!(replica.state().connected, "{code}");
        assert_eq!(redis.total(ALICE.probe().fingerprint()).await, 100);
        assert_eq!(log.lines("Rate limiting skipped"), 1);
        assert_eq!(log.lines("Rate limiting resumed"), 1);
    }
}

#[tokio::test]
async fn a_redis_that_hangs_is_given_up_after_the_timeout() {
    let log = Log::capture();
    let redis = Server::start();
    let mut replica = Replica::of(&redis.url());
    let timeout = Duration::from_millis(50);
    replica.sync.settings = RedisSettings::new(&redis.url(), "store", INTERVAL, timeout).unwrap();
    replica.sync.sync_once().await;
    redis.signal("STOP");
    replica.admitted(ALICE, 10);
    replica.sync.sync_once().await;
    assert!(!replica.state().connected);
    assert!(log.text().contains("did not answer within 50ms"), "{}", log.text());
    redis.signal("CONT");
    replica.wait_out_the_backoff();
    replica.sync.sync_once().await;
    assert!(replica.state().connected);
    assert_eq!(redis.total(ALICE.probe().fingerprint()).await, 10);
}

#[tokio::test]
async fn an_unreachable_redis_never_means_unlimited() {
    let mut redis = Server::start();
    redis.stop();
    let mut replica = Replica::of(&redis.url());
    assert_eq!(replica.admitted(ALICE, 50), 50);
    replica.sync.sync_once().await;
    assert_eq!(replica.admitted(ALICE, 1_000), 50);
    assert_eq!(replica.state().replicas, 1);
    assert!(replica.sync.status().worst_case_overage().abs() < f64::EPSILON);
}

#[tokio::test]
async fn an_outage_does_not_keep_expired_windows_alive() {
    let mut redis = Server::start();
    redis.stop();
    let mut replica = Replica::of(&redis.url());
    replica.admitted(ALICE, 5);
    replica.sync.sync_once().await;
    assert_eq!(replica.sync.exchange.pending(), 1);
    replica.enter_next_window();
    replica.enter_next_window();
    replica.sync.sync_once().await;
    assert_eq!(replica.sync.exchange.pending(), 0);
}

/// Panics once, at the reading that is set.
#[derive(Debug)]
struct Stumbling {
    clock: Arc<ManualClock>,
    left: AtomicUsize,
}

impl Clock for Stumbling {
    fn now(&self) -> Now {
        assert_ne!(self.left.fetch_sub(1, Ordering::SeqCst), 1, "a panic on purpose");
        self.clock.now()
    }
}

#[tokio::test]
async fn a_round_that_panics_is_an_outage_until_the_next_run_has_a_good_one() {
    for reading in 1..=4 {
        let log = Log::capture();
        let redis = Server::start();
        let [mut replica, mut other] = two_that_know_each_other(&redis).await;
        assert_eq!(replica.admitted(ALICE, 10), 10);
        let clock = Arc::clone(&replica.clock);
        replica.sync.clock = Arc::new(Stumbling { clock, left: AtomicUsize::new(reading) });
        let (_stop, stopped) = watch::channel(false);
        let run = AssertUnwindSafe(replica.sync.run(stopped.clone())).catch_unwind();
        assert!(run.await.is_err(), "the job is to know");
        let SyncState { connected, replicas, .. } = replica.state();
        assert_eq!((connected, replicas), (false, 2), "{reading}");
        assert_eq!(replica.admitted(BOB, 1_000), 50, "{reading}");
        assert_eq!(log.lines("Rate limiting skipped"), 1);
        assert_eq!(log.lines("the exchange with redis panicked"), 1);

        replica.wait_out_the_backoff();
        let status = replica.sync.status();
        let connected = async {
            while !status.state().connected {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = replica.sync.run(stopped) => panic!("nobody has stopped it"),
            () = connected => {}
        }
        assert_eq!(replica.limiter.share(), Share::WHOLE);
        assert_eq!(log.lines("Rate limiting resumed"), 1);
        for (key, told) in [(ALICE, 10), (BOB, 50)] {
            assert_eq!(redis.total(key.probe().fingerprint()).await, told, "{reading}");
            other.admitted(key, 1);
        }
        other.sync.sync_once().await;
        assert_eq!((other.remaining(ALICE), other.remaining(BOB)), (89, 49), "{reading}");
    }
}
