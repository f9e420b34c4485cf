use super::*;
use crate::clock::{Clock, ManualClock};

const IN_ALL: Duration = Duration::from_secs(1);

fn at(octet: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, octet], 80))
}

fn clock() -> ManualClock {
    ManualClock::starting_at(1_700_000_000_000)
}

#[test]
fn one_address_after_the_other_is_tried_until_none_is_left() {
    let clock = clock();
    let mut attempts = Attempts::default();
    assert_eq!(attempts.begin(clock.now()), None);
    assert!(attempts.miss(at(1), Some(at(2)), (clock.now(), IN_ALL)) && attempts.goes_on());
    assert_eq!(attempts.begin(clock.now()), Some(at(2)));
    assert!(!attempts.goes_on());
    assert!(!attempts.miss(at(2), None, (clock.now(), IN_ALL)) && !attempts.goes_on());
}

#[test]
fn an_address_that_has_failed_is_not_tried_twice() {
    let clock = clock();
    let mut attempts = Attempts::default();
    attempts.begin(clock.now());
    attempts.miss(at(1), Some(at(2)), (clock.now(), IN_ALL));
    attempts.begin(clock.now());
    assert!(!attempts.miss(at(2), Some(at(1)), (clock.now(), IN_ALL)));
}

#[test]
fn all_attempts_share_one_time() {
    let clock = clock();
    let mut attempts = Attempts::default();
    attempts.begin(clock.now());
    clock.advance(Duration::from_millis(600));
    assert!(attempts.miss(at(1), Some(at(2)), (clock.now(), IN_ALL)));
    attempts.begin(clock.now());
    assert_eq!(attempts.time_left(clock.now(), IN_ALL), Duration::from_millis(400));
    clock.advance(Duration::from_millis(400));
    assert!(!attempts.miss(at(2), Some(at(3)), (clock.now(), IN_ALL)));
}

#[test]
fn a_handshake_that_may_hang_leaves_time_for_the_next_address() {
    let millis = Duration::from_millis;
    assert_eq!(allowance(millis(1_000), true, true), millis(750));
    assert_eq!(allowance(millis(1_000), true, false), millis(1_000));
    assert_eq!(allowance(millis(1_000), false, true), millis(1_000));
}

#[test]
fn what_was_sent_is_repeated_twice_and_connects_anew() {
    let clock = clock();
    let mut attempts = Attempts::default();
    attempts.begin(clock.now());
    attempts.miss(at(1), Some(at(2)), (clock.now(), IN_ALL));
    attempts.begin(clock.now());
    assert!(attempts.repeat());
    assert_eq!(attempts.tried(), []);
    clock.advance(IN_ALL);
    attempts.begin(clock.now());
    assert_eq!(attempts.time_left(clock.now(), IN_ALL), IN_ALL);
    assert!(attempts.repeat());
    assert!(!attempts.repeat());
}

#[test]
fn what_was_answered_is_not_repeated() {
    let mut attempts = Attempts::default();
    attempts.hear();
    assert!(!attempts.repeat());
}
