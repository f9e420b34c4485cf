//! Keys in Redis whose answers could not be read.

use std::time::Duration;

use prometheus::IntCounter;

use super::answer::Odd;
use crate::clock::Now;

/// A key is told once in so long.
const SILENCE: Duration = Duration::from_mins(1);

/// Keys told within that time; whoever spoils more of them fills no log.
const MAX_TOLD: usize = 10;

/// Counts all, tells some.
#[derive(Debug)]
pub(super) struct OddKeys {
    counted: IntCounter,
    told: Vec<(String, Now)>,
}

impl OddKeys {
    pub(super) const fn new(counted: IntCounter) -> Self {
        Self { counted, told: Vec::new() }
    }

    pub(super) fn note(&mut self, key: &str, odd: Odd, now: Now) {
        self.counted.inc();
        self.told.retain(|(_, at)| now.since(*at) < SILENCE);
        if self.told.len() == MAX_TOLD || self.told.iter().any(|(told, _)| told == key) {
            return;
        }
        self.told.push((key.to_owned(), now));
        tracing::warn!(
            key,
            cause = %odd,
            effect = "what replicas told under this key is not shared",
            hint = "nobody else may write below ag:v1: in this Redis; the key expires by itself",
            "an answer of Redis cannot be read"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::testing::Log;

    #[test]
    fn all_are_counted_each_is_told_once_a_minute_and_not_too_many() {
        let log = Log::capture();
        let mut keys = OddKeys::new(IntCounter::new("odd", "Odd.").unwrap());
        let at = |seconds: u64| Now::at(0, seconds * 1_000_000_000);
        for _ in 0..3 {
            keys.note("ag:v1:one", Odd::NoCount, at(0));
        }
        assert_eq!(log.lines("ag:v1:one"), 1);
        for number in 0..100 {
            keys.note(&format!("ag:v1:{number}"), Odd::WrongType, at(1));
        }
        assert_eq!(log.lines("cannot be read"), MAX_TOLD);
        keys.note("ag:v1:one", Odd::NoCount, at(60));
        assert_eq!(log.lines("ag:v1:one"), 2);
        assert_eq!(keys.counted.get(), 104);
    }
}
