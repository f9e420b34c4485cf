//! OpenFGA names in rules, and objects built from path parameters.

use std::borrow::Cow;

use super::path::ENCODED_SLASH;
use super::pattern::{Params, Pattern, Slot};

/// Bytes in an object, its type included (OpenFGA's limit).
const MAX_OBJECT: usize = 256;
/// Characters in a relation (OpenFGA's limit).
const MAX_RELATION: usize = 50;

/// Why a rule's object cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Not `type:id`.
    #[error("is not an OpenFGA object (expected type:id)")]
    NotAnObject,
    /// White space, a control character, `:`, `#` or `*` in a type or id, or `@` in a type.
    #[error("has a character that an OpenFGA object cannot have")]
    IllegalCharacter,
    /// More than 256 bytes.
    #[error("is longer than {MAX_OBJECT} bytes")]
    TooLong,
    /// A parameter in the type, a brace without its partner, or two parameters side by side.
    #[error("is not a template (expected type:id with {{name}} in the id, separated by text)")]
    NotATemplate,
    /// The rest of a path before another parameter: it holds slashes, so nothing marks its end.
    #[error("has {name:?} before another parameter (expected the rest of the path last)")]
    RestNotLast {
        /// The rest's name.
        name: String,
    },
    /// The path has no such parameter.
    #[error("names the parameter {name:?}, which the path does not have")]
    UnknownParameter {
        /// The name.
        name: String,
    },
}

/// A request's parameter that makes no legal OpenFGA object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadObject {
    /// The value is empty.
    #[error("the path parameter {parameter:?} is empty")]
    Empty {
        /// The parameter's name.
        parameter: Box<str>,
    },
    /// The value has a character that means something else in OpenFGA, or an escape, which OpenFGA
    /// would compare undecoded. An encoded slash stays one in the object.
    #[error("the path parameter {parameter:?} is not an OpenFGA id")]
    IllegalCharacter {
        /// The parameter's name.
        parameter: Box<str>,
    },
    /// The text between two values stands in one of them, or across its edge: other values would make
    /// the same object.
    #[error("the value before the path parameter {parameter:?} could end elsewhere")]
    Ambiguous {
        /// The name of the second parameter.
        parameter: Box<str>,
    },
    /// The object is longer than OpenFGA allows.
    #[error("the object is longer than {MAX_OBJECT} bytes")]
    TooLong,
}

/// What a rule asks OpenFGA about its principal.
#[derive(Clone, Debug)]
pub struct CheckTemplate {
    pub(super) relation: Box<str>,
    pub(super) object: ObjectTemplate,
}

impl CheckTemplate {
    /// The relation.
    pub fn relation(&self) -> &str {
        &self.relation
    }

    /// The object.
    pub const fn object(&self) -> &ObjectTemplate {
        &self.object
    }
}

/// An object, or a way to build one from a path.
#[derive(Clone, Debug)]
pub struct ObjectTemplate {
    text: Box<str>,
    type_name: Box<str>,
    /// What stands before the first value.
    start: Box<str>,
    /// Empty for a fixed object.
    values: Box<[Value]>,
}

#[derive(Clone, Debug)]
struct Value {
    parameter: Box<str>,
    slot: Slot,
    /// The text up to the next value, or to the object's end.
    after: Box<str>,
}

impl ObjectTemplate {
    /// Parses an object without parameters.
    pub(super) fn fixed(text: &str) -> Result<Self, ObjectError> {
        let (type_name, id) = split(text)?;
        check_literal(id)?;
        Ok(Self {
            text: text.into(),
            type_name: type_name.into(),
            start: text.into(),
            values: Box::default(),
        })
    }

    /// Parses an object whose id may name parameters of `pattern`.
    pub(super) fn parse(text: &str, pattern: &Pattern) -> Result<Self, ObjectError> {
        if !text.contains(['{', '}']) {
            return Self::fixed(text);
        }
        let (type_name, id) = split(text)?;
        let mut pieces = id.split('{');
        let before = pieces.next().unwrap_or_default();
        check_literal(before)?;
        let values: Box<[Value]> =
            pieces.map(|piece| Value::parse(piece, pattern)).collect::<Result<_, _>>()?;
        check_order(&values)?;
        Ok(Self {
            text: text.into(),
            type_name: type_name.into(),
            start: format!("{type_name}:{before}").into(),
            values,
        })
    }

    /// The object as the rule wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the colon; never depends on the request.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The object itself when it does not depend on the request.
    pub fn as_fixed(&self) -> Option<&str> {
        self.values.is_empty().then_some(&*self.text)
    }

