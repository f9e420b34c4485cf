//! Requests made ready for their upstream: the client's headers judged by name, and ours added.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot be set up should stop"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use auth_gateway::config::DEFAULTS;
use auth_gateway::proxy::headers::names::{NamePattern, Names};
use auth_gateway::proxy::headers::{Forwarding, HeaderPolicy, Host};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use futures::FutureExt as _;
use http::{HeaderName, HeaderValue, Method};
use pingora::http::RequestHeader;

#[path = "support/wired_gate.rs"]
#[expect(dead_code, reason = "an admission is all that is needed of it")]
mod wired_gate;

use wired_gate::{Memory, WiredGate, paths};

/// What a page's script sends.
const SCRIPT: [&str; 16] = [
    "host",
    "user-agent",
    "accept",
    "accept-language",
    "accept-encoding",
    "referer",
    "authorization",
    "cookie",
    "content-type",
    "content-length",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "x-requested-with",
    "x-csrf-token",
    "cache-control",
];

/// What an ingress adds.
const INGRESS: [&str; 6] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
    "x-scheme",
];

fn request(names: &[&str]) -> RequestHeader {
    let request = RequestHeader::build(Method::GET, b"/api/reports", None).expect("a request");
    let mut parts: http::request::Parts = request.into();
    for name in names {
        let name = HeaderName::try_from(*name).expect("a name");
        parts.headers.append(name, HeaderValue::from_static("192.0.2.1"));
    }
    RequestHeader::from(parts)
}

/// With what the shipped configuration strips.
fn policy() -> HeaderPolicy {
    let shipped: serde_yaml::Value = serde_yaml::from_str(DEFAULTS).expect("YAML");
    let stripped = shipped["server"]["strip_headers"].as_sequence().expect("a list").iter();
    let stripped = stripped.map(|text| text.as_str().expect("a name"));
    let stripped = stripped.map(|text| NamePattern::parse(text).expect("a name"));
    HeaderPolicy::new("auth-gateway", Arc::new(Names::new(stripped))).expect("a name")
}

fn apply(c: &mut Criterion) {
    let wired = WiredGate::new(10, 1, Memory::Usual);
    let (fixed, _) = paths(10);
    let asked = wired.requests(&fixed).next().expect("a request");
    assert!(wired.admits(&asked));
    let admission = wired.gate.admit(&asked, wired.now()).now_or_never();
    let admission = admission.expect("no waiting").expect("admitted");
    let policy = policy();
    let (id, authority) = (HeaderValue::from_static("id"), HeaderValue::from_static("app:8080"));

    let mut group = c.benchmark_group("headers/apply");
    for (sender, names, is_trusted_peer) in [
        ("script", SCRIPT.to_vec(), false),
        ("script behind our ingress", [&SCRIPT[..], &INGRESS[..]].concat(), true),
        ("script behind a stranger", [&SCRIPT[..], &INGRESS[..]].concat(), false),
    ] {
        let forwarding = Forwarding {
            admission: &admission,
            peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
            is_trusted_peer,
            request_id: &id,
            rewritten: None,
            host: Host::IfMissing(&authority),
            forward_credentials: false,
            is_handshake: false,
        };
        let request = request(&names);
        group.bench_function(BenchmarkId::from_parameter(sender), |b| {
            b.iter_batched_ref(
                || request.clone(),
                |request| policy.apply(black_box(request), &forwarding),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, apply);
criterion_main!(benches);
