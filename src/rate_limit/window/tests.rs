use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::rate_limit::{KeyKind, KeyRef, Limit};

/// Start of a window of every length that divides an hour.
const START: u64 = 1_700_000_000_000 / 3_600_000 * 3_600_000;

fn limit(requests: u32, seconds: u64) -> Allowance {
    let window = Duration::from_secs(seconds);
    let limit = Limit::new("default", KeyKind::Principal, requests, window).unwrap();
    limit.allowance().unwrap().clone()
}

fn window(limit: &Allowance) -> Window {
    counted(limit, 0, 0)
}

/// With so many requests in the window before, and in this one.
fn counted(limit: &Allowance, previous: u32, current: u32) -> Window {
    let (index, _) = limit.position(EpochMillis(START));
    let key = KeyRef::Text("alice").probe().to_key();
    Window::new(LimitId(0), key, index, Counts::new(index, previous.into(), current.into()))
}

fn charge(window: &Window, limit: &Allowance, millis: u64) -> Result<Standing, Exceeded> {
    window.charge(limit, Share::WHOLE, EpochMillis(START + millis))
}

/// Like [`charge`], at so many milliseconds after the window of [`counted`] has begun, whatever its length.
fn charge_within(window: &Window, limit: &Allowance, millis: u64) -> Result<Standing, Exceeded> {
    let (_, elapsed) = limit.position(EpochMillis(START));
    window.charge(limit, Share::WHOLE, EpochMillis(START - elapsed + millis))
}

fn admitted(window: &Window, limit: &Allowance, millis: u64, requests: usize) -> usize {
    (0..requests).filter(|_| charge(window, limit, millis).is_ok()).count()
}

#[test]
fn a_fresh_window_admits_exactly_its_limit() {
    for requests in [1, 2, 3, 100, 6_000, 1_000_000] {
        let limit = limit(requests, 60);
        let window = window(&limit);
        for left in (0..requests).rev() {
            assert_eq!(charge(&window, &limit, 10).unwrap().remaining, left);
        }
        assert!(charge(&window, &limit, 10).is_err());
    }
}

#[test]
fn a_refused_request_is_not_counted() {
    let limit = limit(10, 60);
    let window = window(&limit);
    assert_eq!(admitted(&window, &limit, 0, 1_000), 10);
    assert_eq!(admitted(&window, &limit, 59_999, 1_000), 0);
    assert_eq!(admitted(&window, &limit, 90_000, 1_000), 6);
}

#[test]
fn the_previous_window_fades_evenly() {
    let limit = limit(100, 60);
    let window = window(&limit);
    assert_eq!(admitted(&window, &limit, 59_000, 1_000), 100);
    assert_eq!(admitted(&window, &limit, 60_000, 1_000), 1);
    assert_eq!(admitted(&window, &limit, 75_000, 1_000), 25);
    assert_eq!(admitted(&window, &limit, 90_000, 1_000), 25);
    assert_eq!(admitted(&window, &limit, 119_999, 1_000), 49);
    assert_eq!(admitted(&window, &limit, 240_000, 1_000), 100);
}

#[test]
fn a_limit_of_one_admits_one_in_each_window() {
    let limit = limit(1, 1);
    let window = window(&limit);
    for second in 0..100 {
        assert_eq!(admitted(&window, &limit, second * 1_000 + 700, 5), 1, "second {second}");
    }
}

#[test]
fn the_reset_is_the_windows_end_while_requests_remain_and_the_retry_instant_otherwise() {
    let limit = limit(2, 60);
    let window = window(&limit);
    let first = charge(&window, &limit, 10_001).unwrap();
    assert_eq!(first, Standing { remaining: 1, reset_secs: 50 });
    let last = charge(&window, &limit, 10_001).unwrap();
    assert_eq!((last.remaining, last.reset_secs), (0, 50));
    let refused = charge(&window, &limit, 59_999).unwrap_err();
    assert_eq!(refused, Exceeded { retry_after_secs: 1 });
}

#[test]
fn a_late_request_counts_into_the_window_that_is_open() {
    let limit = limit(10, 60);
    let window = window(&limit);
    assert_eq!(admitted(&window, &limit, 60_000, 5), 5);
    assert_eq!(admitted(&window, &limit, 59_999, 1_000), 5);
    assert_eq!(admitted(&window, &limit, 60_001, 1_000), 0);
}

