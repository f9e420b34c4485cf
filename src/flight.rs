//! Single flight: callers with the same key at the same time share one piece of work.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::oneshot;

type Flight<V> = Shared<BoxFuture<'static, Option<V>>>;

/// Work under way, by key.
pub struct Flights<K, V> {
    under_way: Mutex<HashMap<K, Flight<V>, ahash::RandomState>>,
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self { under_way: Mutex::new(HashMap::default()) }
    }
}

impl<K, V> Flights<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Nothing under way.
    pub fn new() -> Self {
        Self::default()
    }

    /// The result of the work for `key`; `start` is called only when none is under way.
    ///
    /// The work runs in a task of its own, so a caller that goes away takes nothing from the others.
    /// `None` when it panicked or the runtime is shutting down.
    pub async fn join<F>(self: &Arc<Self>, key: K, start: impl FnOnce() -> F + Send) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let flight = self.board(key, start);
        flight.await
    }

    fn board<F>(self: &Arc<Self>, key: K, start: impl FnOnce() -> F) -> Flight<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (result, flight) = {
            let mut under_way = self.under_way.lock();
            if let Some(flight) = under_way.get(&key) {
                return flight.clone();
            }
            let (result, landed) = oneshot::channel();
            let flight = landed.map(Result::ok).boxed().shared();
            under_way.insert(key.clone(), flight.clone());
            (result, flight)
        };
        // Not under the lock: a runtime that is shutting down drops the task at once, and with it
        // the landing, which takes the lock.
        let landing = Landing { flights: Arc::clone(self), key, result: Some(result) };
        let work = start();
        tokio::spawn(async move { landing.with(work.await) });
        flight
    }
}

/// Takes the flight off the board however its work ends, and only then lets those who wait go on:
/// whoever asks next asks anew.
struct Landing<K: Hash + Eq, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
    result: Option<oneshot::Sender<V>>,
}

impl<K: Hash + Eq, V> Landing<K, V> {
    fn with(mut self, value: V) {
        let result = self.result.take();
        drop(self);
        // Everybody who waited may be gone.
        let _ = result.map(|result| result.send(value));
    }
}

impl<K: Hash + Eq, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.flights.under_way.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_thousand_callers_start_the_work_once_and_a_lost_leader_takes_nothing_away() {
        let flights: Arc<Flights<u8, usize>> = Arc::new(Flights::new());
        let (started, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let call = || {
            let (started, gate) = (Arc::clone(&started), Arc::clone(&gate));
            let flights = Arc::clone(&flights);
            async move {
                let work = move || async move {
                    let nth = started.fetch_add(1, Ordering::SeqCst);
                    gate.acquire().await.map(tokio::sync::SemaphorePermit::forget).ok();
                    nth
                };
                flights.join(7, work).await
            }
        };
        let leader = tokio::spawn(call());
        while started.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let followers: Vec<_> = (0..999).map(|_| tokio::spawn(call())).collect();
        tokio::task::yield_now().await;
        leader.abort();
        gate.add_permits(1);
        for follower in followers {
            assert_eq!(follower.await.unwrap(), Some(0));
        }
        assert_eq!(started.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_runtime_that_shuts_down_ends_the_flight_instead_of_hanging_its_worker() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let (done, ended) = std::sync::mpsc::channel();
        // A thread that hangs would keep a test from failing.
        std::thread::spawn(move || {
            let _inside = handle.enter();
            let flights: Arc<Flights<u8, u8>> = Arc::new(Flights::new());
            let result = flights.join(1, || async { 5 }).now_or_never();
            let _ = done.send((result, flights.under_way.lock().len()));
        });
        let (result, left) = ended.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
        assert_eq!((result, left), (Some(None), 0));
    }

    #[tokio::test]
    async fn work_that_panics_is_none_and_the_next_caller_starts_anew() {
        let flights: Arc<Flights<u8, u8>> = Arc::new(Flights::new());
        let none = flights.join(1, || async { panic!("on purpose") }).await;
        assert_eq!(none, None);
        assert_eq!(flights.join(1, || async { 5 }).await, Some(5));
    }
}
