//! What stands in Redis and makes no sense, and what speaks as Redis and is none.

use super::stub::Stub;
use super::*;

/// The key of the only window that is told under this limit.
async fn counts_key(redis: &Server) -> String {
    let keys = redis.keys().await;
    keys.into_iter().find(|key| key.contains(":limit:")).unwrap()
}

#[tokio::test]
async fn a_key_that_cannot_be_read_is_counted_by_shares_and_all_others_go_on() {
    let spoilers: [&[&str]; 3] = [&["SET", "", "abc"], &["RPUSH", "", "1"], &["SADD", "", "1"]];
    for spoil in spoilers {
        let log = Log::capture();
        let redis = Server::start();
        let mut replicas = two_that_know_each_other(&redis).await;
        assert_eq!(replicas.each_ref().map(|replica| replica.admitted(ALICE, 10)), [10, 10]);
        sync_all(&mut replicas).await;
        let key = counts_key(&redis).await;
        redis.command(&["DEL", &key]).await;
        redis.command(&[spoil[0], &key, spoil[2]]).await;

        assert_eq!(replicas[0].admitted(BOB, 60), 60);
        for replica in &replicas {
            assert_eq!(replica.admitted(ALICE, 1), 1);
        }
        sync_all(&mut replicas).await;
        assert!(replicas.iter().all(|replica| replica.state().connected), "{spoil:?}");
        let shares = replicas.each_ref().map(|replica| replica.admitted(ALICE, 1_000));
        assert_eq!(shares, [39, 39], "{spoil:?}");
        replicas[1].admitted(BOB, 1);
        sync_all(&mut replicas).await;
        assert_eq!(replicas[1].remaining(BOB), 39, "{spoil:?}");

        let told = format!("\"key\":\"{key}\"");
        assert_eq!(log.lines(&told), 2, "once by each: {}", log.text());
        assert!(replicas.iter().all(|replica| replica.metrics.odd_answers.get() >= 1));
        assert_eq!(log.lines("Rate limiting skipped"), 0);

        redis.command(&["DEL", &key]).await;
        replicas.iter().for_each(Replica::queue_everything);
        sync_all(&mut replicas).await;
        replicas.iter().for_each(Replica::queue_everything);
        sync_all(&mut replicas).await;
        assert_eq!(replicas.each_ref().map(|replica| replica.remaining(ALICE)), [0, 0]);
        assert_eq!(redis.total(ALICE.probe().fingerprint()).await, 100);
    }
}

#[tokio::test]
async fn a_hash_of_more_fields_than_replicas_is_not_read_whole_and_all_others_go_on() {
    let log = Log::capture();
    let redis = Server::start();
    let mut replicas = two_that_know_each_other(&redis).await;
    assert_eq!(replicas.each_ref().map(|replica| replica.admitted(ALICE, 10)), [10, 10]);
    sync_all(&mut replicas).await;
    let key = counts_key(&redis).await;
    let plant = async |fields: std::ops::Range<usize>| {
        let script = "for i = ARGV[1], ARGV[2] do redis.call('HSET', KEYS[1], i, 0) end";
        let (first, last) = (fields.start.to_string(), (fields.end - 1).to_string());
        redis.command(&["EVAL", script, "1", &key, &first, &last]).await;
    };
    let odd = |replicas: &[Replica; 2]| {
        replicas.each_ref().map(|replica| replica.metrics.odd_answers.get())
    };

    plant(0..1_022).await;
    assert_eq!(replicas[0].admitted(ALICE, 1), 1);
    replicas[0].sync.sync_once().await;
    assert_eq!(replicas[0].remaining(ALICE), 79);
    assert_eq!(odd(&replicas), [0, 0], "as many as there may be");

    for thousands in 1..100 {
        plant(thousands * 1_000..(thousands + 1) * 1_000).await;
    }
    let sent = redis.sent().await;
    assert_eq!(replicas[0].admitted(BOB, 60), 60);
    assert_eq!(replicas.each_ref().map(|replica| replica.admitted(ALICE, 1)), [1, 1]);
    sync_all(&mut replicas).await;
    replicas[1].admitted(BOB, 1);
    sync_all(&mut replicas).await;
    assert!(replicas.iter().all(|replica| replica.state().connected), "{}", log.text());
    assert_eq!(odd(&replicas), [1, 1]);
    assert_eq!(log.lines(&format!("\"key\":\"{key}\"")), 2, "once by each: {}", log.text());
    assert_eq!(replicas[1].remaining(BOB), 39);
    let shares = replicas.each_ref().map(|replica| replica.admitted(ALICE, 1_000));
    assert_eq!(shares, [38, 39]);
    let sent = redis.sent().await - sent;
    assert!(sent < 500_000, "{sent} bytes");
}