#[test]
fn peeking_counts_nothing_and_says_the_same() {
    let limit = limit(3, 60);
    let window = window(&limit);
    let peek = || window.peek(&limit, Share::WHOLE, EpochMillis(START));
    for _ in 0..10 {
        assert_eq!(peek().unwrap().remaining, 3);
    }
    assert_eq!(admitted(&window, &limit, 0, 3), 3);
    assert_eq!(peek().unwrap_err(), charge(&window, &limit, 0).unwrap_err());
}

#[test]
fn what_others_admitted_counts_too() {
    let limit = limit(100, 60);
    let window = window(&limit);
    let (index, _) = limit.position(EpochMillis(START));
    window.learn(Counts::new(index, 0, 90));
    assert_eq!(admitted(&window, &limit, 0, 1_000), 10);
    window.learn(Counts::new(index + 1, 200, 0));
    assert_eq!(admitted(&window, &limit, 60_000, 1_000), 0);
}

#[test]
fn a_share_of_the_limit_is_admitted_alone_and_the_last_known_counts_still_hold() {
    let limit = limit(100, 60);
    let split = |window: &Window, requests: usize| {
        let charge = || window.charge(&limit, Share::one_of(3), EpochMillis(START));
        (0..requests).filter(|_| charge().is_ok()).count()
    };
    assert_eq!(split(&window(&limit), 1_000), 34);
    let informed = window(&limit);
    let (index, _) = limit.position(EpochMillis(START));
    informed.learn(Counts::new(index, 0, 95));
    assert_eq!(split(&informed, 1_000), 5);
}

