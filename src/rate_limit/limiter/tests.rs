use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::*;
use crate::clock::{Clock, ManualClock, SharedClock};
use crate::rate_limit::sweep::sweep_once;
use crate::rate_limit::{KeyKind, KeyRef};

const START: u64 = 1_700_000_000_000 / 3_600_000 * 3_600_000;

struct Story {
    clock: Arc<ManualClock>,
    limiter: Limiter,
    client: LimitId,
    principal: LimitId,
}

impl Story {
    fn with_room_for(max_keys: usize) -> Self {
        let clock = Arc::new(ManualClock::starting_at(START));
        let minute = Duration::from_mins(1);
        let limits = vec![
            Limit::new("client", KeyKind::ClientIp, 5, minute).unwrap(),
            Limit::new("principal", KeyKind::Principal, 3, minute).unwrap(),
        ];
        let limiter = Limiter::new(limits, max_keys, clock.now()).unwrap();
        let client = limiter.find("client").unwrap();
        let principal = limiter.find("principal").unwrap();
        Self { clock, limiter, client, principal }
    }

    fn admitted(&self, key: &str, requests: usize) -> usize {
        let charge = || self.limiter.charge(self.principal, KeyRef::Text(key), self.clock.now());
        (0..requests).filter(|_| charge().is_ok()).count()
    }

    fn admitted_client(&self, address: IpAddr, requests: usize) -> usize {
        let key = KeyRef::Client(address);
        let charge = || self.limiter.charge(self.client, key, self.clock.now());
        (0..requests).filter(|_| charge().is_ok()).count()
    }

    async fn sweep(&self) {
        let clock: SharedClock = self.clock.clone();
        sweep_once(&self.limiter, &clock).await;
    }
}

/// Each in a /64 of its own.
fn unique_address(number: u32) -> IpAddr {
    let [high, low] = [number >> 16, number & 0xffff].map(|half| u16::try_from(half).unwrap());
    Ipv6Addr::new(0x2001, 0xdb8, high, low, 0, 0, 0, 1).into()
}

#[test]
fn keys_and_limits_are_counted_apart() {
    let story = Story::with_room_for(100);
    assert_eq!(story.admitted("alice", 10), 3);
    assert_eq!(story.admitted("bob", 10), 3);
    assert_eq!(story.admitted_client(unique_address(1), 10), 5);
    let alice = KeyRef::Text("alice");
    assert!(story.limiter.charge(story.client, alice, story.clock.now()).is_ok());
    assert_eq!(story.limiter.keys(), 4);
}

#[test]
fn a_held_window_counts_with_the_table() {
    let story = Story::with_room_for(100);
    let now = story.clock.now();
    let window = story.limiter.window(story.principal, KeyRef::Text("alice"), now).unwrap();
    assert_eq!(story.limiter.charge_window(&window, now).unwrap().remaining, 2);
    assert_eq!(story.admitted("alice", 10), 2);
    assert!(story.limiter.charge_window(&window, now).is_err());
}

#[test]
fn failures_are_looked_at_before_and_counted_after() {
    let story = Story::with_room_for(100);
    let (now, key) = (story.clock.now(), KeyRef::Client(unique_address(1)));
    assert_eq!(story.limiter.peek(story.client, key, now).unwrap().unwrap().remaining, 5);
    assert_eq!(story.limiter.keys(), 0);
    for _ in 0..5 {
        assert!(story.limiter.peek(story.client, key, now).is_ok());
        assert!(story.limiter.charge(story.client, key, now).is_ok());
    }
    assert!(story.limiter.peek(story.client, key, now).is_err());
}

#[tokio::test]
async fn an_entry_is_forgotten_two_windows_later_unless_it_is_held() {
    let story = Story::with_room_for(100);
    story.admitted("alice", 1);
    let bob = KeyRef::Text("bob");
    let held = story.limiter.window(story.principal, bob, story.clock.now()).unwrap();
    story.limiter.charge_window(&held, story.clock.now()).unwrap();
    story.clock.advance(Duration::from_secs(119));
    story.sweep().await;
    assert_eq!(story.limiter.keys(), 2);
    story.clock.advance(Duration::from_secs(1));
    story.sweep().await;
    assert_eq!(story.limiter.keys(), 1);
    let again = story.limiter.window(story.principal, bob, story.clock.now()).unwrap();
    assert!(Arc::ptr_eq(&held, &again));
}

#[tokio::test]
async fn a_window_that_is_held_through_any_pause_starts_afresh() {
    let clock = Arc::new(ManualClock::starting_at(START));
    let second = Limit::new("second", KeyKind::Principal, 3, Duration::from_secs(1)).unwrap();
    let limiter = Limiter::new(vec![second], 100, clock.now()).unwrap();
    let id = limiter.find("second").unwrap();
    let held = limiter.window(id, KeyRef::Text("alice"), clock.now()).unwrap();
    let admitted = || (0..9).filter(|_| limiter.charge_window(&held, clock.now()).is_ok()).count();
    let shared: SharedClock = clock.clone();
    for pause in [1_023, 1_024, 1_025, 600, 511] {
        assert_eq!(admitted(), 3, "before {pause} s");
        for _ in 0..pause {
            clock.advance(Duration::from_secs(1));
            sweep_once(&limiter, &shared).await;
        }
    }
}

