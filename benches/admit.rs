//! The whole gate: a request admitted from memory, and one whose token and decision are new.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking"
)]
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up should stop")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures::FutureExt as _;

#[path = "support/wired_gate.rs"]
mod wired_gate;

use wired_gate::{Memory, WiredGate, paths};

const CALLERS: usize = 1_000;
const SIZES: [usize; 2] = [10, 10_000];

fn warm(c: &mut Criterion) {
    let mut group = c.benchmark_group("admit/warm");
    for rules in SIZES {
        let (fixed, by_id) = paths(rules);
        for (kind, paths) in [("feature", fixed), ("object of the path", by_id)] {
            // A caller keeps to one path, as people mostly do; so every decision is soon known.
            let paths: Vec<_> = paths.into_iter().cycle().take(CALLERS).collect();
            let wired = WiredGate::new(rules, CALLERS, Memory::Usual);
            let requests: Vec<_> = wired.requests(&paths).take(CALLERS).collect();
            assert!(requests.iter().all(|request| wired.admits(request)));
            let asked = wired.asked.get();
            let mut next = requests.iter().cycle();
            group.bench_function(BenchmarkId::new(kind, rules), |b| {
                b.iter(|| {
                    let request = black_box(next.next().expect("a cycle"));
                    let verdict = wired.gate.admit(request, wired.now()).now_or_never();
                    verdict.expect("no waiting").expect("admitted")
                });
            });
            assert_eq!(wired.asked.get(), asked, "everything was remembered");
        }
    }
    group.finish();
}

/// RS256, and a decider that answers at once: what the gate itself does for a new caller.
fn cold(c: &mut Criterion) {
    let mut group = c.benchmark_group("admit/cold");
    for rules in SIZES {
        let (paths, _) = paths(rules);
        let wired = WiredGate::new(rules, CALLERS, Memory::Nothing);
        let requests: Vec<_> = wired.requests(&paths).take(CALLERS).collect();
        let asked = wired.asked.get();
        let mut next = requests.iter().cycle();
        let mut count = 0;
        group.bench_function(BenchmarkId::new("feature", rules), |b| {
            b.iter(|| {
                count += 1;
                assert!(wired.admits(black_box(next.next().expect("a cycle"))));
            });
        });
        assert_eq!(wired.asked.get() - asked, count, "nothing was remembered");
    }
    group.finish();
}

criterion_group!(benches, warm, cold);
criterion_main!(benches);
