//! The windows that other replicas do not know about yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::window::Window;

const STRIPES: usize = 16;

/// Filled by requests, drained by the exchange. A window is in it at most once, so it is never
/// longer than the table of windows.
#[derive(Debug)]
pub(super) struct Unsynced {
    wanted: AtomicBool,
    stripes: Box<[Mutex<Vec<Arc<Window>>>]>,
}

impl Unsynced {
    pub(super) fn new() -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::new(Vec::new())).collect();
        Self { wanted: AtomicBool::new(false), stripes }
    }

    /// From now on somebody drains.
    pub(super) fn begin(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    pub(super) fn note(&self, window: &Arc<Window>) {
        if self.wanted.load(Ordering::Relaxed) && window.wants_sync() {
            // Bits above the allocation's alignment: neighbours go to different stripes.
            let stripe = (Arc::as_ptr(window).addr() >> 6) % STRIPES;
            if let Some(stripe) = self.stripes.get(stripe) {
                stripe.lock().push(Arc::clone(window));
            }
        }
    }

    /// Moves all that wait into `into`. The stripes keep their capacity.
    pub(super) fn drain(&self, into: &mut impl Extend<Arc<Window>>) {
        for stripe in &self.stripes {
            into.extend(stripe.lock().drain(..));
        }
    }
}
