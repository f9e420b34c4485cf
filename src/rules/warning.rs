//! What a rule file may say but rarely should.

use std::fmt;
use std::sync::Arc;

use super::file::OnUnavailable;
use super::index::{Comparison, Confusion, Index};
use super::names::Names;
use super::pattern::Segment;
use super::rule::Rule;

/// First path segments under which ZITADEL serves browsers and OIDC clients that have no token yet;
/// everything else there is administration.
const ZITADEL_PUBLIC: [&str; 8] =
    [".well-known", "assets", "debug", "device", "idps", "oauth", "oidc", "ui"];
/// Confusions that one warning spells out.
const MAX_CONFUSIONS: usize = 4;

/// A rule that loads and deserves a second look.
#[derive(Clone, Debug)]
pub(super) struct RuleWarning {
    rule: usize,
    danger: Danger,
    /// What the danger is about, where it is about other rules: some of it.
    confusions: Box<[Confusion]>,
    /// How many other rules it is about besides.
    more: usize,
}

/// What could go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Danger {
    /// A public rule to OpenFGA's API, for direct private peers only.
    PublicOpenFga,
    /// A public rule to OpenFGA's API, for everybody.
    ExposedOpenFga,
    /// A public rule to ZITADEL's management.
    PublicZitadel,
    /// `on_unavailable: allow`.
    FailsOpen,
    /// A role that does not name its project, while tokens for any audience are accepted.
    RoleOfAnyProject,
    /// Paths with encoded slashes that are another rule's once they are decoded.
    ReadAsAnother,
    /// Paths with encoded slashes that were not compared with other rules, since there are too many.
    NotCompared,
}

impl RuleWarning {
    pub(super) fn all<L>(rules: &[Arc<Rule>], index: &Index, names: &Names<L>) -> Vec<Self> {
        let mut comparison = Comparison::new(index, rules);
        let of = |rule: &Arc<Rule>| {
            let decoded = match comparison.confusions(rule) {
                None => Some(Self::new(rule, Danger::NotCompared)),
                Some(confusions) if confusions.is_empty() => None,
                Some(mut confusions) => {
                    let more = confusions.len().saturating_sub(MAX_CONFUSIONS);
                    confusions.truncate(MAX_CONFUSIONS);
                    let about = Self::new(rule, Danger::ReadAsAnother);
                    Some(Self { confusions: confusions.into(), more, ..about })
                }
            };
            let plain = dangers(rule, names).into_iter().flatten();
            let plain = plain.map(|danger| Self::new(rule, danger));
            plain.chain(decoded).collect::<Vec<_>>()
        };
        rules.iter().flat_map(of).collect()
    }

    fn new(rule: &Rule, danger: Danger) -> Self {
        let confusions = Box::default();
        Self { rule: rule.index(), danger, confusions, more: 0 }
    }

    /// The rule's position in the file, from 0.
    pub(super) const fn rule(&self) -> usize {
        self.rule
    }

    /// What could go wrong.
    pub(super) const fn danger(&self) -> Danger {
        self.danger
    }

    /// Some paths of the rule, and the positions of the rules whose paths they are once decoded.
    #[cfg(test)]
    pub(super) fn confusions(&self) -> impl Iterator<Item = (&str, usize)> {
        self.confusions.iter().map(|found| (&*found.path, found.rule.index()))
    }
}

impl Danger {
    /// The stable word for it.
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::PublicOpenFga => "public_openfga",
            Self::ExposedOpenFga => "exposed_openfga",
            Self::PublicZitadel => "public_zitadel",
            Self::FailsOpen => "fails_open",
            Self::RoleOfAnyProject => "role_of_any_project",
            Self::ReadAsAnother => "read_as_another",
            Self::NotCompared => "not_compared",
        }
    }

    /// The field that brings it.
    pub(super) const fn field(self) -> &'static str {
        match self {
            Self::PublicOpenFga | Self::PublicZitadel => "target",
            Self::ExposedOpenFga => "expose_openfga",
            Self::FailsOpen => "on_unavailable",
            Self::RoleOfAnyProject => "roles",
            Self::ReadAsAnother | Self::NotCompared => "encoded_slashes",
        }
    }
}

fn dangers<L>(rule: &Rule, names: &Names<L>) -> [Option<Danger>; 3] {
    let public = if !rule.is_public() {
        None
    } else if names.is_openfga(rule.target()) {
        Some(if rule.is_private_only() { Danger::PublicOpenFga } else { Danger::ExposedOpenFga })
    } else if names.is_zitadel(rule.target()) && is_zitadel_administration(rule) {
        Some(Danger::PublicZitadel)
    } else {
        None
    };
    let fails_open = rule.on_unavailable() == OnUnavailable::Allow;
    let any_project = names.any_audience && asks_for_a_bare_role(rule);
    [
        public,
        fails_open.then_some(Danger::FailsOpen),
        any_project.then_some(Danger::RoleOfAnyProject),
    ]
}

fn asks_for_a_bare_role(rule: &Rule) -> bool {
    rule.requirements().roles().iter().any(|role| !role.contains(':'))
}

fn is_zitadel_administration(rule: &Rule) -> bool {
    match rule.pattern().segments().first() {
        Some(Segment::Static(first)) => !ZITADEL_PUBLIC.contains(&&**first),
        Some(Segment::Parameter(_)) | None => true,
    }
}

impl fmt::Display for RuleWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.danger)?;
        for (position, Confusion { path, rule }) in self.confusions.iter().enumerate() {
            let separator = if position == 0 { ": " } else { ", " };
            write!(f, "{separator}{path:?} for one of rule {} ({:?})", rule.index(), rule.id())?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicOpenFga => {
                "public rule to OpenFGA's API: any private peer that can reach it can grant himself \
                 anything"
            }
            Self::ExposedOpenFga => {
                "public rule to OpenFGA's API with expose_openfga: anybody who can reach it can grant \
                 himself anything"
            }
            Self::PublicZitadel => {
                "public rule to ZITADEL's management API: only ZITADEL itself checks who calls"
            }
            Self::FailsOpen => {
                "on_unavailable is allow: every authenticated principal passes while OpenFGA cannot be \
                 asked"
            }
            Self::RoleOfAnyProject => {
                "asks for a role while tokens for any audience are accepted: whoever owns a project \
                 gives himself roles of any name; name the project, {project}:{role}, or set \
                 issuers[].audience (ZITADEL_AUDIENCE)"
            }
            Self::ReadAsAnother => {
                "encoded_slashes is allow, and a service that decodes them takes paths of this rule \
                 for another's"
            }
            Self::NotCompared => {
                "encoded_slashes is allow, on too many rules to see whether a service that decodes \
                 them takes paths of this rule for another's"
            }
        })
    }
}
