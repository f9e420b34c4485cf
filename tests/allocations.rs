//! What a warm request allocates in the gate. A binary of its own, because it counts what the
//! process's allocator does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking"
)]

use allocation_counter::measure;
use auth_gateway::gate::Request;
use futures::FutureExt as _;

#[expect(dead_code, reason = "the benchmark also wires a gate that forgets")]
#[path = "../benches/support/wired_gate.rs"]
mod wired_gate;

use wired_gate::{Memory, WiredGate, paths};

const CALLERS: usize = 16;
const RULES: usize = 100;

/// The most that any of the requests allocates once all of them have passed before.
fn most_allocations(wired: &WiredGate, requests: &[Request<'_>]) -> u64 {
    assert!(requests.iter().all(|request| wired.admits(request)));
    let asked = wired.asked.get();
    let most = requests.iter().map(|request| {
        let now = wired.now();
        let mut verdict = None;
        let made = measure(|| verdict = wired.gate.admit(request, now).now_or_never());
        assert!(verdict.expect("no waiting").is_ok());
        made.count_total
    });
    let most = most.max().expect("some requests");
    assert_eq!(wired.asked.get(), asked, "every decision was remembered");
    most
}

#[test]
fn a_warm_request_is_admitted_without_allocating() {
    let wired = WiredGate::new(RULES, CALLERS, Memory::Usual);
    let (paths, _) = paths(RULES);
    let requests: Vec<_> = wired.requests(&paths).take(CALLERS).collect();
    assert_eq!(most_allocations(&wired, &requests), 0);
}

#[test]
fn an_object_of_the_path_costs_few_allocations() {
    let wired = WiredGate::new(RULES, CALLERS, Memory::Usual);
    let (_, paths) = paths(RULES);
    let requests: Vec<_> = wired.requests(&paths).take(CALLERS).collect();
    assert!((1..=4).contains(&most_allocations(&wired, &requests)));
}
