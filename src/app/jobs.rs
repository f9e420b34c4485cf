//! Jobs that live as long as the process; one that ends before is told, counted and started again.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::sync::watch;

use crate::clock::timer_now;
use crate::metrics::{JobMetrics, Metrics};

/// The pause before the first restart; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A job that has worked for so long has recovered from what ended it before.
const RECOVERED: Duration = Duration::from_mins(1);

/// Turns true, once, when the process shuts down.
pub(super) type Shutdown = watch::Receiver<bool>;

/// All jobs, on a runtime of their own.
pub(super) struct Jobs {
    waiting: Mutex<Vec<Job>>,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
}

struct Job {
    name: Box<str>,
    start: Box<dyn Fn(Shutdown) -> BoxFuture<'static, ()> + Send + Sync>,
    metrics: JobMetrics,
}

impl Jobs {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { waiting: Mutex::default(), metrics, stop: watch::channel(false).0 }
    }

    /// A job that runs until the shutdown that it is told of; `start` is called when the server
    /// runs, and again whenever the job ends for another reason.
    pub(super) fn add<F>(
        &self,
        name: impl Into<Box<str>>,
        start: impl Fn(Shutdown) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let name = name.into();
        let metrics = self.metrics.job(&name);
        let start = Box::new(move |shutdown| start(shutdown).boxed());
        self.waiting.lock().push(Job { name, start, metrics });
    }
}

impl Job {
    async fn keep_running(self, mut shutdown: Shutdown) {
        let mut pause = FIRST_PAUSE;
        loop {
            self.metrics.up.set(1);
            let started = timer_now();
            let run = async { (self.start)(shutdown.clone()).await };
            let ended = AssertUnwindSafe(run).catch_unwind().await;
            if *shutdown.borrow() {
                return;
            }
            if started.elapsed() >= RECOVERED {
                pause = FIRST_PAUSE;
            }
            self.report(ended.is_err(), pause);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = shutdown.changed() => return,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn report(&self, has_panicked: bool, pause: Duration) {
        self.metrics.up.set(0);
        self.metrics.failures.inc();
        tracing::error!(
            job = &*self.name,
            cause = if has_panicked { "it panicked" } else { "it returned" },
            restart_in_secs = pause.as_secs(),
            "a background job has ended"
        );
    }
}

#[async_trait]
impl BackgroundService for Jobs {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let jobs = std::mem::take(&mut *self.waiting.lock());
        let mut tasks = tokio::task::JoinSet::new();
        for job in jobs {
            tasks.spawn(job.keep_running(self.stop.subscribe()));
        }
        // A dropped sender means the same as a shutdown.
        let _ = shutdown.changed().await;
        self.stop.send_replace(true);
        while tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests;
