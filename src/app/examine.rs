//! Everything that can be wrong before anything listens.

use std::sync::Arc;

use fga_engine::{Engine, Store};

use super::services::{Core, load_store, pin_latest};
use super::start_error::StartError;
use crate::authn::Audiences;
use crate::authz::client::OpenFga;
use crate::authz::model::ModelWatch;
use crate::config::{RuleNames, Settings};
use crate::finding::{Finding, Findings};
use crate::gate::policy::Policy;
use crate::proxy::headers::{HeaderPolicy, names::Names};
use crate::rate_limit::{KeyKind, Limit};
use crate::rules::{self, LimitName, RuleFile, RuleSet};

/// What a look at a configuration and its rules has brought.
pub struct Examination {
    /// Everything that is wrong or odd; what names no file is about the configuration.
    pub findings: Findings,
    /// The rules as they would be in force; absent when the gateway would not start.
    pub policy: Option<Policy>,
}

/// Builds everything that [`run`](super::run) builds before it listens, and goes on after a mistake.
pub fn examine(settings: &Settings) -> Examination {
    let mut findings: Findings = leniencies(settings).collect();
    if let Err(error) = HeaderPolicy::new(&settings.server.name, Arc::new(Names::new(Vec::new()))) {
        findings.extend(StartError::from(error).into_findings());
    }
    let decider = match &settings.embedded {
        Some(embedded) => load_store(&Engine::default(), embedded).map(Some),
        None => OpenFga::new(settings.openfga.client.clone()).map(|_| None).map_err(Into::into),
    };
    let store = decider.unwrap_or_else(|error: StartError| {
        findings.extend(error.into_findings());
        None
    });
    let file = RuleFile::new(settings.rules.file.clone());
    let policy = match Core::build(settings) {
        Ok(core) => match core.load_rules(&file) {
            Ok((_, policy)) => Some(policy),
            Err(error) => {
                findings.extend(error.into_findings());
                None
            }
        },
        Err(error) => {
            findings.extend(error.into_findings());
            findings.extend(examine_rules(&rule_names(settings)));
            None
        }
    };
    if let Some(policy) = &policy {
        findings.extend(policy.rules().findings().clone().in_file(file.path()));
        if let Some(store) = &store {
            findings.extend(missing_in_model(policy, store).in_file(file.path()));
        }
    }
    let policy = policy.filter(|_| !findings.has_errors());
    Examination { findings, policy }
}

fn rule_names(settings: &Settings) -> RuleNames {
    let limit =
        |limit: &Limit| (limit.name().to_owned(), matches!(limit.key(), KeyKind::Principal));
    let upstreams = settings.upstreams.iter();
    RuleNames {
        file: settings.rules.file.clone(),
        are_all: true,
        default_relation: settings.rules.default_relation.clone(),
        upstreams: upstreams.map(|(role, upstream)| (upstream.name.clone(), *role)).collect(),
        limits: settings.limits.iter().map(limit).collect(),
    }
}

/// The rules of a configuration that is wrong elsewhere.
pub fn examine_rules(names: &RuleNames) -> Findings {
    let file = RuleFile::new(names.file.clone());
    let limit = |(name, counts_principals): &(String, bool)| {
        (name.clone(), LimitName { limit: (), counts_principals: *counts_principals })
    };
    let upstreams = names.upstreams.iter().map(|(name, role)| (name.as_str(), *role));
    let limits = names.limits.iter().map(limit).collect();
    let known = rules::Names::new(&names.default_relation, upstreams, limits);
    let told = match file.load() {
        Ok(content) => match RuleSet::parse(&content, &known) {
            Ok(rules) => rules.findings().clone(),
            Err(findings) => findings,
        },
        Err(error) => error.finding().into(),
    };
    let told = if names.are_all { told } else { told.without(&rules::KINDS_OF_NAMES) };
    told.in_file(file.path())
}

/// What the rules ask for and the embedded engine's model lacks. The gateway starts all the same, and
/// answers such requests with 503.
fn missing_in_model(policy: &Policy, store: &Store) -> Findings {
    let model = ModelWatch::default();
    pin_latest(&model, store);
    let Some(model) = model.current() else { return Findings::default() };
    let missing =
        policy.rules().check_relations(|type_name, relation| model.defines(type_name, relation));
    missing.into_warnings()
}

/// What the settings accept that one rarely wants.
pub fn leniencies(settings: &Settings) -> impl Iterator<Item = Finding> {
    let issuers = settings.issuers.iter().enumerate();
    let lenient = issuers.filter(|(_, issuer)| issuer.audiences == Audiences::Any);
    lenient.map(|(position, issuer)| {
        let message = format!(
            "tokens of {} are accepted for any audience; name the project's id in \
             issuers[].audience (ZITADEL_AUDIENCE)",
            issuer.url
        );
        Finding::warning("any_audience", message).at_key(format!("issuers[{position}].audience"))
    })
}