    /// The object for a request; refuses values that OpenFGA would read as something else, and those
    /// that another path would give the same object.
    ///
    /// Slashes pin the separators that have one, since the values before them have none. Of the other
    /// separators none stands twice between the edges of its two neighbours, so neither the first nor
    /// the last way to take the object apart differs from the one in which it was made.
    pub fn render(&self, params: &Params<'_>) -> Result<Cow<'_, str>, BadObject> {
        if self.values.is_empty() {
            return Ok(Cow::Borrowed(&self.text));
        }
        let mut object = String::with_capacity(self.text.len() + 32);
        object.push_str(&self.start);
        let mut previous: Option<(usize, &str)> = None;
        for Value { parameter, slot, after } in &self.values {
            let value = params.at(*slot).unwrap_or_default();
            if value.is_empty() {
                return Err(BadObject::Empty { parameter: parameter.clone() });
            }
            if has_escapes(value) || !is_id(value) {
                return Err(BadObject::IllegalCharacter { parameter: parameter.clone() });
            }
            let start = object.len();
            object.push_str(value);
            if let Some((neighbour, separator)) = previous
                && !separator.contains('/')
                && count(separator, object.get(neighbour..).unwrap_or_default()) != 1
            {
                return Err(BadObject::Ambiguous { parameter: parameter.clone() });
            }
            object.push_str(after);
            previous = Some((start, after));
        }
        if object.len() > MAX_OBJECT { Err(BadObject::TooLong) } else { Ok(Cow::Owned(object)) }
    }
}

impl Value {
    /// Parses what follows an opening brace.
    fn parse(piece: &str, pattern: &Pattern) -> Result<Self, ObjectError> {
        let (name, after) = piece.split_once('}').ok_or(ObjectError::NotATemplate)?;
        check_literal(after)?;
        let slot = pattern
            .slot(name)
            .ok_or_else(|| ObjectError::UnknownParameter { name: name.to_owned() })?;
        Ok(Self { parameter: name.into(), slot, after: after.into() })
    }
}

/// Text parts one value from the next, and a rest comes last.
fn check_order(values: &[Value]) -> Result<(), ObjectError> {
    let Some((_, but_last)) = values.split_last() else { return Ok(()) };
    for value in but_last {
        if value.after.is_empty() {
            return Err(ObjectError::NotATemplate);
        }
        if matches!(value.slot, Slot::Rest(_)) {
            return Err(ObjectError::RestNotLast { name: value.parameter.to_string() });
        }
    }
    Ok(())
}

/// Whether there are others than the encoded slashes that the rule allows.
fn has_escapes(value: &str) -> bool {
    let mut escapes = value.match_indices('%').filter_map(|(at, _)| value.get(at..));
    escapes.any(|escape| !escape.starts_with(ENCODED_SLASH))
}

/// How often `needle` stands in `text`, overlaps included.
fn count(needle: &str, text: &str) -> usize {
    text.as_bytes().windows(needle.len()).filter(|window| *window == needle.as_bytes()).count()
}

fn split(text: &str) -> Result<(&str, &str), ObjectError> {
    let (type_name, id) = text.split_once(':').ok_or(ObjectError::NotAnObject)?;
    if type_name.is_empty() || id.is_empty() {
        return Err(ObjectError::NotAnObject);
    }
    if text.len() > MAX_OBJECT {
        return Err(ObjectError::TooLong);
    }
    if type_name.contains(['{', '}']) {
        return Err(ObjectError::NotATemplate);
    }
    if is_name(type_name) { Ok((type_name, id)) } else { Err(ObjectError::IllegalCharacter) }
}

fn check_literal(text: &str) -> Result<(), ObjectError> {
    if text.contains('}') {
        return Err(ObjectError::NotATemplate);
    }
    if is_id(text) { Ok(()) } else { Err(ObjectError::IllegalCharacter) }
}

/// `*` is stricter than OpenFGA, where it means "everybody".
fn is_id(text: &str) -> bool {
    !text.chars().any(|c| matches!(c, ':' | '#' | '*') || c.is_whitespace() || c.is_control())
}

/// Types and relations have no `@` either, which separates a tuple's user.
fn is_name(text: &str) -> bool {
    is_id(text) && !text.contains('@')
}

/// Whether OpenFGA accepts `text` as a relation.
pub(super) fn is_relation(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_RELATION && is_name(text)
}

#[cfg(test)]
mod tests;
