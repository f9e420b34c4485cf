//! Entries by how they begin, so that most names are known for none of them by their first letters.

use super::kind::Kind;
use super::pattern::NamePattern;

/// One for each pair of letters that names begin with, and as many for what follows `x-`.
const PLACES: usize = 2 * LETTERS * LETTERS;
const LETTERS: usize = 32;

/// Patterns with their kinds, to be searched for names.
#[derive(Debug)]
pub(super) struct Table {
    /// By place, then by kind.
    entries: Vec<Entry>,
    places: Box<[Place]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    first: u16,
    count: u16,
}

#[derive(Clone, Debug)]
struct Entry {
    /// The first bytes, and which of them are letters or digits: the others have several spellings.
    head: u64,
    mask: u64,
    pattern: NamePattern,
    kind: Kind,
}

impl Table {
    /// Of several entries for one name, that of the first kind is found.
    pub(super) fn new(mut patterns: Vec<(NamePattern, Kind)>) -> Self {
        patterns.sort_by_key(|(_, kind)| *kind);
        let mut by_place: Vec<Vec<Entry>> = vec![Vec::new(); PLACES];
        for (pattern, kind) in patterns {
            for at in places_of(&pattern) {
                if let Some(place) = by_place.get_mut(at) {
                    place.push(Entry::new(pattern.clone(), kind));
                }
            }
        }
        let mut places = vec![Place::default(); PLACES].into_boxed_slice();
        let mut entries = Vec::new();
        for (place, found) in places.iter_mut().zip(by_place) {
            let number = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
            *place = Place { first: number(entries.len()), count: number(found.len()) };
            entries.extend(found);
        }
        Self { entries, places }
    }

    /// The first entry that fits `name`.
    pub(super) fn find(&self, name: &str) -> Option<(&NamePattern, Kind)> {
        let place = self.places.get(place_of(name)).filter(|place| place.count > 0)?;
        let first = usize::from(place.first);
        let entries = self.entries.get(first..first + usize::from(place.count))?;
        let head = head_of(name);
        let found = entries
            .iter()
            .find(|entry| (entry.head ^ head) & entry.mask == 0 && entry.pattern.matches(name))?;
        Some((&found.pattern, found.kind))
    }
}

impl Entry {
    fn new(pattern: NamePattern, kind: Kind) -> Self {
        let stem = pattern.stem();
        let letters = |byte: u8| if byte.is_ascii_alphanumeric() { 0xFF } else { 0 };
        let mask: Vec<u8> = stem.bytes().map(letters).chain([0; 8]).collect();
        let mask = mask.first_chunk().map_or(0, |mask| u64::from_le_bytes(*mask));
        Self { head: head_of(stem), mask, pattern, kind }
    }
}

/// The first eight bytes of a name, or zeros behind its end.
fn head_of(name: &str) -> u64 {
    let bytes = name.as_bytes();
    if let Some(head) = bytes.first_chunk() {
        return u64::from_le_bytes(*head);
    }
    bytes.iter().rev().fold(0, |head, byte| head << 8 | u64::from(*byte))
}

/// Every spelling of a name has the same place.
fn place_of(name: &str) -> usize {
    let (half, letters) = match name.as_bytes() {
        [b'x', separator, rest @ ..] if !separator.is_ascii_alphanumeric() => (1, rest),
        letters => (0, letters),
    };
    let letter = |at: usize| {
        let byte = letters.get(at).filter(|byte| byte.is_ascii_alphanumeric());
        usize::from(byte.map_or(0, |byte| byte & 31))
    };
    (half * LETTERS + letter(0)) * LETTERS + letter(1)
}

/// Where names are found that match: in one place, unless the pattern ends before the second letter.
fn places_of(pattern: &NamePattern) -> std::ops::Range<usize> {
    let stem = pattern.stem();
    let at = place_of(stem);
    let letters = stem.strip_prefix("x-").unwrap_or(stem).len();
    if pattern.is_family() && letters < 2 {
        let first = at - at % LETTERS;
        return first..first + LETTERS;
    }
    at..at + 1
}