#[test]
fn many_threads_together_get_exactly_the_limit() {
    let limit = limit(10_000, 60);
    let window = window(&limit);
    let total: usize = std::thread::scope(|scope| {
        let spawn = |_| scope.spawn(|| admitted(&window, &limit, 0, 5_000));
        let threads: Vec<_> = (0..8).map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(total, 10_000);
}

#[test]
fn a_window_fits_a_cache_line_with_its_reference_counts() {
    assert!(size_of::<Window>() + 2 * size_of::<usize>() <= 64);
}

/// Large enough that counts of a whole window are kept rounded.
fn large() -> impl Strategy<Value = u32> {
    1 << 20..=Limit::MAX_REQUESTS
}

/// A day of windows would take too long; a few show everything.
fn arrivals() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(0_u64..400, 1..400).prop_map(|gaps| {
        gaps.into_iter().scan(0, |at, gap| Some(std::mem::replace(at, *at + gap))).collect()
    })
}

proptest! {
    #[test]
    fn no_interval_admits_more_than_the_limit_and_what_fades_meanwhile(
        arrivals in arrivals(),
        requests in 1_u32..40,
        seconds in 1_u64..5,
        burst in 1_usize..5,
    ) {
        let limit = limit(requests, seconds);
        let window = window(&limit);
        let mut times = Vec::new();
        for at in arrivals {
            times.extend(std::iter::repeat_n(at, admitted(&window, &limit, at, burst)));
        }
        let (most, length) = (u64::from(requests), seconds * 1_000);
        for (first, from) in times.iter().enumerate() {
            for (last, to) in times.iter().enumerate().skip(first) {
                let span = to - from + 1;
                if span > length { break; }
                let bound = most + (most * span).div_ceil(length) + 1;
                prop_assert!((last - first + 1) as u64 <= bound);
            }
        }
    }

    #[test]
    fn no_aligned_window_admits_more_than_the_limit(
        arrivals in arrivals(),
        requests in 1_u32..40,
    ) {
        let limit = limit(requests, 2);
        let window = window(&limit);
        let mut per_window = std::collections::HashMap::<u64, usize>::new();
        for at in arrivals {
            *per_window.entry(at / 2_000).or_default() += admitted(&window, &limit, at, 3);
        }
        prop_assert!(per_window.values().all(|count| *count <= requests as usize));
    }

    #[test]
    fn a_client_that_calls_evenly_at_its_limit_is_never_refused(
        requests in 1_u64..500,
        seconds in 1_u64..10,
        phase in 0_u64..10_000,
    ) {
        let limit = limit(u32::try_from(requests).unwrap(), seconds);
        let window = window(&limit);
        for call in 0..requests * 5 {
            let at = phase + call * seconds * 1_000 / requests;
            prop_assert!(charge(&window, &limit, at).is_ok(), "call {call} at {at}");
        }
    }

    #[test]
    fn a_large_limit_admits_exactly_what_is_left_of_it(
        requests in large(),
        left in 0_u32..5,
        seconds in 1_u64..=86_400,
        elapsed in 0_u64..86_400_000,
    ) {
        let limit = limit(requests, seconds);
        let window = counted(&limit, 0, requests - left);
        for remaining in (0..left).rev() {
            let standing = charge_within(&window, &limit, elapsed % (seconds * 1_000));
            prop_assert_eq!(standing.map(|standing| standing.remaining), Ok(remaining));
        }
        prop_assert!(charge_within(&window, &limit, elapsed % (seconds * 1_000)).is_err());
    }

    #[test]
    fn of_a_large_limit_the_window_before_leaves_what_has_faded(
        requests in large(),
        seconds in 1_u64..=86_400,
        elapsed in 0_u64..86_400_000,
    ) {
        let limit = limit(requests, seconds);
        let length = seconds * 1_000;
        let elapsed = elapsed % length;
        let window = counted(&limit, 0, requests);
        let spare = charge_within(&window, &limit, length + elapsed).unwrap().remaining + 1;
        let exact = (u64::from(requests) * (elapsed + 1)).div_ceil(length);
        prop_assert_eq!(u64::from(spare), exact);
    }

    #[test]
    fn a_client_that_keeps_to_a_large_limit_is_never_refused(
        requests in large(),
        below in 0_u32..1_000,
        seconds in 1_u64..=86_400,
        elapsed in 0_u64..86_400_000,
    ) {
        let limit = limit(requests, seconds);
        let length = seconds * 1_000;
        let elapsed = elapsed % length;
        let rate = u64::from(requests - below);
        let current = u32::try_from(rate * elapsed / length).unwrap();
        let window = counted(&limit, requests - below, current);
        prop_assert!(charge_within(&window, &limit, elapsed).is_ok());
    }

    #[test]
    fn a_client_of_a_large_limit_that_waits_as_told_is_admitted(
        requests in large(),
        previous in 0_u32..=Counts::MAX,
        current in 0_u32..=Counts::MAX,
        others in 0_u64..=1 << 31,
        seconds in 1_u64..=86_400,
        elapsed in 0_u64..86_400_000,
    ) {
        let limit = limit(requests, seconds);
        let at = elapsed % (seconds * 1_000);
        let window = counted(&limit, previous.min(requests), current.min(requests));
        let (index, _) = limit.position(EpochMillis(START));
        window.learn(Counts::new(index, others, others / 2));
        if let Err(refused) = charge_within(&window, &limit, at) {
            let later = at + u64::from(refused.retry_after_secs) * 1_000;
            prop_assert!(charge_within(&window, &limit, later).is_ok());
        }
    }

    #[test]
    fn a_client_below_its_limit_in_two_windows_together_is_never_refused(
        mut at in prop::collection::vec(0_u64..4_000, 1..100),
    ) {
        at.sort_unstable();
        let limit = limit(u32::try_from(at.len()).unwrap(), 2);
        let window = window(&limit);
        for at in at {
            prop_assert!(charge(&window, &limit, at).is_ok());
        }
    }

    #[test]
    fn a_client_that_waits_as_told_is_admitted(
        arrivals in arrivals(),
        requests in 1_u32..20,
        seconds in 1_u64..5,
        replicas in 1_u32..5,
        others in 0_u64..60,
    ) {
        let limit = limit(requests, seconds);
        let window = window(&limit);
        let share = Share::one_of(replicas);
        let (index, _) = limit.position(EpochMillis(START));
        window.learn(Counts::new(index, others / 2, others));
        let mut at = START;
        for gap in arrivals {
            at += gap / 8;
            // As the sweep does: what is known of the others does not stay behind.
            window.settle(limit.position(EpochMillis(at)).0);
            if let Err(refused) = window.charge(&limit, share, EpochMillis(at)) {
                prop_assert!(refused.retry_after_secs >= 1);
                at += u64::from(refused.retry_after_secs) * 1_000;
                prop_assert!(window.charge(&limit, share, EpochMillis(at)).is_ok());
            }
        }
    }
}
