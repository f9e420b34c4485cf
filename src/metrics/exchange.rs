//! What the exchange of rate-limit counts with Redis is counted by.

use prometheus::{Gauge, IntCounter, Registry};

use super::{MetricsError, register};

/// Handles of the exchange with Redis.
#[derive(Clone, Debug)]
pub struct ExchangeMetrics {
    /// Answers about single keys that could not be read.
    pub odd_answers: IntCounter,
    /// How often Redis' clock jumped.
    pub clock_jumps: IntCounter,
    /// Seconds by which Redis' clock is ahead of the windows.
    pub clock_ahead: Gauge,
}

impl ExchangeMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let counter = |name, help| register(registry, IntCounter::new(name, help)?);
        Ok(Self {
            odd_answers: counter(
                "auth_gateway_redis_odd_answers_total",
                "Answers of Redis about single keys that could not be read; the log names the keys.",
            )?,
            clock_jumps: counter(
                "auth_gateway_redis_clock_jumps_total",
                "How often the clock of Redis jumped by more than a second.",
            )?,
            clock_ahead: register(
                registry,
                Gauge::new(
                    "auth_gateway_redis_clock_ahead_seconds",
                    "By how much the clock of Redis is ahead of the windows of the rate limits.",
                )?,
            )?,
        })
    }
}
