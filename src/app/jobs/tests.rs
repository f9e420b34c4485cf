use std::sync::atomic::{AtomicUsize, Ordering};

use pingora::server::ShutdownWatch;

use super::*;
use crate::app::services::Services;
use crate::config::testing::environment;
use crate::config::{self, Overrides, Settings};
use crate::telemetry::Sink;

/// A gateway with everything that has a job: a server that decides, Redis, an upstream by name.
fn settings() -> Settings {
    let lookup = |name: &str| match name {
        "UPSTREAM_URL" => Some("http://localhost:9".to_owned()),
        "REDIS_URL" => Some("redis://127.0.0.1:9/".to_owned()),
        _ => environment(name),
    };
    config::parse("", &Overrides::default(), &lookup).unwrap()
}

/// Panics the first time, then does what it should.
fn stumbling(job: Job) -> Job {
    let runs = AtomicUsize::new(0);
    let Job { name, start, metrics } = job;
    let start = move |shutdown| {
        let run = (runs.fetch_add(1, Ordering::SeqCst) > 0).then(|| start(shutdown));
        async move { run.expect("the first run panics on purpose").await }.boxed()
    };
    Job { name, start: Box::new(start), metrics }
}

/// Starts the jobs, waits until `is_done` and tells them to stop; returns when all have.
async fn run_until(jobs: Jobs, is_done: impl Fn() -> bool) {
    let (stop, stopped): (_, ShutdownWatch) = watch::channel(false);
    let running = tokio::spawn(async move { jobs.start(stopped).await });
    while !is_done() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.send_replace(true);
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_job_survives_a_panic_of_its_own() {
    let settings = settings();
    let mut services = Services::build(&settings, &Sink::default(), None).unwrap();
    let jobs = services.jobs(&settings).unwrap();
    let stumbling: Vec<_> = jobs.waiting.lock().drain(..).map(stumbling).collect();
    let names: Vec<_> = stumbling.iter().map(|job| job.name.clone()).collect();
    let mut sorted: Vec<_> = names.iter().map(|name| &**name).collect();
    sorted.sort_unstable();
    let expected = [
        "gauges",
        "key_refresh",
        "key_watch",
        "limiter_sweep",
        "memory_sweep",
        "model_refresh",
        "probe_app",
        "probe_openfga",
        "probe_zitadel",
        "redis_exchange",
        "resolve_app",
        "rule_watch",
    ];
    assert_eq!(sorted, expected);
    *jobs.waiting.lock() = stumbling;
    let metrics = Arc::clone(&jobs.metrics);
    let of = |name: &str| {
        let job = metrics.job(name);
        (job.failures.get(), job.up.get())
    };
    run_until(jobs, || names.iter().all(|name| of(name) == (1, 1))).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_returns_is_started_again_after_longer_and_longer_pauses() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let jobs = Jobs::new(Arc::clone(&metrics));
    let starts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&starts);
    jobs.add("restless", move |_| {
        seen.lock().push(timer_now());
        async {}
    });
    run_until(jobs, || starts.lock().len() == 9).await;
    let starts = starts.lock().clone();
    let pauses: Vec<_> = starts.windows(2).map(|two| (two[1] - two[0]).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert!(metrics.job("restless").failures.get() >= 8);
}

#[tokio::test(start_paused = true)]
async fn after_a_minute_of_work_a_job_is_started_again_soon() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let jobs = Jobs::new(Arc::clone(&metrics));
    let starts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&starts);
    jobs.add("diligent", move |_| {
        seen.lock().push(timer_now());
        tokio::time::sleep(RECOVERED)
    });
    run_until(jobs, || starts.lock().len() == 4).await;
    let starts = starts.lock().clone();
    assert!(starts.windows(2).all(|two| (two[1] - two[0]).as_secs() == 61), "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_no_failure() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let jobs = Jobs::new(Arc::clone(&metrics));
    jobs.add("obedient", |mut stop| async move {
        let _ = stop.changed().await;
    });
    let job = metrics.job("obedient");
    run_until(jobs, || job.up.get() == 1).await;
    assert_eq!(job.failures.get(), 0);
}
