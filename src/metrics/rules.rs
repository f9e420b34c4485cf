//! The series of rules: there while somebody may count in them, gone with the rules.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::{Mutex, RwLock};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

use super::registration::{MetricsError, register};

/// Rule label of requests that no rule covers.
pub const NO_RULE: &str = "none";

/// Status classes, and one for clients that went away before they could be answered.
const CLASSES: u16 = 6;

/// Upper bounds in seconds, from a local answer to a slow upstream.
const BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// Everything that has a label `rule`.
#[derive(Debug)]
pub(super) struct RuleFamilies {
    pub(super) requests: IntCounterVec,
    rejections: IntCounterVec,
    durations: HistogramVec,
    live: Mutex<HashMap<Box<str>, Weak<RuleMetrics>>>,
    /// The reasons that occurred so far.
    reasons: RwLock<BTreeSet<&'static str>>,
}

/// Handles of one rule.
#[derive(Debug)]
pub struct RuleMetrics {
    rule: Box<str>,
    requests: IntCounterVec,
    classes: [OnceLock<IntCounter>; CLASSES as usize],
    duration: Histogram,
}

impl RuleFamilies {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let durations = HistogramOpts::new(
            "auth_gateway_request_duration_seconds",
            "Time from the request's headers to the end of the response.",
        )
        .buckets(BUCKETS.to_vec());
        Ok(Self {
            requests: counters(
                "auth_gateway_requests_total",
                "Requests by rule and status class.",
                &["rule", "status"],
            )?,
            rejections: counters(
                "auth_gateway_rejections_total",
                "Requests turned away by the gateway, by rule and reason.",
                &["rule", "reason"],
            )?,
            durations: register(registry, HistogramVec::new(durations, &["rule"])?)?,
            live: Mutex::default(),
            reasons: RwLock::default(),
        })
    }

    /// The handles of a rule; rule sets that have it in common share them.
    pub(super) fn rule(&self, id: &str) -> Arc<RuleMetrics> {
        let mut live = self.live.lock();
        if let Some(metrics) = live.get(id).and_then(Weak::upgrade) {
            return metrics;
        }
        let metrics = Arc::new(RuleMetrics {
            rule: id.into(),
            requests: self.requests.clone(),
            classes: Default::default(),
            duration: self.durations.with_label_values(&[id]),
        });
        live.insert(id.into(), Arc::downgrade(&metrics));
        metrics
    }

    pub(super) fn count_rejection(&self, rule: &str, reason: &'static str) {
        if !self.reasons.read().contains(reason) {
            self.reasons.write().insert(reason);
        }
        self.rejections.with_label_values(&[rule, reason]).inc();
    }

    /// Removes the series of rules whose handles are all gone. Not done where the last one goes: that
    /// may be a request, and there may be thousands.
    pub(super) fn forget_gone_rules(&self) {
        let mut live = self.live.lock();
        live.retain(|rule, metrics| {
            let is_live = metrics.strong_count() > 0;
            if !is_live && &**rule != NO_RULE {
                self.remove(rule);
            }
            is_live
        });
    }

    /// What has never been counted has no series, so that there is nothing to remove.
    fn remove(&self, rule: &str) {
        let _ = self.durations.remove_label_values(&[rule]);
        for class in 0..CLASSES {
            let _ = self.requests.remove_label_values(&[rule, class_word(class * 100)]);
        }
        for reason in &*self.reasons.read() {
            let _ = self.rejections.remove_label_values(&[rule, reason]);
        }
    }
}

impl RuleMetrics {
    /// Counts a finished request.
    pub fn observe(&self, status: u16, seconds: f64) {
        let class = usize::from((status / 100).min(CLASSES - 1));
        if let Some(slot) = self.classes.get(class) {
            slot.get_or_init(|| self.requests.with_label_values(&[&self.rule, class_word(status)]))
                .inc();
        }
        self.duration.observe(seconds);
    }
}

/// `0` stands for a client that went away before it could be answered.
pub(super) const fn class_word(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "none",
    }
}
