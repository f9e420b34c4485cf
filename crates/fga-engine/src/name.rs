//! The grammar of objects, relations and users (`openfga/pkg/tuple`).

/// Classes of bytes, as bits.
const REFUSED: u8 = 1;
const COLON: u8 = 2;
const SUSPECT: u8 = 4;

/// `kind:id`, where `id` may be `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectRef<'a> {
    /// The type.
    pub kind: &'a str,
    /// What identifies it among those of its type.
    pub id: &'a str,
}

/// A user as it stands in a tuple or a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserRef<'a> {
    /// `kind:id`: one of that type.
    Object(ObjectRef<'a>),
    /// `kind:*`: everybody of that type.
    Wildcard(&'a str),
    /// `kind:id#relation`: everybody who has the relation.
    Userset(ObjectRef<'a>, &'a str),
}

impl<'a> UserRef<'a> {
    /// The type.
    pub fn kind(&self) -> &'a str {
        match self {
            Self::Object(object) | Self::Userset(object, _) => object.kind,
            Self::Wildcard(kind) => kind,
        }
    }

    /// What identifies the user among those of its type; `*` for everybody.
    pub const fn id(&self) -> &'a str {
        match self {
            Self::Object(object) | Self::Userset(object, _) => object.id,
            Self::Wildcard(_) => "*",
        }
    }

    /// Accepts exactly what OpenFGA accepts as a user with a type; `None` for the rest,
    /// the untyped `*` included.
    pub fn parse(text: &'a str) -> Option<Self> {
        if let Some(object) = ObjectRef::parse(text) {
            return Some(match object.id {
                "*" => Self::Wildcard(object.kind),
                _ => Self::Object(object),
            });
        }
        parse_userset(text)
    }
}

impl<'a> ObjectRef<'a> {
    /// One colon that is not the first character, something after it, and neither `#`,
    /// space nor control character anywhere.
    pub fn parse(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let colon = bytes.iter().position(|byte| *byte == b':').filter(|at| *at > 0)?;
        let (kind, id) = (text.get(..colon)?, text.get(colon + 1..)?);
        let kind_classes = bytes.get(..colon)?.iter().fold(0, |all, byte| all | class(*byte));
        let id_classes = id.bytes().fold(0, |all, byte| all | class(byte));
        let classes = kind_classes | id_classes;
        let is_plain = classes & REFUSED == 0 && id_classes & COLON == 0 && !id.is_empty();
        // The two-byte control characters start with this byte, but so do others.
        let is_plain = is_plain && (classes & SUSPECT == 0 || !has_control(text));
        is_plain.then_some(Self { kind, id })
    }
}

const fn class(byte: u8) -> u8 {
    match byte {
        0..=b' ' | 0x7f | b'#' => REFUSED,
        b':' => COLON,
        0xc2 => SUSPECT,
        _ => 0,
    }
}

fn parse_userset(text: &str) -> Option<UserRef<'_>> {
    let (object, relation) = text.split_once('#')?;
    let object = ObjectRef::parse(object)?;
    let plain = |part: &str| !part.contains(['*', ':', '#', ' ']) && !has_control(part);
    (!relation.is_empty() && plain(object.id) && plain(relation))
        .then_some(UserRef::Userset(object, relation))
}

/// Whether `text` may name a relation.
pub(crate) fn is_relation(text: &str) -> bool {
    !text.is_empty() && !text.contains(['#', ':', '@', ' ']) && !has_control(text)
}

/// Whether OpenFGA calls the user well-formed at all: it also lets untyped users pass
/// this first test, with another message later.
pub(crate) fn is_user(text: &str) -> bool {
    let untyped = !text.is_empty() && !text.contains(['#', ':', ' ']) && !has_control(text);
    untyped || UserRef::parse(text).is_some()
}

/// Control characters (Unicode `Cc`) are refused in every string, because they reach
/// logs and cache keys.
pub(crate) fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// Splits at the first colon; without one the type is empty.
pub(crate) fn split_object(object: &str) -> (&str, &str) {
    object.split_once(':').unwrap_or(("", object))
}

/// Splits at the last `#`; without one the relation is empty.
pub(crate) fn split_userset(user: &str) -> (&str, &str) {
    user.rsplit_once('#').unwrap_or((user, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_one_colon_and_an_id() {
        let ok = ObjectRef { kind: "doc", id: "a@b|c" };
        assert_eq!(ObjectRef::parse("doc:a@b|c"), Some(ok));
        for bad in ["", "doc", "doc:", ":1", "doc:a:b", "doc:a#b", "doc:a b", "doc:\u{85}", "d\n:1"]
        {
            assert_eq!(ObjectRef::parse(bad), None, "{bad:?}");
        }
        assert!(ObjectRef::parse("doc:£").is_some());
    }

    #[test]
    fn usersets_have_no_star_and_one_relation() {
        let object = ObjectRef { kind: "group", id: "eng" };
        assert_eq!(UserRef::parse("group:eng#member"), Some(UserRef::Userset(object, "member")));
        assert_eq!(UserRef::parse("user:*"), Some(UserRef::Wildcard("user")));
        for bad in ["group:*#member", "group#member", "group:eng#", "group:a#b#c", "*", "anne"] {
            assert_eq!(UserRef::parse(bad), None, "{bad:?}");
        }
        assert!(is_user("anne") && is_user("*") && !is_user("group:eng#"));
    }
}
