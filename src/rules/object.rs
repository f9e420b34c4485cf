//! OpenFGA names in rules, and objects built from path parameters.

use std::borrow::Cow;

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
    /// White space, a control character, `:`, `#`, `@` or `*` in a type or id.
    #[error("has a character that an OpenFGA object cannot have")]
    IllegalCharacter,
    /// More than 256 bytes.
    #[error("is longer than {MAX_OBJECT} bytes")]
    TooLong,
    /// A parameter in the type, a brace without its partner, or two parameters side by side.
    #[error("is not a template (expected type:id with {{name}} in the id, separated by text)")]
    NotATemplate,
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
    /// would compare undecoded.
    #[error("the path parameter {parameter:?} is not an OpenFGA id")]
    IllegalCharacter {
        /// The parameter's name.
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
    /// Empty for a fixed object.
    parts: Box<[Part]>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Box<str>),
    Value { parameter: Box<str>, slot: Slot },
}

impl ObjectTemplate {
    /// Parses an object without parameters.
    pub(super) fn fixed(text: &str) -> Result<Self, ObjectError> {
        let (type_name, id) = split(text)?;
        if !is_legal(id) {
            return Err(ObjectError::IllegalCharacter);
        }
        Ok(Self { text: text.into(), type_name: type_name.into(), parts: Box::default() })
    }

    /// Parses an object whose id may name parameters of `pattern`.
    pub(super) fn parse(text: &str, pattern: &Pattern) -> Result<Self, ObjectError> {
        if !text.contains(['{', '}']) {
            return Self::fixed(text);
        }
        let (type_name, mut rest) = split(text)?;
        let mut parts = vec![Part::Text(format!("{type_name}:").into())];
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(ObjectError::NotATemplate)?;
            if !before.is_empty() {
                parts.push(literal(before)?);
            } else if matches!(parts.last(), Some(Part::Value { .. })) {
                return Err(ObjectError::NotATemplate);
            }
            let slot = pattern
                .slot(name)
                .ok_or_else(|| ObjectError::UnknownParameter { name: name.to_owned() })?;
            parts.push(Part::Value { parameter: name.into(), slot });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(literal(rest)?);
        }
        Ok(Self { text: text.into(), type_name: type_name.into(), parts: parts.into() })
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
        self.parts.is_empty().then_some(&*self.text)
    }

    /// The object for a request; refuses values that OpenFGA would read as something else.
    pub fn render(&self, params: &Params<'_>) -> Result<Cow<'_, str>, BadObject> {
        if self.parts.is_empty() {
            return Ok(Cow::Borrowed(&self.text));
        }
        let mut object = String::with_capacity(self.text.len() + 32);
        for part in &self.parts {
            match part {
                Part::Text(text) => object.push_str(text),
                Part::Value { parameter, slot } => {
                    let value = params.at(*slot).unwrap_or_default();
                    if value.is_empty() {
                        return Err(BadObject::Empty { parameter: parameter.clone() });
                    }
                    if value.contains('%') || !is_legal(value) {
                        return Err(BadObject::IllegalCharacter { parameter: parameter.clone() });
                    }
                    object.push_str(value);
                }
            }
        }
        if object.len() > MAX_OBJECT { Err(BadObject::TooLong) } else { Ok(Cow::Owned(object)) }
    }
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
    if is_legal(type_name) { Ok((type_name, id)) } else { Err(ObjectError::IllegalCharacter) }
}

fn literal(text: &str) -> Result<Part, ObjectError> {
    if text.contains('}') {
        return Err(ObjectError::NotATemplate);
    }
    if is_legal(text) { Ok(Part::Text(text.into())) } else { Err(ObjectError::IllegalCharacter) }
}

/// `*` and `@` are stricter than OpenFGA, where they mean "everybody" and separate a tuple's user.
fn is_legal(text: &str) -> bool {
    !text.chars().any(|c| matches!(c, ':' | '#' | '@' | '*') || c.is_whitespace() || c.is_control())
}

/// Whether OpenFGA accepts `text` as a relation.
pub(super) fn is_relation(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_RELATION && is_legal(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERN: &str = "/orgs/{org}/docs/{id}/*path";

    fn template(text: &str) -> Result<ObjectTemplate, ObjectError> {
        ObjectTemplate::parse(text, &Pattern::parse(PATTERN).expect("pattern"))
    }

    fn render(text: &str, path: &str) -> Result<String, BadObject> {
        let pattern = Pattern::parse(PATTERN).expect("pattern");
        let template = template(text).expect(text);
        template.render(&Params::new(&pattern, path)).map(Cow::into_owned)
    }

    #[test]
    fn parameters_are_put_into_the_id() {
        for (text, expected) in [
            ("document:{id}", "document:42"),
            ("document:{org}/{id}", "document:acme/42"),
            ("file:x-{path}-y", "file:x-a/b-y"),
            ("feature:reports", "feature:reports"),
        ] {
            assert_eq!(render(text, "/orgs/acme/docs/42/a/b").as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_value_that_is_no_id_is_never_interpolated() {
        for value in ["a:b", "a#b", "a@b", "*", "a*", "%20", "caf%C3%A9", "%23", "%3A"] {
            let path = format!("/orgs/acme/docs/{value}/x");
            let expected = BadObject::IllegalCharacter { parameter: "id".into() };
            assert_eq!(render("document:{id}", &path), Err(expected), "{value}");
        }
        let empty = BadObject::Empty { parameter: "path".into() };
        assert_eq!(render("file:{path}", "/orgs/acme/docs/42/"), Err(empty));
        let fits = format!("/orgs/acme/docs/{}/x", "a".repeat(MAX_OBJECT - "document:".len()));
        assert!(render("document:{id}", &fits).is_ok());
        let long = fits.replace("/x", "a/x");
        assert_eq!(render("document:{id}", &long), Err(BadObject::TooLong));
    }

    #[test]
    fn templates_that_could_mislead_are_refused() {
        for text in [
            "",
            "document",
            ":x",
            "document:",
            "{id}:x",
            "document:{id",
            "document:id}",
            "document:{}",
            "document:{other}",
            "document:{org}{id}",
            "document:a b",
            "document:*",
            "document:a#b",
            "a:b:c",
            "doc ument:x",
            "document:{id}}",
            "document:{id}#x",
        ] {
            assert!(template(text).is_err(), "{text}");
        }
        assert_eq!(template(&format!("d:{}", "a".repeat(255))).err(), Some(ObjectError::TooLong));
    }

    #[test]
    fn relations_follow_openfga() {
        assert!(is_relation("viewer") && is_relation(&"a".repeat(50)));
        for text in ["", "can view", "a:b", "a#b", "a@b", &"a".repeat(51)] {
            assert!(!is_relation(text), "{text}");
        }
    }
}
