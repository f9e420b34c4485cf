//! What is under way, counted so that somebody can wait until nothing is.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many of something are under way.
#[derive(Debug, Default)]
pub struct Underway {
    count: AtomicUsize,
    /// Whether the end of the last one is news to anybody: telling takes a lock.
    is_awaited: AtomicBool,
    ended: Notify,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Guard(Arc<Underway>);

impl Underway {
    /// One more.
    pub fn begin(self: &Arc<Self>) -> Guard {
        self.count.fetch_add(1, Ordering::Relaxed);
        Guard(Arc::clone(self))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Ready when there is none.
    pub async fn until_none(&self) {
        // Before the count is read: whoever is the last one after that sees it.
        self.is_awaited.store(true, Ordering::SeqCst);
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let before = self.0.count.fetch_sub(1, Ordering::SeqCst);
        if before == 1 && self.0.is_awaited.load(Ordering::SeqCst) {
            self.0.ended.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_wait_ends_with_the_last_one_whatever_comes_meanwhile() {
        let requests = Arc::new(Underway::default());
        requests.until_none().await;

        let (first, second) = (requests.begin(), requests.begin());
        let mut waits = [requests.until_none().boxed(), requests.until_none().boxed()];
        assert_eq!(waits.each_mut().map(FutureExt::now_or_never), [None, None]);
        drop(first);
        let third = requests.begin();
        drop(second);
        assert_eq!(requests.count(), 1);
        assert_eq!(waits.each_mut().map(FutureExt::now_or_never), [None, None]);
        drop(third);
        assert_eq!(waits.each_mut().map(FutureExt::now_or_never), [Some(()), Some(())]);
    }

    #[tokio::test]
    async fn one_that_ends_in_a_panic_ends() {
        let requests = Arc::new(Underway::default());
        let guard = requests.begin();
        let panicking = tokio::spawn(async move {
            let _guard = guard;
            panic!("on purpose");
        });
        requests.until_none().await;
        assert!(panicking.await.is_err());
    }
}
