//! `limiter`: the table of counted keys.

use schemars::JsonSchema;
use serde::Deserialize;

/// The table of counted keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimiterSection {
    #[schemars(range(min = 1000, max = 100_000_000))]
    pub(super) max_keys: usize,
}
