//! What deciding has to be told.

use std::time::Duration;

/// How decisions are made and kept.
#[derive(Debug, Clone)]
pub struct AuthzSettings {
    /// Decisions kept at most.
    pub cache_entries: usize,
    /// How long an allow is believed.
    pub allow_ttl: Duration,
    /// How long a deny is believed.
    pub deny_ttl: Duration,
    /// How long past its time an allow may serve while nobody can decide.
    pub stale_if_error: Duration,
    /// Checks in flight at most.
    pub max_concurrent: usize,
}
