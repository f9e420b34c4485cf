//! Rules come into force: at the start, when their file changes, on SIGHUP, on demand.
//!
//! A rule set is loaded and bound whole before it replaces the one in force; a bad one changes
//! nothing but the readiness detail, the metric and the log.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::authz::model::ModelWatch;
use crate::gate::Gate;
use crate::gate::policy::{BindError, Bindings, Policy};
use crate::metrics::Metrics;
use crate::rate_limit::{KeyKind, LimitId, Limiter};
use crate::readiness::Readiness;
use crate::rules::{Names, RuleErrors, RuleFile, RuleFileError, RuleSet, UpstreamRole};

/// What rules may name, and what the names stand for.
#[derive(Debug)]
pub struct Vocabulary {
    names: Names,
    limits: HashMap<String, (LimitId, KeyKind)>,
    upstreams: HashMap<String, usize>,
}

/// Why rules did not come into force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] RuleFileError),
    /// The rules are wrong in themselves.
    #[error(transparent)]
    Rules(#[from] RuleErrors),
    /// The rules ask for relations that the authorization model does not define.
    #[error("{}", lines(.0))]
    Model(Vec<crate::rules::RuleError>),
    /// The rules name things that do not go together.
    #[error("{}", lines(.0))]
    Bind(Vec<BindError>),
}

fn lines<T: ToString>(errors: &[T]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Vocabulary {
    /// The vocabulary of a configuration. `upstreams` in the order that positions refer to.
    pub fn new(
        default_relation: &str,
        upstreams: &[(String, UpstreamRole)],
        limiter: &Limiter,
    ) -> Self {
        let limits: HashMap<_, _> = limiter
            .ids()
            .map(|(id, limit)| (limit.name().to_owned(), (id, limit.key().clone())))
            .collect();
        let with_role = |wanted: UpstreamRole| {
            let has_role = move |(name, role): &(String, UpstreamRole)| {
                (*role == wanted || name == wanted.name()).then(|| name.clone())
            };
            upstreams.iter().filter_map(has_role).collect::<BTreeSet<_>>()
        };
        let names = Names {
            default_relation: default_relation.to_owned(),
            default_target: UpstreamRole::Application.name().to_owned(),
            targets: upstreams.iter().map(|(name, _)| name.clone()).collect(),
            limits: limits.keys().cloned().collect(),
            openfga_targets: with_role(UpstreamRole::OpenFga),
            zitadel_targets: with_role(UpstreamRole::Zitadel),
            any_audience: false,
        };
        let upstreams =
            upstreams.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
        Self { names, limits, upstreams }
    }

    /// The same, for a configuration that may accept tokens whomever they are meant for.
    #[must_use]
    pub fn with_any_audience(mut self, any_audience: bool) -> Self {
        self.names.any_audience = any_audience;
        self
    }

    /// Builds a policy from the content of a rule file.
    pub fn build(&self, content: &[u8], metrics: &Metrics) -> Result<Policy, ReloadError> {
        let rules = RuleSet::parse(content, &self.names)?;
        let bindings = Bindings { limits: &self.limits, upstreams: &self.upstreams, metrics };
        Policy::bind(rules, &bindings).map_err(ReloadError::Bind)
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
        let policy = self.vocabulary.build(content, &self.metrics)?;
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
        if missing.is_empty() { Ok(()) } else { Err(ReloadError::Model(missing)) }
    }
}

/// Tells of rules that load but deserve a second look.
pub fn warn_of_dangers(rules: &RuleSet) {
    for warning in rules.warnings() {
        tracing::warn!(rule = warning.id(), "{warning}");
    }
}
