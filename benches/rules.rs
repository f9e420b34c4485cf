//! Finding the rule for a request among 10, 1,000 and 10,000 rules.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a bench may panic")]

use std::collections::BTreeMap;
use std::hint::black_box;

use auth_gateway::rules::{
    CanonicalPath, Found, Names, PathPolicy, RawTarget, RuleSet, Target, TargetName,
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::Method;
use serde_json::{Value, json};

const SIZES: [usize; 3] = [10, 1_000, 10_000];

/// Ten shapes a service has, repeated for as many services as it takes.
fn entries(size: usize) -> Vec<Value> {
    let shapes = [
        ("GET", "", false),
        ("POST", "", false),
        ("GET", "/{id}", true),
        ("PUT,PATCH", "/{id}", true),
        ("GET", "/{id}/comments", true),
        ("POST", "/{id}/comments/{comment}/approve", true),
        ("GET", "/search", false),
        ("GET", "/reports/daily", false),
        ("*", "/files/*path", false),
        ("DELETE", "/{id}", true),
    ];
    (0..size)
        .map(|number| {
            let service = number / shapes.len();
            let (method, path, has_id) = shapes[number % shapes.len()];
            let mut entry = json!({
                "path": format!("/api/v{}/service{service}/items{path}", 1 + service % 2),
                "method": method,
                "feature": format!("feature:service{service}"),
            });
            if has_id {
                entry["object"] = "item:{id}".into();
            }
            entry
        })
        .collect()
}

fn rules(size: usize) -> RuleSet {
    let names: Names = Names {
        default_relation: "viewer".to_owned(),
        default_target: "app".to_owned(),
        targets: BTreeMap::from([("app".to_owned(), TargetName::default())]),
        limits: BTreeMap::new(),
        any_audience: false,
    };
    let file = serde_json::to_vec(&entries(size)).expect("JSON");
    RuleSet::parse(&file, &names).expect("valid rules")
}

fn target(path: &str) -> Target<'_> {
    let raw = RawTarget {
        method: &Method::GET,
        authority: None,
        host: Some(b"api.example.com"),
        path: path.as_bytes(),
        query: Some(b"page=2"),
    };
    Target::parse(raw, PathPolicy::default()).expect("canonical")
}

fn find(c: &mut Criterion) {
    for (kind, tail) in [
        ("static", "items/reports/daily"),
        ("parameter", "items/5f2b8c1e/comments"),
        ("rest", "items/files/2026/11/report.pdf"),
        ("backtracking", "items/search/comments"),
        ("miss", "items/5f2b8c1e/comments/unknown"),
        ("method_not_allowed", "items/7/comments/9/approve"),
    ] {
        let mut group = c.benchmark_group(format!("find/{kind}"));
        for size in SIZES {
            let rules = rules(size);
            // Spread over all services, so that the index does not sit in the nearest cache.
            let services = size / 10;
            let paths: Vec<_> = (0..services.min(512))
                .map(|number| number * 7_919 % services)
                .map(|service| format!("/api/v{}/service{service}/{tail}", 1 + service % 2))
                .collect();
            let targets: Vec<_> = paths.iter().map(|path| target(path)).collect();
            let mut next = targets.iter().cycle();
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                b.iter(|| match rules.find(black_box(next.next().expect("a cycle"))) {
                    Found::Rule { rule, .. } => rule.index(),
                    Found::MethodNotAllowed { allow } => allow.len(),
                    Found::EncodedSlash { .. } | Found::NoRule => usize::MAX,
                });
            });
        }
        group.finish();
    }
}

fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("path");
    for (kind, path) in [
        ("short", "/api/users/42"),
        ("long", "/api/v1/service42/items/5f2b8c1e-77aa-4a0e-9d8e-0c1f2b3a4d5e/comments/latest"),
        ("escaped", "/files/caf%C3%A9/report%202026.pdf"),
        ("rewritten", "/api/%75sers/caf%c3%a9"),
    ] {
        group.bench_function(kind, |b| {
            b.iter(|| {
                CanonicalPath::parse(black_box(path.as_bytes()), PathPolicy::default()).is_ok()
            });
        });
    }
    group.bench_function("target", |b| b.iter(|| target(black_box("/api/users/42")).query()));
    group.finish();
}

fn load(c: &mut Criterion) {
    let mut group = c.benchmark_group("load");
    group.sample_size(10);
    group.bench_function("10000", |b| b.iter(|| rules(10_000)));
    group.finish();
}

criterion_group!(benches, find, parse, load);
criterion_main!(benches);
