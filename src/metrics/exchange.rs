//! What the exchange of rate-limit counts with Redis is counted by.

use prometheus::{Gauge, IntCounter, IntGauge, Registry};

use super::registration::{MetricsError, register};

/// Handles of the exchange with Redis.
#[derive(Clone, Debug)]
pub struct ExchangeMetrics {
    /// 1 while counts are exchanged.
    pub connected: IntGauge,
    /// Replicas that share the limits, as last seen.
    pub replicas: IntGauge,
    /// The part of its limit by which one key could exceed it because counts travel with a delay.
    pub overage: Gauge,
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
        let gauge = |name, help| register(registry, IntGauge::new(name, help)?);
        Ok(Self {
            connected: gauge(
                "auth_gateway_redis_connected",
                "1 while rate-limit counts are exchanged with Redis.",
            )?,
            replicas: gauge(
                "auth_gateway_replicas",
                "Replicas that share the rate limits, as last seen.",
            )?,
            overage: register(
                registry,
                Gauge::new(
                    "auth_gateway_limit_overage_ratio",
                    "Part of its limit by which one key could exceed it, as counts travel with a delay.",
                )?,
            )?,
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
