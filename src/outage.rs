//! An outage of another service in the log: its beginning, its causes, its end, and not each
//! request that suffers from it.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Now;

/// Time between two lines about the same cause.
pub const SAME_CAUSE: Duration = Duration::from_secs(10);
/// Time between two lines whatever their causes.
pub const ANY_CAUSE: Duration = Duration::from_secs(1);

/// What was told last.
#[derive(Debug, Default)]
pub struct Outage {
    /// Whether an outage was told whose end was not.
    is_told: AtomicBool,
    last: Mutex<Option<Told>>,
}

#[derive(Debug)]
struct Told {
    at: Now,
    cause: String,
}

impl Outage {
    /// Whether a failure is worth a line; the outage lasts until [`Outage::ends`].
    pub fn is_news(&self, cause: &impl Display, now: Now) -> bool {
        let cause = cause.to_string();
        let mut last = self.last.lock();
        let is_known = last.as_ref().is_some_and(|told| {
            now.since(told.at) < if told.cause == cause { SAME_CAUSE } else { ANY_CAUSE }
        });
        if !is_known {
            *last = Some(Told { at: now, cause });
            self.is_told.store(true, Ordering::Relaxed);
        }
        !is_known
    }

    /// Whether a success is worth a line: the first one after an outage that was told.
    pub fn ends(&self) -> bool {
        self.is_told.load(Ordering::Relaxed) && self.is_told.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Now {
        Now::at(0, (3_600_000 + millis) * 1_000_000)
    }

    #[test]
    fn a_cause_is_told_every_ten_seconds_and_another_one_after_a_second() {
        let outage = Outage::default();
        for (millis, cause, expected) in [
            (0, "refused", true),
            (999, "no route", false),
            (1_000, "no route", true),
            (1_001, "refused", false),
            (10_999, "no route", false),
            (11_000, "no route", true),
        ] {
            assert_eq!(outage.is_news(&cause, at(millis)), expected, "{millis} {cause}");
        }
    }

    #[test]
    fn an_end_is_told_once_and_only_of_what_was_told() {
        let outage = Outage::default();
        assert!(!outage.ends());
        assert!(outage.is_news(&"refused", at(0)));
        assert!(outage.ends() && !outage.ends());
        assert!(!outage.is_news(&"refused", at(1)), "one that comes and goes is no news");
        assert!(!outage.ends());
    }
}
