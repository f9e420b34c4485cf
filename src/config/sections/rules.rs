//! `rules`: where the rules are.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::problems::Problems;

/// Where the rules are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RulesSection {
    pub(super) file: String,
    pub(super) default_relation: String,
}

/// Where rules are.
#[derive(Debug)]
pub struct Rules {
    /// The file; absolute, so that whoever reads it in a message need not know our folder.
    pub file: PathBuf,
    /// Relation of rules that name none.
    pub default_relation: String,
}

impl RulesSection {
    pub(super) fn read(self, problems: &mut Problems) -> Option<Rules> {
        let file = problems.take("rules.file", std::path::absolute(&self.file))?;
        Some(Rules { file, default_relation: self.default_relation })
    }
}
