//! Path patterns: `/static/{one}/:one/*rest`.

use std::fmt;

use super::path::{CanonicalPath, ENCODED_SLASH, PathError, PathPolicy};

/// Parameters in one pattern.
const MAX_PARAMETERS: usize = 16;
/// Segments in one pattern; it bounds the depth of a search.
pub(super) const MAX_SEGMENTS: usize = 64;
/// Bytes in one pattern.
const MAX_LENGTH: usize = 2_048;

/// Why a pattern cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not begin with `/`.
    #[error("does not start with a slash")]
    NotAbsolute,
    /// A static segment that no canonical path contains.
    #[error("{0}")]
    Ambiguous(#[from] PathError),
    /// A brace or an asterisk inside a segment: it would look like a parameter, and be none.
    #[error("has {segment:?}, which is neither static nor a whole parameter")]
    PartialParameter {
        /// The segment.
        segment: String,
    },
    /// A parameter's name is not an identifier.
    #[error("has the parameter {name:?} (expected a letter or _, then letters, digits or _)")]
    ParameterName {
        /// The name.
        name: String,
    },
    /// Two parameters share a name.
    #[error("has the parameter {name:?} twice")]
    ParameterTwice {
        /// The name.
        name: String,
    },
    /// Something follows `*rest`.
    #[error("has something after the rest {segment:?}")]
    RestNotLast {
        /// The rest's segment.
        segment: String,
    },
    /// Too many parameters.
    #[error("has more than {MAX_PARAMETERS} parameters")]
    TooManyParameters,
    /// Too many segments or bytes.
    #[error("is longer than {MAX_SEGMENTS} segments or {MAX_LENGTH} bytes")]
    TooLong,
}

/// A path pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Box<str>,
    segments: Box<[Segment]>,
    tail: Tail,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// In the form of [`CanonicalPath::match_key`].
    Static(Box<str>),
    Parameter(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Ends with the last segment, and covers its trailing slash.
    Open,
    /// Ends with a slash.
    Slash,
    /// Takes everything after the last slash; the name is empty for a bare `*`.
    Rest(Box<str>),
}

/// Where in a path a parameter's value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Segment(usize),
    Rest(usize),
}

impl Slot {
    pub(super) fn value(self, path: &str) -> Option<&str> {
        let relative = path.strip_prefix('/')?;
        match self {
            Self::Segment(position) => relative.split('/').nth(position),
            Self::Rest(position) => relative.splitn(position + 1, '/').nth(position),
        }
    }
}

impl Pattern {
    /// Parses a pattern; static segments are made canonical like request paths.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let relative = text.strip_prefix('/').ok_or(PatternError::NotAbsolute)?;
        if text.len() > MAX_LENGTH || relative.split('/').count() > MAX_SEGMENTS {
            return Err(PatternError::TooLong);
        }
        let mut segments = Vec::new();
        let mut tail = Tail::Open;
        let mut parts = relative.split('/').peekable();
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            if let Some(name) = rest_name(part) {
                if !is_last {
                    return Err(PatternError::RestNotLast { segment: part.to_owned() });
                }
                tail = Tail::Rest(name.into());
            } else if part.is_empty() && is_last {
                tail = Tail::Slash;
            } else {
                segments.push(parse_segment(part)?);
            }
        }
        let pattern = Self { text: text.into(), segments: segments.into(), tail };
        pattern.check_names()?;
        Ok(pattern)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the parameters, from left to right.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.slots().map(|(name, _)| name)
    }

    /// Whether a static segment holds `%2F`.
    pub(super) fn has_encoded_slashes(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| matches!(segment, Segment::Static(text) if text.contains(ENCODED_SLASH)))
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) const fn tail(&self) -> &Tail {
        &self.tail
    }

    pub(super) fn slot(&self, name: &str) -> Option<Slot> {
        self.slots().find_map(|(known, slot)| (known == name).then_some(slot))
    }

    /// The same text for patterns that match the same paths: parameters lose their names.
    pub(super) fn shape(&self) -> String {
        let mut shape = String::with_capacity(self.text.len());
        for segment in &self.segments {
            shape.push('/');
            shape.push_str(match segment {
                Segment::Static(text) => text,
                Segment::Parameter(_) => "{}",
            });
        }
        shape.push_str(match self.tail {
            Tail::Open => "",
            Tail::Slash => "/",
            Tail::Rest(_) => "/{*}",
        });
        shape
    }

    fn slots(&self) -> impl Iterator<Item = (&str, Slot)> {
        let singles =
            self.segments.iter().enumerate().filter_map(|(position, segment)| match segment {
                Segment::Parameter(name) => Some((name.as_ref(), Slot::Segment(position))),
                Segment::Static(_) => None,
            });
        let rest = match &self.tail {
            Tail::Rest(name) if !name.is_empty() => {
                Some((name.as_ref(), Slot::Rest(self.segments.len())))
            }
            _ => None,
        };
        singles.chain(rest)
    }

    fn check_names(&self) -> Result<(), PatternError> {
        let mut seen = Vec::new();
        for name in self.parameters() {
            if !is_identifier(name) {
                return Err(PatternError::ParameterName { name: name.to_owned() });
            }
            if seen.contains(&name) {
                return Err(PatternError::ParameterTwice { name: name.to_owned() });
            }
            seen.push(name);
        }
        if seen.len() > MAX_PARAMETERS { Err(PatternError::TooManyParameters) } else { Ok(()) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The values that a path gives to a pattern's parameters; slices of the canonical path.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    pattern: &'a Pattern,
    path: &'a str,
}

impl<'a> Params<'a> {
    pub(super) const fn new(pattern: &'a Pattern, path: &'a str) -> Self {
        Self { pattern, path }
    }

    /// The value of the parameter `name`; percent-escapes stay.
    pub fn find(&self, name: &str) -> Option<&'a str> {
        self.at(self.pattern.slot(name)?)
    }

    /// All names and values, from left to right.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let path = self.path;
        self.pattern.slots().filter_map(move |(name, slot)| Some((name, slot.value(path)?)))
    }

    pub(super) fn at(&self, slot: Slot) -> Option<&'a str> {
        slot.value(self.path)
    }
}

