//! What rules may refer to.

use std::collections::BTreeMap;

use super::upstream_role::UpstreamRole;

/// The names that a configuration gives to rules, with what they stand for.
///
/// A rule's names are looked up once, while it is read, and what they stand for comes out beside it as its
/// [`Links`]: whoever binds rules has nothing to look up that could be missing.
#[derive(Clone, Debug)]
pub struct Names<L = ()> {
    /// The relation of a rule without `action`.
    pub default_relation: String,
    /// The upstream of a rule without `target`.
    pub default_target: String,
    /// All upstreams.
    pub targets: BTreeMap<String, TargetName>,
    /// All limits.
    pub limits: BTreeMap<String, LimitName<L>>,
    /// Whether tokens are accepted whomever they are meant for.
    pub any_audience: bool,
}

/// An upstream.
#[derive(Clone, Copy, Debug, Default)]
pub struct TargetName {
    /// Its position among the upstreams.
    pub position: usize,
    /// Whether it is OpenFGA's API: whoever reaches it can grant himself anything.
    pub is_openfga: bool,
    /// Whether it is ZITADEL.
    pub is_zitadel: bool,
}

/// A limit.
#[derive(Clone, Debug)]
pub struct LimitName<L> {
    /// What the name stands for.
    pub limit: L,
    /// Whether it counts by principal, which public rules do not have.
    pub counts_principals: bool,
}

/// What the names in one rule stand for.
#[derive(Clone, Debug)]
pub struct Links<L> {
    /// The position of its upstream.
    pub upstream: usize,
    /// Its own limit.
    pub limit: Option<L>,
}

impl<L> Names<L> {
    /// The names of a configuration; `upstreams` in the order that positions refer to.
    pub fn new<'u>(
        default_relation: &str,
        upstreams: impl IntoIterator<Item = (&'u str, UpstreamRole)>,
        limits: BTreeMap<String, LimitName<L>>,
    ) -> Self {
        let upstreams = upstreams.into_iter().enumerate();
        let targets = upstreams.map(|(position, (name, role))| {
            let is = |wanted: UpstreamRole| role == wanted || name == wanted.name();
            let is_openfga = is(UpstreamRole::OpenFga);
            let is_zitadel = is(UpstreamRole::Zitadel);
            (name.to_owned(), TargetName { position, is_openfga, is_zitadel })
        });
        Self {
            default_relation: default_relation.to_owned(),
            default_target: UpstreamRole::Application.name().to_owned(),
            targets: targets.collect(),
            limits,
            any_audience: false,
        }
    }

    pub(super) fn is_openfga(&self, target: &str) -> bool {
        self.targets.get(target).is_some_and(|target| target.is_openfga)
    }

    pub(super) fn is_zitadel(&self, target: &str) -> bool {
        self.targets.get(target).is_some_and(|target| target.is_zitadel)
    }
}
