//! What a rule file may say but rarely should.

use std::fmt;
use std::sync::Arc;

use super::file::OnUnavailable;
use super::index::{Confusion, Index};
use super::pattern::Segment;
use super::rule::Rule;
use super::set::Names;

/// First path segments under which ZITADEL serves browsers and OIDC clients that have no token yet;
/// everything else there is administration.
const ZITADEL_PUBLIC: [&str; 8] =
    [".well-known", "assets", "debug", "device", "idps", "oauth", "oidc", "ui"];

/// A rule that loads and deserves a second look.
#[derive(Clone, Debug)]
pub struct RuleWarning {
    rule: usize,
    id: Box<str>,
    danger: Danger,
    /// What the danger is about, where it is about other rules.
    confusions: Box<[Confusion]>,
}

/// What could go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danger {
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
}

/// Confusions that one warning spells out.
const MAX_CONFUSIONS: usize = 3;

impl RuleWarning {
    pub(super) fn all(rules: &[Arc<Rule>], index: &Index, names: &Names) -> Vec<Self> {
        let value = unused_segment(rules);
        let of = |rule: &Arc<Rule>| {
            let confusions = index.confusions(rule, &value);
            let read_as_another = (!confusions.is_empty()).then_some(Danger::ReadAsAnother);
            let about_others =
                read_as_another.map(|danger| Self::new(rule, danger, confusions.into()));
            let plain = dangers(rule, names).into_iter().flatten();
            let plain = plain.map(|danger| Self::new(rule, danger, Box::default()));
            plain.chain(about_others).collect::<Vec<_>>()
        };
        rules.iter().flat_map(of).collect()
    }

    fn new(rule: &Rule, danger: Danger, confusions: Box<[Confusion]>) -> Self {
        Self { rule: rule.index(), id: rule.id().into(), danger, confusions }
    }

    /// The rule's position in the file, from 0.
    pub const fn rule(&self) -> usize {
        self.rule
    }

    /// The rule's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What could go wrong.
    pub const fn danger(&self) -> Danger {
        self.danger
    }

    /// Paths of the rule, and the positions of the rules whose paths they are once decoded.
    pub fn confusions(&self) -> impl Iterator<Item = (&str, usize)> {
        self.confusions.iter().map(|found| (&*found.path, found.rule.index()))
    }
}

fn dangers(rule: &Rule, names: &Names) -> [Option<Danger>; 3] {
    let public = if !rule.is_public() {
        None
    } else if names.openfga_targets.contains(rule.target()) {
        Some(if rule.is_private_only() { Danger::PublicOpenFga } else { Danger::ExposedOpenFga })
    } else if names.zitadel_targets.contains(rule.target()) && is_zitadel_administration(rule) {
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

/// A segment that no pattern names.
fn unused_segment(rules: &[Arc<Rule>]) -> String {
    let names_it = |name: &str| {
        let is_it = |segment: &Segment| matches!(segment, Segment::Static(text) if **text == *name);
        rules.iter().any(|rule| rule.pattern().segments().iter().any(is_it))
    };
    let mut name = "x".to_owned();
    while names_it(&name) {
        name.push('x');
    }
    name
}

fn is_zitadel_administration(rule: &Rule) -> bool {
    match rule.pattern().segments().first() {
        Some(Segment::Static(first)) => !ZITADEL_PUBLIC.contains(&&**first),
        Some(Segment::Parameter(_)) | None => true,
    }
}

impl fmt::Display for RuleWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} ({:?}): {}", self.rule, self.id, self.danger)?;
        for (position, Confusion { path, rule }) in
            self.confusions.iter().take(MAX_CONFUSIONS).enumerate()
        {
            let separator = if position == 0 { ": " } else { ", " };
            write!(f, "{separator}{path:?} for one of rule {} ({:?})", rule.index(), rule.id())?;
        }
        match self.confusions.len().saturating_sub(MAX_CONFUSIONS) {
            0 => Ok(()),
            more => write!(f, ", and {more} more rules"),
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
        })
    }
}
