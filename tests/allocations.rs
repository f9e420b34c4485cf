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
use auth_gateway::authn::credentials::{Sender, Source};
use auth_gateway::gate::Request;
use futures::FutureExt as _;

#[expect(dead_code, reason = "the benchmark also wires a gate that forgets")]
#[path = "../benches/support/wired_gate.rs"]
mod wired_gate;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use wired_gate::{Memory, WiredGate, credentials, paths, target};

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

#[test]
fn a_token_in_a_cookie_or_a_query_is_found_without_allocating() {
    let wired = WiredGate::new(RULES, CALLERS, Memory::Usual);
    let (paths, _) = paths(RULES);
    let request = wired.requests(&paths).next().unwrap();
    let bearer = request.headers[AUTHORIZATION].to_str().unwrap();
    let token = bearer.strip_prefix("Bearer ").unwrap();

    let cookie = format!("theme=dark; sid={token}; lang=en").parse().unwrap();
    let headers = HeaderMap::from_iter([(COOKIE, cookie)]);
    let sources = credentials(Source::Cookie("sid".into()));
    let sender = Sender { is_handshake: false, is_vouched_for: true };
    let by_cookie = Request { headers: &headers, credentials: &sources, sender, ..request };
    assert_eq!(most_allocations(&wired, &[by_cookie]), 0);

    let (query, headers) = (format!("page=2&t={token}"), HeaderMap::new());
    let sources = credentials(Source::Query("t".into()));
    let request = wired.requests(&paths).next().unwrap();
    let target = target(&paths[0], &query);
    let by_query = Request { target, headers: &headers, credentials: &sources, ..request };
    assert_eq!(most_allocations(&wired, &[by_query]), 0);
}
