//! Whether this process should get traffic.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{Now, SharedClock};

/// A process that is still not ready after this reports healthy all the same: probes that restart
/// it would not bring the issuer back, and public routes are served meanwhile.
const PATIENCE: Duration = Duration::from_secs(45);

/// Shared state of the probes.
#[derive(Debug)]
pub struct Readiness {
    started: Now,
    clock: SharedClock,
    keys_were_loaded: AtomicBool,
    has_been_healthy: AtomicBool,
    draining: AtomicBool,
    rules_error: Mutex<Option<String>>,
}

impl Readiness {
    /// Not ready yet.
    pub fn new(clock: SharedClock) -> Self {
        Self {
            started: clock.now(),
            clock,
            keys_were_loaded: AtomicBool::new(false),
            has_been_healthy: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            rules_error: Mutex::new(None),
        }
    }

    /// What the probe on the traffic port is told.
    pub fn is_healthy(&self) -> bool {
        if self.draining() {
            return false;
        }
        if self.has_been_healthy.load(Ordering::Relaxed) {
            return true;
        }
        let healthy = self.keys_were_loaded.load(Ordering::Relaxed)
            || self.clock.now().since(self.started) >= PATIENCE;
        if healthy {
            self.has_been_healthy.store(true, Ordering::Relaxed);
        }
        healthy
    }

    /// Every issuer's keys are there for the first time.
    pub fn set_keys_loaded(&self) {
        self.keys_were_loaded.store(true, Ordering::Relaxed);
    }

    /// SIGTERM has come.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether SIGTERM has come.
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The last load of the rule file failed, or succeeded again.
    pub fn set_rules_error(&self, error: Option<String>) {
        *self.rules_error.lock() = error;
    }

    /// Why the rule file is not in force.
    pub fn rules_error(&self) -> Option<String> {
        self.rules_error.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn health_waits_for_keys_at_most_45_seconds_and_ends_with_sigterm() {
        let clock = Arc::new(ManualClock::starting_at(0));
        let readiness = Readiness::new(clock.clone());
        assert!(!readiness.is_healthy());
        clock.advance(Duration::from_secs(44));
        assert!(!readiness.is_healthy());
        clock.advance(Duration::from_secs(1));
        assert!(readiness.is_healthy());
        readiness.start_draining();
        assert!(!readiness.is_healthy());
    }

    #[test]
    fn loaded_keys_make_it_healthy_at_once() {
        let readiness = Readiness::new(Arc::new(ManualClock::starting_at(0)));
        readiness.set_keys_loaded();
        assert!(readiness.is_healthy());
    }
}
