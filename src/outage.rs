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

/// What was told last of things that have no end to tell of.
#[derive(Debug, Default)]
pub struct LastTold(Mutex<Option<Told>>);

#[derive(Debug)]
struct Told {
    at: Now,
    cause: String,
}

impl LastTold {
    /// Whether a cause is worth a line.
    pub fn is_news(&self, cause: &impl Display, now: Now) -> bool {
        let cause = cause.to_string();
        let quiet = |told: &str| if told == cause { SAME_CAUSE } else { ANY_CAUSE };
        self.is_news_after(&cause, now, quiet)
    }

    /// As [`LastTold::is_news`], where `quiet` says for how long the cause that was told last keeps
    /// this one from being told.
    fn is_news_after(
        &self,
        cause: &impl Display,
        now: Now,
        quiet: impl FnOnce(&str) -> Duration,
    ) -> bool {
        let mut last = self.0.lock();
        let is_known = last.as_ref().is_some_and(|told| now.since(told.at) < quiet(&told.cause));
        if !is_known {
            *last = Some(Told { at: now, cause: cause.to_string() });
        }
        !is_known
    }
}

/// What was told last of an outage.
#[derive(Debug, Default)]
pub struct Outage {
    /// Whether an outage was told whose end was not.
    is_told: AtomicBool,
    last: LastTold,
}

impl Outage {
    /// Whether a failure is worth a line; the outage lasts until [`Outage::ends`].
    pub fn is_news(&self, cause: &impl Display, now: Now) -> bool {
        let is_news = self.last.is_news(cause, now);
        self.begins_if(is_news)
    }

    /// As [`Outage::is_news`], where `quiet` says for how long the cause that was told last keeps
    /// this one from being told.
    pub fn is_news_after(
        &self,
        cause: &impl Display,
        now: Now,
        quiet: impl FnOnce(&str) -> Duration,
    ) -> bool {
        let is_news = self.last.is_news_after(cause, now, quiet);
        self.begins_if(is_news)
    }

    /// Whether an outage was told whose end was not.
    pub fn is_under_way(&self) -> bool {
        self.is_told.load(Ordering::Relaxed)
    }

    fn begins_if(&self, is_news: bool) -> bool {
        if is_news {
            self.is_told.store(true, Ordering::Relaxed);
        }
        is_news
    }

    /// Whether a success is worth a line: the first one after an outage that was told.
    pub fn ends(&self) -> bool {
        self.is_under_way() && self.is_told.swap(false, Ordering::Relaxed)
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
