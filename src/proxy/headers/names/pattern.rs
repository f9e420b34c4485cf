//! Names as lists write them.

use http::HeaderName;

use super::kind::Kind;
use super::list::listed;

/// Why a name cannot be stripped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No such header exists.
    #[error("is neither a header name nor, with a * at its end, the beginning of some")]
    NotAName,
    /// Messages cannot do without it, or the gateway minds it itself.
    #[error("covers {0}, which is not for an operator to strip")]
    Needed(&'static str),
}

/// A name in all its spellings, or a family of names: `x-user-id`, `x-forwarded*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    /// Lower case, with dashes for all that is neither letter nor digit.
    stem: Box<str>,
    is_family: bool,
}

impl NamePattern {
    /// Reads a name that is to be stripped.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let pattern = Self::listed(text);
        let name = text.strip_suffix('*').unwrap_or(text);
        if name.contains('*') || HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(NameError::NotAName);
        }
        let needed = listed()
            .filter(|(kind, _)| matches!(kind, Kind::Hop | Kind::Credential | Kind::Message));
        match needed.map(|(_, text)| text).find(|text| pattern.meets(&Self::listed(text))) {
            Some(needed) => Err(NameError::Needed(needed)),
            None => Ok(pattern),
        }
    }

    pub(super) fn listed(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(stem) => Self { stem: folded(stem), is_family: true },
            None => Self { stem: folded(text), is_family: false },
        }
    }

    pub(super) fn stem(&self) -> &str {
        &self.stem
    }

    pub(super) const fn is_family(&self) -> bool {
        self.is_family
    }

    /// `X_User_Id` and `x.user.id` reach many frameworks as the same variable as `X-User-ID`, some
    /// let even `x~user~id` do so.
    pub(super) fn matches(&self, name: &str) -> bool {
        self.is_stem(name)
            || ((self.is_family || name.len() == self.stem.len()) && starts_like(name, &self.stem))
    }

    /// Whether `name` is the pattern to the letter.
    pub(super) fn is_stem(&self, name: &str) -> bool {
        *self.stem == *name
    }

    /// Whether some name matches both.
    fn meets(&self, other: &Self) -> bool {
        self.stem == other.stem
            || (self.is_family && other.stem.starts_with(&*self.stem))
            || (other.is_family && self.stem.starts_with(&*other.stem))
    }
}

impl From<&HeaderName> for NamePattern {
    fn from(name: &HeaderName) -> Self {
        Self { stem: folded(name.as_str()), is_family: false }
    }
}

fn folded(name: &str) -> Box<str> {
    let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(fold).collect()
}

/// Whether `name` starts with `pattern`, whose dashes stand for all that is neither letter nor digit.
pub(super) fn starts_like(name: &str, pattern: &str) -> bool {
    name.len() >= pattern.len()
        && pattern
            .bytes()
            .zip(name.bytes())
            .all(|(p, n)| p == n || (p == b'-' && !n.is_ascii_alphanumeric()))
}
