//! Rules come into force: at the start, when their file changes, on SIGHUP, on demand.
//!
//! A rule set is loaded and bound whole before it replaces the one in force; a bad one changes
//! nothing but the readiness detail, the metric and the log.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::authz::model::ModelWatch;
use crate::finding::{Findings, Severity};
use crate::gate::Gate;
use crate::gate::policy::{NamedLimit, Policy};
use crate::metrics::Metrics;
use crate::rate_limit::{KeyKind, Limit, LimitId, Limiter};
use crate::readiness::Readiness;
use crate::rules::{LimitName, Linked, Names, RuleFile, RuleFileError, RuleSet, UpstreamRole};

/// What rules may name, and what the names stand for.
#[derive(Debug)]
pub struct Vocabulary {
    names: Names<NamedLimit>,
}

/// Why rules did not come into force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] RuleFileError),
    /// The rules are wrong in themselves.
    #[error(transparent)]
    Rules(Findings),
    /// The rules ask for relations that the authorization model does not define.
    #[error(transparent)]
    Model(Findings),
}

impl Vocabulary {
    /// The vocabulary of a configuration. `upstreams` in the order that positions refer to.
    pub fn new(
        default_relation: &str,
        upstreams: &[(String, UpstreamRole)],
        limiter: &Limiter,
    ) -> Self {
        let limit = |(id, limit): (LimitId, &Limit)| {
            let kind = limit.key().clone();
            let counts_principals = matches!(kind, KeyKind::Principal);
            (limit.name().to_owned(), LimitName { limit: (id, kind), counts_principals })
        };
        let upstreams = upstreams.iter().map(|(name, role)| (name.as_str(), *role));
        let limits = limiter.ids().map(limit).collect();
        Self { names: Names::new(default_relation, upstreams, limits) }
    }

    /// The same, for a configuration that may accept tokens whomever they are meant for.
    #[must_use]
    pub fn with_any_audience(mut self, any_audience: bool) -> Self {
        self.names.any_audience = any_audience;
        self
    }

    /// Builds a policy from the content of a rule file.
    pub fn build(&self, content: &[u8], metrics: &Metrics) -> Result<Policy, Findings> {
        Ok(Policy::bind(Linked::parse(content, &self.names)?, metrics))
    }
}

/// Brings changed rules into force.
pub struct Reload {
    file: RuleFile,
    vocabulary: Vocabulary,
    gate: Arc<Gate>,
    model: Arc<ModelWatch>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    /// What was in the file when its rules were loaded first.
    first: Vec<u8>,
    /// One load at a time, its report included: neither an older content nor its report can win over
    /// a newer one.
    one_at_a_time: Mutex<()>,
}

impl Reload {
    /// Watches over `file` for `gate`, whose rules have just been loaded from its content `first`.
    pub fn new(
        (file, first): (RuleFile, Vec<u8>),
        vocabulary: Vocabulary,
        gate: Arc<Gate>,
        model: Arc<ModelWatch>,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
    ) -> Self {
        metrics.rules_current.set(1);
        let one_at_a_time = Mutex::new(());
        Self { file, vocabulary, gate, model, metrics, readiness, first, one_at_a_time }
    }

    /// Reads the file and puts its rules into force; returns their version.
    pub fn from_file(&self) -> Result<String, ReloadError> {
        let _turn = self.one_at_a_time.lock();
        self.load()
    }

    fn load(&self) -> Result<String, ReloadError> {
        let loaded = self.file.load().map_err(ReloadError::File);
        let outcome = loaded.and_then(|content| self.put(&content));
        self.report(outcome)
    }

    fn put(&self, content: &[u8]) -> Result<String, ReloadError> {
        let policy = self.vocabulary.build(content, &self.metrics);
        let policy = policy.map_err(|wrong| ReloadError::Rules(wrong.in_file(self.file.path())))?;
        self.compare(policy.rules())?;
        let version = policy.rules().version().to_owned();
        warn_of_dangers(policy.rules());
        self.gate.set_policy(policy);
        self.metrics.forget_gone_rules();
        Ok(version)
    }

    fn report(&self, outcome: Result<String, ReloadError>) -> Result<String, ReloadError> {
        let word = if outcome.is_ok() { "success" } else { "failure" };
        self.metrics.rule_loads.with_label_values(&[word]).inc();
        self.set_error(outcome.as_ref().err());
        match &outcome {
            Ok(version) => tracing::info!(version, "rules in force"),
            Err(error) => {
                tracing::error!(
                    file = %self.file.path().display(),
                    cause = %error,
                    "the rule file is broken; the rules in force stay"
                );
            }
        }
        outcome
    }

    /// What the gauge and the readiness detail tell, at once.
    fn set_error(&self, error: Option<&ReloadError>) {
        self.metrics.rules_current.set(i64::from(error.is_none()));
        self.readiness.set_rules_error(error.map(ToString::to_string));
    }

    /// Follows the file, SIGHUP and the authorization model until `shutdown`.
    pub async fn follow(self: Arc<Self>, shutdown: watch::Receiver<bool>) {
        let on_change = |_content| {
            // Read again under the lock: this content may be older than what SIGHUP has read.
            let _ = self.from_file();
        };
        tokio::join!(
            self.file.watch(self.first.clone(), on_change, shutdown.clone()),
            self.follow_signal(shutdown.clone()),
            self.follow_model(shutdown),
        );
    }

    async fn follow_signal(&self, mut shutdown: watch::Receiver<bool>) {
        use tokio::signal::unix::{SignalKind, signal};
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(cause) => {
                tracing::error!(%cause, "SIGHUP cannot be received; rules are reloaded without it");
                return;
            }
        };
        loop {
            tokio::select! {
                Some(()) = hangups.recv() => drop(self.from_file()),
                _ = shutdown.changed() => return,
            }
        }
    }

    /// A model may come after the rules: rules that were refused for what an older one lacked get
    /// another chance, and rules in force that ask for what this one lacks are reported.
    async fn follow_model(&self, mut shutdown: watch::Receiver<bool>) {
        let mut generations = self.model.subscribe();
        loop {
            generations.mark_unchanged();
            self.meet_model();
            tokio::select! {
                Ok(()) = generations.changed() => {}
                _ = shutdown.changed() => return,
            }
        }
    }

    fn meet_model(&self) {
        let _turn = self.one_at_a_time.lock();
        if self.readiness.rules_error().is_some() {
            drop(self.load());
        } else if let Err(error) = self.compare(self.gate.policy().rules()) {
            self.set_error(Some(&error));
            tracing::error!(cause = %error, "rules ask for what the model does not define");
        }
    }

    /// What `rules` ask for has to be in the model, as soon as one is known.
    fn compare(&self, rules: &RuleSet) -> Result<(), ReloadError> {
        let Some(model) = self.model.current() else { return Ok(()) };
        let missing = rules.check_relations(|t, r| model.defines(t, r));
        if missing.is_empty() {
            return Ok(());
        }
        Err(ReloadError::Model(missing.in_file(self.file.path())))
    }
}

/// Tells of rules that load but deserve a second look.
pub fn warn_of_dangers(rules: &RuleSet) {
    let (told, omitted) = rules.findings().fitting(|finding| finding.to_string().len());
    for finding in told {
        let (rule, kind) = (finding.id.as_deref(), finding.kind);
        tracing::warn!(rule, kind, "{}", finding.what());
    }
    for more in omitted.iter().filter(|more| more.severity == Severity::Warning) {
        tracing::warn!(kind = more.kind, count = more.count, "further warnings of this kind");
    }
}
