//! What limiting one request costs.

#![expect(clippy::expect_used, reason = "a bench that cannot start says why")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use auth_gateway::clock::{Clock, Now, SystemClock};
use auth_gateway::rate_limit::{
    EpochMillis, InFlight, KeyKind, KeyRef, Limit, LimitId, Limiter, Share, headers,
};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const KEYS: u32 = 100_000;

/// High enough that nothing is refused within one window of the measurement.
fn limit() -> Limit {
    let day = Duration::from_hours(24);
    Limit::new("default", KeyKind::Principal, Limit::MAX_REQUESTS, day).expect("a valid limit")
}

/// Two windows pass with every half million charges, so that hot keys keep being admitted.
struct Time {
    start: Now,
    charges: u64,
}

impl Time {
    fn next(&mut self) -> Now {
        self.charges += 1;
        let windows = self.charges / 500_000 * 2;
        let nanos = self.start.mono_nanos() + windows * 86_400 * 1_000_000_000;
        Now::at(self.start.unix_millis(), nanos)
    }
}

fn limiter() -> (Limiter, LimitId, Time) {
    let start = SystemClock.now();
    let limiter = Limiter::new(vec![limit()], 1_000_000, start);
    let limiter = limiter.expect("a valid limiter");
    let id = limiter.find("default").expect("the limit above");
    (limiter, id, Time { start, charges: 0 })
}

fn address(number: u32) -> KeyRef<'static> {
    KeyRef::Client(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)))
}

fn charging(c: &mut Criterion) {
    let (limiter, id, mut time) = limiter();
    let window = limiter.window(id, KeyRef::Text("276543219876543210"), time.start);
    let window = window.expect("an empty table has room");
    c.bench_function("charge_held_window", |b| {
        b.iter(|| limiter.charge_window(black_box(&window), time.next()));
    });
    let limit = limit();
    let allowance = limit.allowance().expect("a limit that is on");
    c.bench_function("charge_window_alone", |b| {
        let offset = time.start.unix_millis() - time.start.mono_millis();
        b.iter(|| {
            let at = EpochMillis(offset + time.next().mono_millis());
            window.charge(black_box(allowance), Share::WHOLE, at)
        });
    });
    c.bench_function("charge_hot_text", |b| {
        let key = KeyRef::Text("276543219876543210");
        b.iter(|| limiter.charge(id, black_box(key), time.next()));
    });
    c.bench_function("charge_hot_address", |b| {
        b.iter(|| limiter.charge(id, black_box(address(1)), time.next()));
    });
    let time = time.next();
    for number in 0..KEYS {
        let _ = limiter.charge(id, address(number), time);
    }
    c.bench_function("charge_100k_addresses", |b| {
        b.iter(|| limiter.charge(id, address(fastrand::u32(..KEYS)), time));
    });
    c.bench_function("peek_100k_addresses", |b| {
        b.iter(|| limiter.peek(id, address(fastrand::u32(..KEYS)), time));
    });
}

fn refusing(c: &mut Criterion) {
    let start = SystemClock.now();
    let limit = Limit::new("default", KeyKind::ClientIp, 1, Duration::from_hours(1));
    let limiter = Limiter::new(vec![limit.expect("a valid limit")], 100_000, start);
    let limiter = limiter.expect("a valid limiter");
    let id = limiter.find("default").expect("the limit above");
    c.bench_function("refuse_hot_address", |b| {
        b.iter(|| limiter.charge(id, black_box(address(1)), start));
    });
    let mut number = 0;
    c.bench_function("unique_addresses_into_a_full_table", |b| {
        b.iter(|| {
            number += 1;
            limiter.charge(id, address(number), start)
        });
    });
}

fn in_flight(c: &mut Criterion) {
    let in_flight = InFlight::new();
    c.bench_function("in_flight_enter_and_leave", |b| {
        b.iter(|| drop(in_flight.enter(black_box(address(1)))));
    });
}

fn writing_headers(c: &mut Criterion) {
    let (limiter, id, time) = limiter();
    let limit = limiter.limit(id).expect("the limit above");
    let standing = limiter.charge(id, address(1), time.start).expect("an empty table admits");
    let standing = standing.expect("a limit that is on");
    c.bench_function("write_headers", |b| {
        let empty = || http::HeaderMap::with_capacity(16);
        let write = |mut headers: http::HeaderMap| {
            headers::write_standing(&mut headers, limit, standing);
            headers
        };
        b.iter_batched(empty, write, BatchSize::SmallInput);
    });
}

criterion_group!(benches, charging, refusing, in_flight, writing_headers);
criterion_main!(benches);
