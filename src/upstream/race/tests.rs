use std::sync::Mutex;

use prometheus::IntCounter;

use super::*;
use crate::clock::timer_now;
use crate::upstream::HEAD_START;
use crate::upstream::addresses::Addresses;

/// What addresses do, by the last byte.
const WORKS: u8 = 1;
const REFUSES: u8 = 2;
const SWALLOWS: u8 = 3;
/// Answers after a second.
const IS_FAR: u8 = 4;

fn at(octet: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, octet], 80))
}

struct Course {
    addresses: Addresses,
    failures: IntCounter,
    health: Health,
    begun: Mutex<Vec<(u8, u128)>>,
}

impl Course {
    /// Addresses that do as their number modulo ten says, in this order.
    fn over(octets: &[u8]) -> Self {
        let addresses: Vec<_> = octets.iter().copied().map(at).collect();
        let failures = IntCounter::new("failures", "Failures.").unwrap();
        Self {
            addresses: Addresses::default().renewed(&addresses),
            health: Health::new("app".into(), failures.clone()),
            failures,
            begun: Mutex::default(),
        }
    }

    async fn run(&self) -> io::Result<u8> {
        let start = timer_now();
        let order: Vec<_> = self.addresses.iter().cloned().collect();
        let connect = |to: SocketAddr| {
            let SocketAddr::V4(v4) = to else { panic!("{to}") };
            let octet = v4.ip().octets()[3];
            self.begun.lock().unwrap().push((octet, start.elapsed().as_millis()));
            async move {
                match octet % 10 {
                    WORKS => Ok(octet),
                    REFUSES => Err(io::ErrorKind::ConnectionRefused.into()),
                    IS_FAR => {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        Ok(octet)
                    }
                    _ => std::future::pending().await,
                }
            }
        };
        let (winner, octet) = race(&order, &self.health, HEAD_START, connect).await?;
        assert_eq!(winner, at(octet));
        Ok(octet)
    }

    fn begun(&self) -> Vec<(u8, u128)> {
        self.begun.lock().unwrap().clone()
    }

    fn avoided(&self) -> Vec<u8> {
        let avoided = self.addresses.iter().filter(|address| address.is_avoided());
        avoided.map(|address| address.at.to_string().as_bytes()[8] - b'0').collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_answers_is_the_only_one_that_is_tried() {
    let course = Course::over(&[WORKS, SWALLOWS]);
    assert_eq!(course.run().await.unwrap(), WORKS);
    assert_eq!(course.begun(), [(WORKS, 0)]);
    assert_eq!((course.avoided(), course.failures.get()), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_the_next_address_is_tried_at_once() {
    let course = Course::over(&[REFUSES, WORKS]);
    assert_eq!(course.run().await.unwrap(), WORKS);
    assert_eq!(course.begun(), [(REFUSES, 0), (WORKS, 0)]);
    assert_eq!((course.avoided(), course.failures.get()), (vec![REFUSES], 1));
}

#[tokio::test(start_paused = true)]
async fn a_silent_address_has_a_head_start_and_is_avoided_when_it_is_overtaken() {
    let course = Course::over(&[SWALLOWS, WORKS]);
    assert_eq!(course.run().await.unwrap(), WORKS);
    let begun = course.begun();
    assert!((250..260).contains(&begun[1].1), "{begun:?}");
    assert_eq!((course.avoided(), course.failures.get()), (vec![SWALLOWS], 1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_address_may_still_win_and_nothing_is_held_against_those_behind_it() {
    let course = Course::over(&[IS_FAR, SWALLOWS]);
    assert_eq!(course.run().await.unwrap(), IS_FAR);
    assert_eq!(course.begun().len(), 2);
    assert_eq!((course.avoided(), course.failures.get()), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn when_all_refuse_the_last_refusal_is_told_and_each_is_counted() {
    let course = Course::over(&[REFUSES, REFUSES + 10, REFUSES + 20]);
    assert_eq!(course.run().await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!((course.begun().len(), course.failures.get()), (3, 3));
    assert_eq!(course.addresses.iter().filter(|address| address.is_avoided()).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_race_that_is_given_up_is_held_against_all_but_the_first() {
    let course = Course::over(&[SWALLOWS, REFUSES, 2 * 10 + SWALLOWS, IS_FAR]);
    let given_up = tokio::time::timeout(Duration::from_millis(300), course.run()).await;
    assert!(given_up.is_err());
    let begun: Vec<_> = course.begun().iter().map(|(octet, _)| *octet).collect();
    assert_eq!(begun, [SWALLOWS, REFUSES, 20 + SWALLOWS], "the fourth had no time");
    assert_eq!(course.failures.get(), 2);
    let is_avoided: Vec<_> = course.addresses.iter().map(|address| address.is_avoided()).collect();
    assert_eq!(is_avoided, [false, true, true, false]);
}