#[tokio::test]
async fn a_field_that_is_no_count_costs_nobody_anything() {
    for odd in ["abc", "-1", "1.5", "123456789012345678901234", ""] {
        let log = Log::capture();
        let redis = Server::start();
        let mut replicas = two_that_know_each_other(&redis).await;
        assert_eq!(replicas[0].admitted(ALICE, 60), 60);
        replicas[0].sync.sync_once().await;
        let key = counts_key(&redis).await;
        redis.command(&["HSET", &key, "evil", odd]).await;
        replicas[1].admitted(ALICE, 1);
        sync_all(&mut replicas).await;
        assert!(replicas.iter().all(|replica| replica.state().connected), "{odd}");
        assert_eq!(replicas[1].admitted(ALICE, 1_000), 39, "{odd}");
        assert!(log.text().contains(&key), "{}", log.text());
        assert_eq!(log.lines("Rate limiting skipped"), 0);
    }
}

#[tokio::test]
async fn a_key_of_replicas_that_is_something_else_leaves_their_number_and_expires() {
    let log = Log::capture();
    let redis = Server::start();
    let mut replicas = two_that_know_each_other(&redis).await;
    let key = "ag:v1:store:replicas";
    redis.command(&["DEL", key]).await;
    redis.command(&["SET", key, "x"]).await;
    for _ in 0..3 {
        replicas.iter().for_each(Replica::wait_out_the_backoff);
        sync_all(&mut replicas).await;
        assert!(replicas.iter().all(|replica| replica.state().connected));
        assert_eq!(replicas.each_ref().map(|replica| replica.state().replicas), [2, 2]);
    }
    assert_eq!(log.lines(key), 2, "once by each: {}", log.text());
    let expiry: i64 = redis.query(&["PTTL", key]).await;
    assert!((1..=60_000).contains(&expiry), "{expiry}");
    // From now on nobody keeps it alive.
    redis.command(&["PERSIST", key]).await;
    replicas.iter().for_each(Replica::wait_out_the_backoff);
    sync_all(&mut replicas).await;
    assert_eq!(redis.query::<i64>(&["PTTL", key]).await, -1);
    redis.command(&["DEL", key]).await;
    replicas.iter().for_each(Replica::wait_out_the_backoff);
    sync_all(&mut replicas).await;
    let live: u32 = redis.query(&["ZCARD", key]).await;
    assert_eq!(live, 2);
}

