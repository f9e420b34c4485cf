//! What is wrong, or odd, in a file that an operator wrote: told so that the place is found without a
//! search, and never told ten thousand times.

mod list;
mod nearest;

pub use list::{Findings, Grouped, Omitted};
pub use nearest::nearest;

use std::fmt;
use std::path::Path;

use serde::Serialize;

/// Characters of a text of the file's that are repeated; a value may have megabytes.
const MAX_QUOTED: usize = 240;
/// Characters of a message, which may quote several values.
const MAX_MESSAGE: usize = 480;

/// Whether a file with the finding is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It is not.
    Error,
    /// It is, and should be looked at.
    Warning,
}

/// One mistake, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it prevents.
    pub severity: Severity,
    /// A stable word for this kind of mistake; mistakes of one kind are told a few times and counted.
    pub kind: &'static str,
    /// The file as the operator named it.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<usize>,
    /// In characters, from 1.
    pub column: Option<usize>,
    /// Dotted path such as `issuers[0].url` or `rules[3].method`; empty for a file as a whole.
    pub key: String,
    /// The id of the rule that it is in.
    pub id: Option<String>,
    /// How a human calls the place, where that is not the key: `rule 3 (GET /api/*path)`.
    pub subject: Option<String>,
    /// What is wrong and what is accepted; never a secret.
    pub message: String,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

impl Finding {
    /// A mistake because of which a file is not used.
    pub fn error(kind: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, kind, message.into())
    }

    /// Something that is allowed and rarely meant.
    pub fn warning(kind: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, kind, message.into())
    }

    fn new(severity: Severity, kind: &'static str, message: String) -> Self {
        Self {
            severity,
            kind,
            file: None,
            line: None,
            column: None,
            key: String::new(),
            id: None,
            subject: None,
            message: clip(message, MAX_MESSAGE),
            suggestion: None,
        }
    }

    /// The value that is wrong, or would have to be there.
    #[must_use]
    pub fn at_key(self, key: impl Into<String>) -> Self {
        Self { key: clip(key.into(), MAX_QUOTED), ..self }
    }

    /// The file it stands in.
    #[must_use]
    pub fn in_file(self, file: &Path) -> Self {
        Self { file: Some(file.display().to_string()), ..self }
    }

    /// Line and column, both from 1.
    #[must_use]
    pub fn at(self, line: usize, column: usize) -> Self {
        Self { line: Some(line), column: Some(column), ..self }
    }

    /// The rule it is in.
    #[must_use]
    pub fn of_rule(self, id: impl Into<String>) -> Self {
        Self { id: Some(clip(id.into(), MAX_QUOTED)), ..self }
    }

    /// What a human calls the place.
    #[must_use]
    pub fn about(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(clip(subject.into(), MAX_QUOTED)), ..self }
    }

    /// What it says without its place in a file: for a line that has its level and its file already.
    pub fn what(&self) -> impl fmt::Display {
        What(self)
    }

    /// What was probably meant.
    #[must_use]
    pub fn suggest(self, name: Option<&str>) -> Self {
        Self { suggestion: name.map(ToOwned::to_owned), ..self }
    }
}

/// `access_rules.json:12:5: rule 3 (GET /api/*path): unknown field "metod"; did you mean "method"?`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", OneLine(file))?;
            for number in [self.line, self.column].into_iter().flatten() {
                write!(f, ":{number}")?;
            }
            f.write_str(": ")?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        self.what().fmt(f)
    }
}

/// A finding without its place in a file.
struct What<'a>(&'a Finding);

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { key, subject, message, suggestion, .. } = self.0;
        match subject {
            Some(subject) => write!(f, "{}: ", OneLine(subject))?,
            None if !key.is_empty() => write!(f, "{}: ", OneLine(key))?,
            None => {}
        }
        write!(f, "{}", OneLine(message))?;
        match suggestion {
            Some(name) => write!(f, "; did you mean {name:?}?"),
            None => Ok(()),
        }
    }
}

/// Keeps line breaks and terminal sequences of a file away from whoever reads about it.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, piece) in self.0.split(char::is_control).enumerate() {
            let separator = if position == 0 { "" } else { " " };
            write!(f, "{separator}{piece}")?;
        }
        Ok(())
    }
}

fn clip(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
