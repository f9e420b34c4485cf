//! One outage of OpenFGA, told once: when it begins, when its cause changes, now and then while
//! requests suffer from it, and when it ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{CheckFault, is_outage};
use crate::clock::Now;

/// Time between two lines about the same cause.
const SAME_CAUSE: Duration = Duration::from_secs(10);
/// Time between two lines whatever their causes.
const ANY_CAUSE: Duration = Duration::from_secs(1);

/// Whom the log says is out of reach.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Base of the API.
    pub url: &'a str,
    /// The store.
    pub store_id: &'a str,
}

/// Who suffers.
#[derive(Debug, Clone, Copy)]
enum Sufferer {
    Request,
    LookUp,
}

/// What was told last, by look-ups of the model and by checks alike.
#[derive(Debug, Default)]
pub(super) struct OutageLog {
    /// Whether an outage was told whose end was not.
    is_told: AtomicBool,
    last: Mutex<Option<Told>>,
}

#[derive(Debug)]
struct Told {
    at: Now,
    cause: String,
}

impl OutageLog {
    /// A request could not be decided.
    pub(super) fn request_failed(&self, fault: &CheckFault, place: Option<Place<'_>>, now: Now) {
        if self.is_news(fault, Sufferer::Request, now) {
            tell(fault, place, "verify OPENFGA_URL, OPENFGA_STORE_ID and network connectivity");
        }
    }

    /// The model could not be looked up; that is tried again after `pause`.
    pub(super) fn lookup_failed(
        &self,
        fault: &CheckFault,
        place: Place<'_>,
        pause: Duration,
        now: Now,
    ) {
        if self.is_news(fault, Sufferer::LookUp, now) {
            let hint = format!(
                "verify OPENFGA_URL, OPENFGA_STORE_ID and network connectivity; \
                 tried again every {pause:?}"
            );
            tell(fault, Some(place), &hint);
        }
    }

    /// OpenFGA has answered.
    pub(super) fn answered(&self, place: Option<Place<'_>>) {
        if self.is_told.load(Ordering::Relaxed) && self.is_told.swap(false, Ordering::Relaxed) {
            let (url, store_id) = (place.map(|p| p.url), place.map(|p| p.store_id));
            tracing::info!(url, store_id, "OpenFGA is reachable again");
        }
    }

    fn is_news(&self, fault: &CheckFault, sufferer: Sufferer, now: Now) -> bool {
        let is_look_up = matches!(sufferer, Sufferer::LookUp);
        let mut last = self.last.lock();
        if let Some(told) = &*last {
            let age = now.since(told.at);
            if age < ANY_CAUSE {
                return false;
            }
            let is_told = self.is_told.load(Ordering::Relaxed);
            let is_known = fault.is_consequence() || fault.to_string() == told.cause;
            if is_known && (age < SAME_CAUSE || (is_told && is_look_up)) {
                return false;
            }
        }
        *last = Some(Told { at: now, cause: fault.to_string() });
        // A question that is refused says nothing about whether OpenFGA can be reached.
        if is_look_up || is_outage(Some(fault)) {
            self.is_told.store(true, Ordering::Relaxed);
        }
        true
    }
}

fn tell(fault: &CheckFault, place: Option<Place<'_>>, hint: &str) {
    tracing::warn!(
        reason = "authorization_unavailable",
        cause = %fault,
        url = place.map(|place| place.url),
        store_id = place.map(|place| place.store_id),
        hint,
        "Failed to connect to OpenFGA"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Now {
        Now::at(0, (3_600_000 + millis) * 1_000_000)
    }

    fn down(cause: &str) -> CheckFault {
        CheckFault::Unreachable { cause: cause.to_owned() }
    }

    #[test]
    fn requests_tell_a_cause_every_ten_seconds_and_another_one_after_a_second() {
        let log = OutageLog::default();
        for (millis, fault, expected) in [
            (0, down("refused"), true),
            (999, down("no route"), false),
            (1_000, down("refused"), false),
            (1_001, down("no route"), true),
            (5_000, CheckFault::CircuitOpen, false),
            (11_000, down("no route"), false),
            (11_001, down("no route"), true),
        ] {
            assert_eq!(
                log.is_news(&fault, Sufferer::Request, at(millis)),
                expected,
                "{millis} {fault}"
            );
        }
    }

    #[test]
    fn look_ups_tell_a_cause_once_until_it_changes_or_the_outage_ends() {
        let log = OutageLog::default();
        assert!(log.is_news(&down("refused"), Sufferer::LookUp, at(0)));
        assert!(!log.is_news(&down("refused"), Sufferer::LookUp, at(60_000)));
        assert!(log.is_news(&CheckFault::NoModel, Sufferer::LookUp, at(61_000)));
        log.answered(None);
        assert!(
            !log.is_news(&CheckFault::NoModel, Sufferer::LookUp, at(62_000)),
            "told a second ago"
        );
        assert!(log.is_news(&CheckFault::NoModel, Sufferer::LookUp, at(72_000)));
    }
}
