//! How the background jobs fare.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::registration::{MetricsError, register};

/// Everything that has a label `job`.
#[derive(Debug)]
pub(super) struct JobFamilies {
    failures: IntCounterVec,
    up: IntGaugeVec,
}

/// Handles of one background job.
#[derive(Debug)]
pub struct JobMetrics {
    /// How often it ended although nothing told it to.
    pub failures: IntCounter,
    /// 1 while it works.
    pub up: IntGauge,
}

impl JobFamilies {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let failures = Opts::new(
            "auth_gateway_job_failures_total",
            "How often the background job of this name ended and was started again.",
        );
        let up = Opts::new("auth_gateway_job_up", "1 while the background job of this name works.");
        Ok(Self {
            failures: register(registry, IntCounterVec::new(failures, &["job"])?)?,
            up: register(registry, IntGaugeVec::new(up, &["job"])?)?,
        })
    }

    pub(super) fn job(&self, name: &str) -> JobMetrics {
        JobMetrics {
            failures: self.failures.with_label_values(&[name]),
            up: self.up.with_label_values(&[name]),
        }
    }
}
