//! Where the engine gets its time from; tests hand in their own.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};

/// Tells the time. Tuples, changes and ids are stamped with it.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The operating system's.
#[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
pub(crate) fn system() -> Clock {
    Arc::new(SystemTime::now)
}

/// Milliseconds since the Unix epoch.
pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// RFC 3339 in UTC, as the API writes timestamps.
pub(crate) fn rfc3339(millis: u64) -> String {
    let time = i64::try_from(millis).ok().and_then(DateTime::from_timestamp_millis);
    time.unwrap_or_default().to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