#[tokio::test]
async fn whatever_speaks_as_redis_neither_lifts_a_limit_nor_stops_a_request() {
    let deep = b"*1\r\n".repeat(500);
    let wordy = format!("-ERR {}\r\n", "x".repeat(100_000));
    let answers: [Option<&[u8]>; 27] = [
        Some(b":5\r\n"),
        Some(b":-5\r\n"),
        Some(b":99999999999999999999\r\n"),
        Some(b"+OK\r\n"),
        Some(b"$-1\r\n"),
        Some(b"$3\r\nabc\r\n"),
        Some(b"*0\r\n"),
        Some(b"*-1\r\n"),
        Some(b"*1\r\n*1\r\n$1\r\n5\r\n"),
        Some(b"*2\r\n$24\r\n123456789012345678901234\r\n$1\r\n0\r\n"),
        Some(b"-WRONGTYPE x\r\n"),
        Some(b"-LOADING x\r\n"),
        Some(b"-READONLY x\r\n"),
        Some(b"-NOAUTH x\r\n"),
        Some(b"-OOM x\r\n"),
        Some(b"*5\r\n$1\r\n1"),
        Some(b"*1000000000\r\n"),
        Some(b"$1000000000\r\nx"),
        Some(b"*2\r\n$1\r\n0\r\n*1\r\n$1\r\n5\r\n"),
        Some(b"*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        Some(b"*2\r\n$1\r\n9\r\n*2\r\n$1\r\na\r\n$1\r\n5\r\n"),
        Some(b"*2\r\n$1\r\n0\r\n*1000000000\r\n"),
        Some(b"*2\r\n*0\r\n*0\r\n"),
        Some(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        Some(&deep),
        Some(wordy.as_bytes()),
        None,
    ];
    let now = SystemClock.now().unix_millis();
    let silence: &[u8] = b"";
    let all = answers.iter().copied().chain([Some(silence)]);
    // Whose answers are only looked at for errors.
    let of_writes = [answers[10], answers[14], answers[23], Some(silence), None];
    let cases =
        ["TIME", "ZCARD", "HSCAN"].into_iter().flat_map(|name| all.clone().map(move |a| (name, a)));
    let writes =
        ["ZADD", "HSET", "PEXPIRE"].into_iter().flat_map(|name| of_writes.map(|a| (name, a)));
    for (command, answer) in cases.chain(writes) {
        let name = format!("{command} {:?}", answer.map(|bytes| &bytes[..bytes.len().min(30)]));
        let log = Log::capture();
        let stub = Stub::at(now).await;
        let mut replica = Replica::of(&stub.url());
        let timeout = Duration::from_millis(20);
        replica.sync.settings =
            RedisSettings::new(&stub.url(), "store", INTERVAL, timeout).unwrap();
        until_connected(&mut replica, &log).await;
        assert_eq!(replica.admitted(ALICE, 30), 30, "{name}");
        stub.answer(command, answer);
        replica.wait_out_the_backoff();
        replica.sync.sync_once().await;
        assert_eq!(replica.admitted(ALICE, 200), 70, "{name}");
        assert_eq!(replica.admitted(BOB, 200), 100, "{name}");
        assert!(log.text().len() < 10_000, "{name}: {}", log.text());
        stub.answer_well();
        until_connected(&mut replica, &log).await;
        assert_eq!(replica.admitted(ALICE, 200), 0, "{name}");
    }
}

async fn until_connected(replica: &mut Replica, log: &Log) {
    for _ in 0..200 {
        replica.wait_out_the_backoff();
        replica.sync.sync_once().await;
        if replica.state().connected {
            return;
        }
    }
    panic!("the exchange does not recover: {}", log.text());
}

#[tokio::test]
async fn a_jump_of_redis_clock_gives_nobody_a_fresh_window() {
    const HOURS: u64 = 48 * 3_600_000;
    type Jump = fn(u64) -> u64;
    let jumps: [Jump; 2] = [|millis| millis + HOURS, |millis| millis - HOURS];
    for jump in jumps {
        let log = Log::capture();
        let start = SystemClock.now().unix_millis();
        let stub = Stub::at(start).await;
        let mut replica = Replica::of(&stub.url());
        stub.set_time(replica.clock.now().unix_millis());
        replica.sync.sync_once().await;
        assert_eq!(replica.admitted(ALICE, 1_000), 100);
        for _ in 0..5 {
            replica.clock.advance(Duration::from_secs(1));
            stub.set_time(jump(replica.clock.now().unix_millis()));
            replica.sync.sync_once().await;
            assert_eq!(replica.admitted(ALICE, 1_000), 0);
        }
        assert!(replica.state().connected);
        assert_eq!(replica.metrics.clock_jumps.get(), 1);
        assert!(replica.metrics.clock_ahead.get().abs() > 172_000.0);
        assert_eq!(log.lines("the clock of Redis has jumped"), 1, "{}", log.text());

        stub.set_time(replica.clock.now().unix_millis());
        replica.clock.advance(Duration::from_secs(1));
        replica.sync.sync_once().await;
        assert_eq!(replica.admitted(ALICE, 1_000), 0);
        assert_eq!(replica.metrics.clock_jumps.get(), 2, "back again");
        assert!(replica.metrics.clock_ahead.get().abs() < 2.0);
    }
}

#[tokio::test]
async fn replicas_that_seem_gone_after_a_jump_are_still_counted() {
    let stub = Stub::at(SystemClock.now().unix_millis()).await;
    let mut replica = Replica::of(&stub.url());
    stub.set_time(replica.clock.now().unix_millis());
    stub.answer("ZCARD", Some(b":3\r\n"));
    replica.sync.sync_once().await;
    assert_eq!(replica.state().replicas, 3);
    stub.answer("ZCARD", Some(b":1\r\n"));
    for seconds in [6, 3, 3] {
        replica.clock.advance(Duration::from_secs(seconds));
        stub.set_time(replica.clock.now().unix_millis() + 3_600_000);
        replica.sync.sync_once().await;
        let expected = if seconds == 6 { 3 } else { replica.state().replicas };
        assert_eq!(replica.state().replicas, expected);
    }
    assert_eq!(replica.state().replicas, 1, "and not for ever");
}
