//! The one spelling of a request path that is matched, authorised and forwarded.
//!
//! Servers disagree about dot segments, empty segments, path parameters and what they decode and
//! how often. A path on which they could disagree is refused rather than repaired; the only repair
//! is the one RFC 3986 section 6.2.2 calls equivalence: unreserved characters are decoded and the
//! hex digits of the remaining escapes are upper-cased.
//!
//! An encoded slash belongs to its segment. Some services decode it and some do not, so only a rule
//! can know whether it has one reading: the path says that it has one, the rule set judges. What
//! stands beside it is held to what stands beside a slash, for those that decode.

use std::borrow::Cow;
use std::fmt;

/// A slash that belongs to its segment, as a canonical path spells it.
pub(super) const ENCODED_SLASH: &str = "%2F";

/// By byte, whether it is of [`Class::Plain`], as most of a path is.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
static IS_PLAIN: [bool; 256] = {
    let mut is_plain = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        is_plain[byte as usize] = matches!(classify(byte), Class::Plain);
        byte += 1;
    }
    is_plain
};

/// Which of the otherwise refused forms an operator lets through, unchanged.
///
/// A rule cannot protect what a service reaches by merging slashes or by cutting path parameters,
/// so both are off unless the services behind the gateway need them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathPolicy {
    /// Lets `//` through. Neither a static segment nor a parameter matches an empty segment.
    pub allow_empty_segments: bool,
    /// Lets `;` and `%3B` through as ordinary characters.
    pub allow_semicolons: bool,
}

/// Why a path is ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Asterisk-form, authority-form, or a path without its slash.
    #[error("does not start with a slash")]
    NotAbsolute,
    /// `.` or `..`, however it is encoded, between slashes or encoded slashes.
    #[error("has a dot segment")]
    DotSegment,
    /// `//`, or nothing between an encoded slash and the next or the segment's edge.
    #[error("has an empty segment")]
    EmptySegment,
    /// `\` or `%5C`, which some servers take for a slash.
    #[error("has a backslash")]
    Backslash,
    /// A control character, NUL among them, raw or encoded.
    #[error("has a control character")]
    ControlCharacter,
    /// A raw byte above 0x7F.
    #[error("has a raw non-ASCII byte")]
    NonAscii,
    /// Encoded bytes that are not UTF-8, overlong forms such as `%C0%AE` among them.
    #[error("has encoded bytes that are not UTF-8")]
    InvalidUtf8,
    /// `;` or `%3B`: the start of a path parameter for some servers.
    #[error("has a semicolon")]
    Semicolon,
    /// `%` without two hex digits after it.
    #[error("has an incomplete percent-encoding")]
    IncompleteEscape,
    /// `%25` before two hex digits: an escape for whoever decodes twice.
    #[error("is percent-encoded twice")]
    EncodedTwice,
    /// `#`, which never travels in a request.
    #[error("has a fragment")]
    Fragment,
    /// A character that RFC 3986 does not allow raw in a path.
    #[error("has the byte 0x{byte:02X}, which must be percent-encoded")]
    Unencoded {
        /// The byte.
        byte: u8,
    },
}

/// A path with exactly one reading: absolute, ASCII, without dot segments or other ambiguity.
///
/// Borrows from the request unless characters had to be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath<'a> {
    text: Cow<'a, str>,
    has_escapes: bool,
    has_encoded_slashes: bool,
}

impl<'a> CanonicalPath<'a> {
    /// Proves that `raw`, the target up to its `?`, is unambiguous.
    pub fn parse(raw: &'a [u8], policy: PathPolicy) -> Result<Self, PathError> {
        let mut found = scan(raw, policy)?;
        let text = if found.repairable {
            let repaired = repair(raw);
            // Decoding may have completed a dot segment, or an escape of an escape.
            found = scan(repaired.as_bytes(), policy)?;
            if found.repairable {
                return Err(PathError::EncodedTwice);
            }
            Cow::Owned(repaired)
        } else {
            Cow::Borrowed(std::str::from_utf8(raw).map_err(|_| PathError::NonAscii)?)
        };
        let Scan { has_escapes, has_encoded_slashes, .. } = found;
        Ok(Self { text, has_escapes, has_encoded_slashes })
    }

