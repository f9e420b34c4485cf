//! Single flight: callers with the same key at the same time share one piece of work.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;

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
        let mut under_way = self.under_way.lock();
        if let Some(flight) = under_way.get(&key) {
            return flight.clone();
        }
        let landing = Landing { flights: Arc::clone(self), key: key.clone() };
        let work = start();
        let task = tokio::spawn(async move {
            let _landing = landing;
            work.await
        });
        let flight = task.map(Result::ok).boxed().shared();
        under_way.insert(key, flight.clone());
        flight
    }
}

/// Takes the flight off the board however its work ends.
struct Landing<K: Hash + Eq, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
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

    #[tokio::test]
    async fn work_that_panics_is_none_and_the_next_caller_starts_anew() {
        let flights: Arc<Flights<u8, u8>> = Arc::new(Flights::new());
        let none = flights.join(1, || async { panic!("on purpose") }).await;
        assert_eq!(none, None);
        assert_eq!(flights.join(1, || async { 5 }).await, Some(5));
    }
}
