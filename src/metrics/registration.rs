//! Handles that are in the registry.

use prometheus::Registry;
use prometheus::core::Collector;

/// The metrics cannot be registered; a programming error.
pub type MetricsError = prometheus::Error;

/// Puts `collector` into `registry`.
pub(super) fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, MetricsError> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
