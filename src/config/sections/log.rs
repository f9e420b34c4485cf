//! `log`: what is written about requests and about ourselves.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::problems::Problems;
use crate::telemetry::check_level;

/// What is logged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogSection {
    level: String,
    access: bool,
}

/// What is logged.
#[derive(Debug)]
pub struct Log {
    /// Filter expression.
    pub level: String,
    /// Whether requests are.
    pub access: bool,
}

impl LogSection {
    pub(super) fn read(self, problems: &mut Problems) -> Option<Log> {
        problems.take("log.level", check_level(&self.level))?;
        Some(Log { level: self.level, access: self.access })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::problems;

    #[test]
    fn a_level_that_nobody_writes_at_is_told() {
        assert_eq!(problems("log: {level: 'info,auth_gateway::gate=trace'}"), "");
        let told = problems("log: {level: loud}");
        assert!(told.starts_with("log.level: \"loud\" is not one of error, warn"), "{told}");
    }
}