    /// The path as it is matched and forwarded.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the bytes differ from those the client sent.
    pub const fn is_rewritten(&self) -> bool {
        matches!(self.text, Cow::Owned(_))
    }

    /// Whether a segment holds `%2F`, which not every service reads alike.
    pub const fn has_encoded_slashes(&self) -> bool {
        self.has_encoded_slashes
    }

    /// The form that is compared with patterns.
    ///
    /// `!` and `%21` reach a service as the same character although RFC 3986 calls them different,
    /// so both spellings must meet the same rule: here they are one.
    pub(crate) fn match_key(&self) -> Cow<'_, str> {
        if self.has_escapes { fold(&self.text) } else { Cow::Borrowed(&self.text) }
    }
}

impl fmt::Display for CanonicalPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

enum Class {
    Plain,
    Dot,
    Slash,
    Percent,
    Semicolon,
    Refused(PathError),
}

/// RFC 3986 `pchar`, and the brackets that browsers leave raw in paths. `&` to `-` are
/// `&'()*+,-`; `0` to `:` are the digits and the colon; `@` to `[` hold the upper-case letters.
const fn classify(byte: u8) -> Class {
    match byte {
        b'!'
        | b'$'
        | b'&'..=b'-'
        | b'0'..=b':'
        | b'='
        | b'@'..=b'['
        | b']'
        | b'_'
        | b'a'..=b'z'
        | b'~' => Class::Plain,
        b'.' => Class::Dot,
        b'/' => Class::Slash,
        b'%' => Class::Percent,
        b';' => Class::Semicolon,
        b'\\' => Class::Refused(PathError::Backslash),
        b'#' => Class::Refused(PathError::Fragment),
        0x00..=0x1F | 0x7F => Class::Refused(PathError::ControlCharacter),
        0x80..=0xFF => Class::Refused(PathError::NonAscii),
        _ => Class::Refused(PathError::Unencoded { byte }),
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What the segment read so far consists of.
#[derive(Clone, Copy)]
enum Segment {
    Empty,
    /// Nothing since an encoded slash.
    EmptyPart,
    OneDot,
    TwoDots,
    Named,
}

impl Segment {
    const fn dot(self) -> Self {
        match self {
            Self::Empty | Self::EmptyPart => Self::OneDot,
            Self::OneDot => Self::TwoDots,
            Self::TwoDots | Self::Named => Self::Named,
        }
    }

    /// Checks a segment that something follows: a slash, raw or encoded, or a semicolon that some
    /// servers cut at.
    const fn close(self, policy: PathPolicy) -> Result<(), PathError> {
        match self {
            Self::OneDot | Self::TwoDots => Err(PathError::DotSegment),
            Self::Empty | Self::EmptyPart if !policy.allow_empty_segments => {
                Err(PathError::EmptySegment)
            }
            Self::Empty | Self::EmptyPart | Self::Named => Ok(()),
        }
    }

    /// Checks the last segment, which may be empty behind a slash that is none of its own.
    const fn end(self, policy: PathPolicy) -> Result<(), PathError> {
        match self {
            Self::Empty => Ok(()),
            other => other.close(policy),
        }
    }
}

struct Scan {
    repairable: bool,
    has_escapes: bool,
    has_encoded_slashes: bool,
}

fn scan(raw: &[u8], policy: PathPolicy) -> Result<Scan, PathError> {
    let Some((b'/', mut rest)) = raw.split_first() else { return Err(PathError::NotAbsolute) };
    let mut found = Scan { repairable: false, has_escapes: false, has_encoded_slashes: false };
    let mut segment = Segment::Empty;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if IS_PLAIN.get(usize::from(byte)) == Some(&true) {
            segment = Segment::Named;
            continue;
        }
        match classify(byte) {
            Class::Plain => segment = Segment::Named,
            Class::Dot => segment = segment.dot(),
            Class::Slash => {
                segment.close(policy)?;
                segment = Segment::Empty;
            }
            Class::Semicolon => {
                check_semicolon(segment, policy)?;
                segment = Segment::Named;
            }
            Class::Percent => {
                let escape = Escape::read(rest)?;
                rest = escape.check(rest, &mut found)?;
                segment = match escape.value {
                    b'/' => {
                        segment.close(policy)?;
                        Segment::EmptyPart
                    }
                    b';' => {
                        check_semicolon(segment, policy)?;
                        Segment::Named
                    }
                    _ => Segment::Named,
                };
            }
            Class::Refused(error) => return Err(error),
        }
    }
    segment.end(policy)?;
    Ok(found)
}

const fn check_semicolon(before: Segment, policy: PathPolicy) -> Result<(), PathError> {
    if policy.allow_semicolons { before.close(policy) } else { Err(PathError::Semicolon) }
}

/// The two hex digits after a `%`.
#[derive(Clone, Copy)]
struct Escape {
    value: u8,
    is_upper_case: bool,
}

impl Escape {
    fn read(digits: &[u8]) -> Result<Self, PathError> {
        let (Some(&high), Some(&low)) = (digits.first(), digits.get(1)) else {
            return Err(PathError::IncompleteEscape);
        };
        let (Some(high_value), Some(low_value)) = (hex(high), hex(low)) else {
            return Err(PathError::IncompleteEscape);
        };
        let is_upper_case = !high.is_ascii_lowercase() && !low.is_ascii_lowercase();
        Ok(Self { value: (high_value << 4) | low_value, is_upper_case })
    }

    /// Judges the escape whose digits start `rest`; returns what follows the character.
    fn check<'r>(self, rest: &'r [u8], found: &mut Scan) -> Result<&'r [u8], PathError> {
        let after = rest.get(2..).unwrap_or_default();
        found.repairable |= is_unreserved(self.value) || !self.is_upper_case;
        found.has_escapes = true;
        found.has_encoded_slashes |= self.value == b'/';
        match self.value {
            b'\\' => Err(PathError::Backslash),
            0x00..=0x1F | 0x7F => Err(PathError::ControlCharacter),
            b'%' if Self::read(after).is_ok() => Err(PathError::EncodedTwice),
            0x80..=0xFF => check_utf8(self.value, after, found),
            _ => Ok(after),
        }
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Reads the escapes that complete the character that `lead` starts.
fn check_utf8<'r>(lead: u8, mut rest: &'r [u8], found: &mut Scan) -> Result<&'r [u8], PathError> {
    let length = match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return Err(PathError::InvalidUtf8),
    };
    let mut bytes = [lead, 0, 0, 0];
    for slot in bytes.iter_mut().take(length).skip(1) {
        let Some((b'%', digits)) = rest.split_first() else { return Err(PathError::InvalidUtf8) };
        let escape = Escape::read(digits)?;
        found.repairable |= !escape.is_upper_case;
        *slot = escape.value;
        rest = digits.get(2..).unwrap_or_default();
    }
    let text = std::str::from_utf8(bytes.get(..length).unwrap_or_default())
        .map_err(|_| PathError::InvalidUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(PathError::ControlCharacter);
    }
    Ok(rest)
}

