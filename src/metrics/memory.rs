//! How much is remembered between requests.

use prometheus::{IntGauge, Registry};

use super::registration::{MetricsError, register};

/// Numbers of things that are bounded.
#[derive(Debug)]
pub struct MemoryMetrics {
    /// Remembered tokens, expired ones included.
    pub tokens: IntGauge,
    /// Remembered decisions, expired ones included.
    pub decisions: IntGauge,
    /// Keys that limits count exactly.
    pub limiter_keys: IntGauge,
    /// Limits that count further keys approximately because the table is full.
    pub limits_in_overflow: IntGauge,
}

impl MemoryMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        Ok(Self {
            tokens: gauge(
                "auth_gateway_tokens_cached",
                "Verified tokens that are remembered, expired ones included.",
            )?,
            decisions: gauge(
                "auth_gateway_decisions_cached",
                "Decisions of OpenFGA that are remembered, expired ones included.",
            )?,
            limiter_keys: gauge(
                "auth_gateway_limiter_keys",
                "Keys of all rate limits that are counted one by one.",
            )?,
            limits_in_overflow: gauge(
                "auth_gateway_limits_in_overflow",
                "Rate limits whose newest keys are counted approximately because the table of keys is full.",
            )?,
        })
    }
}
