//! Prometheus metrics: one registry, handles bound in advance where requests count.
//!
//! Labels are rule ids, reasons and other words of the configuration; never paths or subjects.

mod exchange;
mod in_flight;
mod jobs;
mod memory;
mod registration;
mod rules;

pub use exchange::ExchangeMetrics;
pub use jobs::JobMetrics;
pub use memory::MemoryMetrics;
pub use registration::MetricsError;
pub use rules::{NO_RULE, RuleMetrics};

use std::sync::Arc;

use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::underway::Underway;
use jobs::JobFamilies;
use registration::register;
use rules::{RuleFamilies, class_word};

/// Content type of what [`Metrics::render`] gives.
pub const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    rules: RuleFamilies,
    jobs: JobFamilies,
    /// Requests between their first byte and their log line.
    pub in_flight: Arc<Underway>,
    /// 1 while the rules in force are the file's.
    pub rules_current: IntGauge,
    /// Loads of the rule file, by result.
    pub rule_loads: IntCounterVec,
    /// Log lines that could not be written.
    pub log_lines_dropped: IntCounter,
    /// 1 while tokens can be verified.
    pub keys_loaded: IntGauge,
    /// Checks that were sent to OpenFGA.
    pub checks: IntCounter,
    /// Of the exchange with Redis.
    pub exchange: ExchangeMetrics,
    /// Requests let through by a decision that was old, or by none.
    pub doubtful_passes: IntCounterVec,
    /// Panics, wherever they were caught.
    pub panics: IntCounter,
    /// Of what is remembered between requests.
    pub memory: MemoryMetrics,
    connect_failures: IntCounterVec,
}

impl Metrics {
    /// Registers everything in a registry of its own.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let counter_vec = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(name, help)?);
        let counter = |name: &str, help: &str| register(&registry, IntCounter::new(name, help)?);
        let rule_loads = counter_vec(
            "auth_gateway_rule_loads_total",
            "Loads of the rule file by result.",
            &["result"],
        )?;
        // There from the start, so that the first failure is an increase.
        for result in ["success", "failure"] {
            rule_loads.with_label_values(&[result]);
        }
        Ok(Self {
            rules: RuleFamilies::new(&registry)?,
            jobs: JobFamilies::new(&registry)?,
            in_flight: in_flight::in_flight(&registry)?,
            rules_current: gauge(
                "auth_gateway_rules_current",
                "1 while the rules in force are those of the rule file.",
            )?,
            rule_loads,
            log_lines_dropped: counter(
                "auth_gateway_log_lines_dropped_total",
                "Log lines lost because standard output did not keep up.",
            )?,
            keys_loaded: gauge(
                "auth_gateway_keys_loaded",
                "1 while tokens can be verified: every issuer's keys are loaded and young enough.",
            )?,
            exchange: ExchangeMetrics::new(&registry)?,
            doubtful_passes: counter_vec(
                "auth_gateway_doubtful_passes_total",
                "Requests let through while nobody could decide, by an old decision or the rule's leniency.",
                &["decision"],
            )?,
            panics: counter(
                "auth_gateway_panics_total",
                "Faults of the gateway itself that ended a request or a job; each is a line in the log.",
            )?,
            checks: counter("auth_gateway_checks_total", "Checks that were sent to OpenFGA.")?,
            memory: MemoryMetrics::new(&registry)?,
            connect_failures: counter_vec(
                "auth_gateway_upstream_connect_failures_total",
                "Attempts to connect to an address of an upstream that failed, probes included.",
                &["upstream"],
            )?,
            registry,
        })
    }

    /// Handles for the rule `id`.
    pub fn rule(&self, id: &str) -> Arc<RuleMetrics> {
        self.rules.rule(id)
    }

    /// Handles for a background job.
    pub fn job(&self, name: &str) -> JobMetrics {
        self.jobs.job(name)
    }

    /// Counts attempts to connect to `upstream` that failed.
    pub fn connect_failures(&self, upstream: &str) -> IntCounter {
        self.connect_failures.with_label_values(&[upstream])
    }

    /// Counts a request that the gateway turned away; by a rule, if one covers it.
    pub fn reject(&self, rule: Option<&str>, reason: &'static str) {
        self.rules.count_rejection(rule.unwrap_or(NO_RULE), reason);
    }

    /// Lets go of what was counted for rules that are not in force any more.
    pub fn forget_gone_rules(&self) {
        self.rules.forget_gone_rules();
    }

    /// Counts a finished request that no rule covers.
    pub fn count_unruled(&self, status: u16) {
        self.rules.requests.with_label_values(&[NO_RULE, class_word(status)]).inc();
    }

    /// Everything, in the format of [`EXPOSITION`].
    pub fn render(&self) -> Result<Vec<u8>, MetricsError> {
        self.forget_gone_rules();
        let mut out = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_results_of_a_rule_load_are_there_from_the_start() {
        let text = Metrics::new().unwrap().render().unwrap();
        let text = String::from_utf8(text).unwrap();
        for result in ["success", "failure"] {
            let series = format!("auth_gateway_rule_loads_total{{result=\"{result}\"}} 0");
            assert!(text.contains(&series), "{text}");
        }
        assert!(text.contains("# TYPE auth_gateway_checks_total counter"), "{text}");
    }

    #[test]
    fn series_of_rules_go_with_the_last_of_their_rules() {
        let metrics = Metrics::new().unwrap();
        let lines_of = |rule: &str| {
            let text = String::from_utf8(metrics.render().unwrap()).unwrap();
            text.lines().filter(|line| line.contains(&format!("rule=\"{rule}\""))).count()
        };
        let (stays, goes) = (metrics.rule("stays"), metrics.rule("goes"));
        for (rule, id) in [(&stays, "stays"), (&goes, "goes")] {
            rule.observe(200, 0.1);
            rule.observe(0, 0.1);
            metrics.reject(Some(id), "denied");
        }
        metrics.reject(None, "no_rule");
        metrics.count_unruled(403);
        let (before, unruled) = (lines_of("stays"), lines_of(NO_RULE));
        assert_eq!(lines_of("goes"), before);

        let reloaded = metrics.rule("stays");
        drop(stays);
        drop(goes);
        assert_eq!((lines_of("stays"), lines_of("goes")), (before, 0));
        reloaded.observe(200, 0.1);
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        let counted = "auth_gateway_requests_total{rule=\"stays\",status=\"2xx\"} 2";
        assert!(text.contains(counted), "{text}");
        drop(reloaded);
        assert_eq!((lines_of("stays"), lines_of(NO_RULE)), (0, unruled));
    }
}