#[test]
fn a_limit_that_is_off_counts_nobody_and_keeps_nothing() {
    let clock = ManualClock::starting_at(START);
    let off = Limit::off("off", KeyKind::Principal).unwrap();
    let limiter = Limiter::new(vec![off], 100, clock.now()).unwrap();
    let (id, key) = (limiter.find("off").unwrap(), KeyRef::Text("alice"));
    for _ in 0..1_000 {
        assert_eq!(limiter.charge(id, key, clock.now()), Ok(None));
        assert_eq!(limiter.peek(id, key, clock.now()), Ok(None));
    }
    assert!(limiter.window(id, key, clock.now()).is_none());
    assert_eq!((limiter.keys(), limiter.limits_in_overflow()), (0, 0));
}

#[test]
fn a_flood_of_unique_keys_stays_bounded_and_frees_nobody() {
    let story = Story::with_room_for(10_000);
    let offender = unique_address(u32::MAX);
    let hot = story.limiter.window(story.principal, KeyRef::Text("hot"), story.clock.now());
    assert_eq!(story.admitted_client(offender, 10), 5);
    let mut admitted = 0;
    for number in 0..2_000_000 {
        admitted += story.admitted_client(unique_address(number), 1);
        assert!(story.limiter.keys() <= 7_500);
    }
    assert!(admitted >= 7_499, "{admitted}");
    assert_eq!(story.admitted_client(offender, 10), 0, "a flood must not reset a limited key");
    assert_eq!(story.admitted("hot", 10), 3);
    assert_eq!(story.admitted("new", 10), 3, "room is kept for keys that were authenticated");
    drop(hot);
}

#[test]
fn a_key_without_a_place_is_limited_all_the_same() {
    let story = Story::with_room_for(4);
    for number in 0..50 {
        assert!(story.admitted_client(unique_address(number), 20) <= 5);
    }
    assert_eq!(story.limiter.keys(), 3);
    assert_eq!(story.limiter.limits_in_overflow(), 1);
    let full = KeyRef::Client(unique_address(40));
    assert!(story.limiter.peek(story.client, full, story.clock.now()).is_err());
}

#[tokio::test]
async fn a_key_that_finds_a_place_later_keeps_its_counts() {
    let story = Story::with_room_for(4);
    for number in 0..3 {
        story.admitted_client(unique_address(number), 1);
    }
    story.clock.advance(Duration::from_secs(110));
    let late = unique_address(9);
    assert_eq!(story.admitted_client(late, 20), 5);
    assert_eq!(story.limiter.limits_in_overflow(), 1);
    story.clock.advance(Duration::from_secs(11));
    story.sweep().await;
    assert_eq!(story.limiter.keys(), 0);
    assert_eq!(story.admitted_client(late, 20), 1);
    assert_eq!(story.limiter.keys(), 1);
}

#[tokio::test]
async fn a_full_table_makes_room_from_expired_windows_without_a_sweep() {
    let story = Story::with_room_for(64);
    for number in 0..48 {
        story.admitted_client(unique_address(number), 1);
    }
    story.clock.advance(Duration::from_mins(3));
    for number in 1_000..1_500 {
        story.admitted_client(unique_address(number), 1);
    }
    let now = story.clock.now();
    let recent = (1_000..1_500).filter(|number| {
        let key = KeyRef::Client(unique_address(*number));
        let found = story.limiter.window(story.client, key, now);
        found.is_some()
    });
    assert!(recent.count() >= 40);
    assert!(story.limiter.keys() <= 48);
}

#[tokio::test]
async fn a_time_line_that_is_set_back_locks_nobody_out_for_longer_than_a_window() {
    let story = Story::with_room_for(100);
    assert_eq!(story.admitted("alice", 10), 3);
    let now = story.clock.now();
    story.limiter.epoch().align(START - 3_600_000, now, now);
    story.sweep().await;
    assert_eq!(story.admitted("alice", 10), 1);
    story.clock.advance(Duration::from_mins(2));
    assert_eq!(story.admitted("alice", 10), 3);
}

#[test]
fn limits_with_one_name_are_refused() {
    let limit = |name| Limit::new(name, KeyKind::Rule, 1, Duration::from_secs(1)).unwrap();
    let limits = vec![limit("a"), limit("b"), limit("a")];
    let refused = Limiter::new(limits, 1, ManualClock::starting_at(0).now());
    assert_eq!(refused.unwrap_err(), LimiterError::DuplicateName { name: "a".to_owned() });
}

#[test]
fn an_id_of_another_limiter_admits_nothing() {
    let story = Story::with_room_for(100);
    let small = Limiter::new(Vec::new(), 100, story.clock.now()).unwrap();
    assert!(small.charge(story.client, KeyRef::Text("alice"), story.clock.now()).is_err());
}

#[tokio::test]
async fn the_sweep_ends_at_shutdown() {
    let Story { clock, limiter, .. } = Story::with_room_for(100);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let sweep = crate::rate_limit::sweep_until_shutdown(Arc::new(limiter), clock, stopped);
    let sweeping = tokio::spawn(sweep);
    stop.send(true).unwrap();
    sweeping.await.unwrap();
}
