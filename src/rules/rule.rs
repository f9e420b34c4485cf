//! A validated rule.

use std::time::Duration;

use super::file::{Consistency, EncodedSlashes, OnUnavailable};
use super::host_pattern::HostPattern;
use super::object::CheckTemplate;
use super::pattern::Pattern;
use super::place::{Methods, Place};
use super::spot::Spot;

/// One entry of `access_rules.json`, after everything in it was proved to mean something.
#[derive(Debug)]
pub struct Rule {
    pub(super) index: usize,
    /// Where it starts in the file.
    pub(super) spot: Spot,
    pub(super) id: Box<str>,
    pub(super) place: Place,
    pub(super) access: Access,
    pub(super) requirements: Requirements,
    pub(super) feature: Option<Box<str>>,
    pub(super) target: Box<str>,
    pub(super) limit: Option<Box<str>>,
    pub(super) timeout: Option<Duration>,
    pub(super) consistency: Consistency,
    pub(super) on_unavailable: OnUnavailable,
    pub(super) is_private_only: bool,
    pub(super) exposes_openfga: bool,
    pub(super) encoded_slashes: EncodedSlashes,
}

/// Who may pass.
#[derive(Clone, Debug)]
pub enum Access {
    /// Anybody, without a credential.
    Public,
    /// Any principal.
    Authenticated,
    /// A principal that OpenFGA allows.
    Check(CheckTemplate),
}

/// What a token must claim besides what the check asks; empty means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    pub(super) roles: Box<[Box<str>]>,
    pub(super) scopes: Box<[Box<str>]>,
    pub(super) audience: Box<[Box<str>]>,
}

impl Requirements {
    /// Any one of these roles suffices.
    pub fn roles(&self) -> &[Box<str>] {
        &self.roles
    }

    /// All of these scopes are needed.
    pub fn scopes(&self) -> &[Box<str>] {
        &self.scopes
    }

    /// The token must be meant for at least one of these.
    pub fn audience(&self) -> &[Box<str>] {
        &self.audience
    }

    /// Whether nothing is required.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.scopes.is_empty() && self.audience.is_empty()
    }
}

impl Rule {
    /// Position in the file, from 0.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Stable name for logs and metrics, unique in the rule set.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The hosts it serves; `None` for all.
    pub const fn host(&self) -> Option<&HostPattern> {
        self.place.host.as_ref()
    }

    /// The paths it serves.
    pub const fn pattern(&self) -> &Pattern {
        &self.place.pattern
    }

    /// The methods it serves.
    pub const fn methods(&self) -> &Methods {
        &self.place.methods
    }

    /// Who may pass.
    pub const fn access(&self) -> &Access {
        &self.access
    }

    /// What the token must claim besides.
    pub const fn requirements(&self) -> &Requirements {
        &self.requirements
    }

    /// The object that `feature` names, as `type:id`, even where `object` overrides it; feature
    /// migrations compare it. `None` for `public_access`, `authenticated` and rules without one.
    pub fn feature(&self) -> Option<&str> {
        self.feature.as_deref()
    }

    /// Name of the upstream.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Name of the rule's own limit.
    pub fn limit(&self) -> Option<&str> {
        self.limit.as_deref()
    }

    /// Longest silence of the upstream; `None` leaves the upstream's own.
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// How fresh OpenFGA's answer must be.
    pub const fn consistency(&self) -> Consistency {
        self.consistency
    }

    /// What happens while OpenFGA cannot be asked.
    pub const fn on_unavailable(&self) -> OnUnavailable {
        self.on_unavailable
    }

    /// Whether only direct private peers are served: a public rule to OpenFGA's own API that does
    /// not say `expose_openfga`.
    pub const fn is_private_only(&self) -> bool {
        self.is_private_only
    }

    /// Whether it says `expose_openfga`.
    pub const fn exposes_openfga(&self) -> bool {
        self.exposes_openfga
    }

    /// Whether `%2F` is a part of its segment in this rule's paths, rather than refused.
    pub fn allows_encoded_slashes(&self) -> bool {
        self.encoded_slashes == EncodedSlashes::Allow
    }

    /// The id that the file gives it, rather than one made from method and path.
    pub fn given_id(&self) -> Option<&str> {
        (self.id != self.place.derive_id()).then_some(&self.id)
    }

    /// Whether no credential is asked for.
    pub const fn is_public(&self) -> bool {
        matches!(self.access, Access::Public)
    }
}