/// Decodes unreserved characters and upper-cases the other escapes of a path that [`scan`] passed.
fn repair(raw: &[u8]) -> String {
    rewrite_escapes(raw, is_unreserved)
}

/// Decodes what may stand raw in a path besides the unreserved characters.
fn fold(path: &str) -> Cow<'_, str> {
    let foldable =
        |byte| matches!(classify(byte), Class::Plain | Class::Semicolon) && !is_unreserved(byte);
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' && Escape::read(after).is_ok_and(|escape| foldable(escape.value)) {
            return Cow::Owned(rewrite_escapes(path.as_bytes(), foldable));
        }
        rest = after;
    }
    Cow::Borrowed(path)
}

fn rewrite_escapes(raw: &[u8], decode: impl Fn(u8) -> bool) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match Escape::read(after) {
            Ok(escape) if byte == b'%' => {
                rest = after.get(2..).unwrap_or_default();
                if decode(escape.value) {
                    text.push(char::from(escape.value));
                } else {
                    text.push('%');
                    text.push(hex_digit(escape.value >> 4));
                    text.push(hex_digit(escape.value & 0x0F));
                }
            }
            _ => text.push(char::from(byte)),
        }
    }
    text
}

fn hex_digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0').to_ascii_uppercase()
}

#[cfg(test)]
mod tests;
