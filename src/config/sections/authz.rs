//! `authz`: whether a server decides, or the engine in this process.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::problems::Problems;
use crate::config::values::optional;

/// Whether a server decides, or the engine in this process.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthzSection {
    mode: AuthzMode,
    model_file: String,
    tuples_file: String,
}

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum AuthzMode {
    Openfga,
    Embedded,
}

/// Decisions in process, from files.
#[derive(Debug)]
pub struct Embedded {
    /// A store file, or a model.
    pub model_file: PathBuf,
    /// Further tuples.
    pub tuples_file: Option<PathBuf>,
}

impl AuthzSection {
    pub(super) fn is_embedded(&self) -> bool {
        self.mode == AuthzMode::Embedded
    }

    pub(super) fn read(&self, problems: &mut Problems) -> Option<Embedded> {
        if !self.is_embedded() {
            // Whoever names a model wants to be judged by it, not by whatever a server holds.
            for (name, file) in
                [("model_file", &self.model_file), ("tuples_file", &self.tuples_file)]
            {
                if !file.is_empty() {
                    problems.add(format!("authz.{name}"), "needs authz.mode: embedded");
                }
            }
            return None;
        }
        if self.model_file.is_empty() {
            problems.require("authz.model_file", "is required when authz.mode is embedded");
        }
        let absolute =
            |file: &str| std::path::absolute(file).unwrap_or_else(|_| PathBuf::from(file));
        Some(Embedded {
            model_file: absolute(&self.model_file),
            tuples_file: optional(&self.tuples_file).map(absolute),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::problems;

    #[test]
    fn files_that_no_engine_would_read_are_refused() {
        let told = problems("authz: {model_file: m.fga, tuples_file: t.csv}");
        let model = "authz.model_file: needs authz.mode: embedded";
        let tuples = "authz.tuples_file: needs authz.mode: embedded";
        assert_eq!(told, format!("{model}\n{tuples}"));
        assert_eq!(problems("authz: {model_file: '', tuples_file: ''}"), "");
    }
}
