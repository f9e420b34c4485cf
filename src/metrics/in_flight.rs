//! Requests in flight, read off when somebody looks.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};

use super::registration::{MetricsError, register};
use crate::underway::Underway;

/// A gauge that shows a count which is kept elsewhere.
#[derive(Clone)]
struct Shown {
    gauge: IntGauge,
    count: Arc<Underway>,
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set(i64::try_from(self.count.count()).unwrap_or(i64::MAX));
        self.gauge.collect()
    }
}

/// The count of requests in flight, and a gauge that shows it.
pub(super) fn in_flight(registry: &Registry) -> Result<Arc<Underway>, MetricsError> {
    let gauge = IntGauge::new("auth_gateway_requests_in_flight", "Requests being served.")?;
    let shown = register(registry, Shown { gauge, count: Arc::default() })?;
    Ok(shown.count)
}
