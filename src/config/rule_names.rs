//! What rules may name, as far as it can be read: rules are checked beside a configuration that is
//! wrong elsewhere.

use std::path::PathBuf;

use crate::rules::UpstreamRole;

/// The names that a configuration gives to rules.
#[derive(Debug)]
pub struct RuleNames {
    /// The rule file.
    pub file: PathBuf,
    /// Whether these are all; where the configuration cannot be read that far, it may have others.
    pub are_all: bool,
    /// Relation of rules that name none.
    pub default_relation: String,
    /// All upstreams.
    pub upstreams: Vec<(String, UpstreamRole)>,
    /// All limits, and whether each counts by principal.
    pub limits: Vec<(String, bool)>,
}