fn rest_name(part: &str) -> Option<&str> {
    part.strip_prefix('*')
        .or_else(|| part.strip_prefix("{*").and_then(|name| name.strip_suffix('}')))
}

fn parse_segment(part: &str) -> Result<Segment, PatternError> {
    let braced = part.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
    if let Some(name) = braced.or_else(|| part.strip_prefix(':')) {
        return Ok(Segment::Parameter(name.into()));
    }
    if part.contains(['{', '}', '*']) {
        return Err(PatternError::PartialParameter { segment: part.to_owned() });
    }
    if part.is_empty() {
        return Err(PathError::EmptySegment.into());
    }
    let absolute = format!("/{part}");
    let canonical = CanonicalPath::parse(absolute.as_bytes(), PathPolicy::default())?;
    let key = canonical.match_key();
    Ok(Segment::Static(key.strip_prefix('/').unwrap_or_default().into()))
}

fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|other| other.is_ascii_alphanumeric() || other == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> String {
        let pattern = Pattern::parse(text).expect(text);
        let mut shape: Vec<_> = pattern
            .segments()
            .iter()
            .map(|segment| match segment {
                Segment::Static(text) => format!("={text}"),
                Segment::Parameter(name) => format!("<{name}>"),
            })
            .collect();
        match pattern.tail() {
            Tail::Open => {}
            Tail::Slash => shape.push("/".to_owned()),
            Tail::Rest(name) => shape.push(format!("*{name}")),
        }
        shape.join(" ")
    }

    #[test]
    fn patterns_read_as_written() {
        for (text, expected) in [
            ("/", "/"),
            ("/api", "=api"),
            ("/api/", "=api /"),
            ("/api/*path", "=api *path"),
            ("/api/{*path}", "=api *path"),
            ("/api/*", "=api *"),
            ("/*all", "*all"),
            ("/users/{id}/posts/:post", "=users <id> =posts <post>"),
            ("/v1/users:batch", "=v1 =users:batch"),
            ("/caf%c3%A9", "=caf%C3%A9"),
            ("/%61pi", "=api"),
            ("/a%21/%3Aid", "=a! =:id"),
            ("/@scope%2fname/{version}", "=@scope%2Fname <version>"),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }

    #[test]
    fn patterns_that_could_mislead_are_refused() {
        for text in [
            "",
            "api",
            "*",
            "//",
            "/a//b",
            "/a/../b",
            "/./a",
            "/%2e%2e/a",
            "/a%2F",
            "/a%2F..",
            "/a b",
            "/é",
            "/a;b",
            "/a?b",
            "/a#b",
            "/a\\b",
            "/a/*rest/b",
            "/*/b",
            "/a*b",
            "/a{id}",
            "/{id}b",
            "/{id",
            "/id}",
            "/{}",
            "/:",
            "/{a b}",
            "/{1a}",
            "/:a-b",
            "/*a.b",
            "/{a}/{a}",
            "/{a}/*a",
            "/{a}/:a",
            "/{{a}}",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
        let parameters = "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}";
        assert_eq!(Pattern::parse(parameters).expect_err("17"), PatternError::TooManyParameters);
        assert_eq!(Pattern::parse(&"/a".repeat(65)).expect_err("65"), PatternError::TooLong);
    }

    #[test]
    fn parameters_are_slices_of_the_path() {
        let pattern = Pattern::parse("/users/{id}/files/*path").expect("pattern");
        let params = Params::new(&pattern, "/users/42/files/a/b%20c/");
        assert_eq!(params.find("id"), Some("42"));
        assert_eq!(params.find("path"), Some("a/b%20c/"));
        assert_eq!(params.find("other"), None);
        let all: Vec<_> = params.iter().collect();
        assert_eq!(all, [("id", "42"), ("path", "a/b%20c/")]);
    }
}
