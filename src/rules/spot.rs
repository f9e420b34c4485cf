//! Where the parts of a rule file stand. `serde_json` tells this only of text that it cannot parse; what
//! it has parsed is walked over once more, without another look at its grammar.

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spot {
    /// From 1.
    pub(super) line: u32,
    /// In characters, from 1.
    pub(super) column: u32,
}

/// The part of a field that is meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum FieldPart {
    /// Its name, where it stands last: the one before is what makes it the second.
    Name,
    /// Its value.
    Value,
    /// An item of its list.
    Item(usize),
}

/// A list of objects, valid as JSON.
pub(super) struct Spots<'a> {
    text: &'a [u8],
    entries: Vec<Entry>,
}

/// Places are counted from the start of an entry: a file may be one line of megabytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    end: usize,
    spot: Spot,
}

impl<'a> Spots<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        let mut walk = Walk { text, at: 0 };
        walk.skip_separators();
        let (mut at, mut spot) = (0, Spot { line: 1, column: 1 });
        let entries = walk.children().into_iter().map(|(start, end)| {
            spot = spot.behind(text.get(at..start).unwrap_or_default());
            at = start;
            Entry { start, end, spot }
        });
        Self { text, entries: entries.collect() }
    }

    /// The text of an entry.
    pub(super) fn text(&self, entry: usize) -> &'a [u8] {
        let entry = self.entries.get(entry);
        entry.and_then(|entry| self.text.get(entry.start..entry.end)).unwrap_or_default()
    }

    /// Where an entry starts.
    pub(super) fn entry(&self, entry: usize) -> Spot {
        self.entries.get(entry).map(|entry| entry.spot).unwrap_or_default()
    }

    /// A part of an entry's field, or the entry where the field is absent.
    pub(super) fn field(&self, entry: usize, field: &str, part: FieldPart) -> Spot {
        let text = self.text(entry);
        let members = Walk { text, at: 0 }.children();
        let is_field = |name: &(usize, usize)| {
            let name = text.get(name.0..name.1).unwrap_or_default();
            serde_json::from_slice::<String>(name).is_ok_and(|name| name == field)
        };
        let mut named = members.chunks_exact(2).filter_map(|pair| match pair {
            [name, value] if is_field(name) => Some((name.0, value.0)),
            _ => None,
        });
        let offset = match part {
            FieldPart::Name => named.next_back().map(|(name, _)| name),
            FieldPart::Value => named.next().map(|(_, value)| value),
            FieldPart::Item(item) => named.next().map(|(_, value)| {
                let items = Walk { text, at: value }.children();
                items.get(item).map_or(value, |(start, _)| *start)
            }),
        };
        let before = text.get(..offset.unwrap_or_default()).unwrap_or_default();
        self.entry(entry).behind(before)
    }
}

impl Spot {
    /// The place behind `text`, which starts here.
    fn behind(self, text: &[u8]) -> Self {
        // All but the first byte of a character in UTF-8 are 10xx xxxx.
        let is_first = |byte: &&u8| **byte & 0xC0 != 0x80;
        let width = |text: &[u8]| number(text.iter().filter(is_first).count());
        let Some(last) = memchr::memrchr(b'\n', text) else {
            return Self { column: self.column.saturating_add(width(text)), ..self };
        };
        let breaks = number(memchr::memchr_iter(b'\n', text).count());
        let rest = text.get(last + 1..).unwrap_or_default();
        Self { line: self.line.saturating_add(breaks), column: 1 + width(rest) }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX - 1)
}

/// A walk over text that is valid as JSON; it ends early, and nowhere else, where that is not so.
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Start and end of what the list or object at this place consists of: an object of names and
    /// values in turn.
    fn children(mut self) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        if !matches!(self.peek(), Some(b'[' | b'{')) {
            return found;
        }
        self.at += 1;
        loop {
            self.skip_separators();
            if matches!(self.peek(), None | Some(b']' | b'}')) {
                return found;
            }
            let start = self.at;
            self.skip_value();
            found.push((start, self.at));
        }
    }

    fn skip_value(&mut self) {
        let mut depth = 0_usize;
        loop {
            self.skip_separators();
            match self.peek() {
                None => return,
                Some(b'"') => self.skip_string(),
                Some(b'[' | b'{') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b']' | b'}') => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                Some(_) => {
                    self.skip_while(|byte| !is_separator(byte) && !matches!(byte, b']' | b'}'));
                }
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_string(&mut self) {
        self.at += 1;
        loop {
            self.skip_while(|byte| byte != b'"' && byte != b'\\');
            match self.peek() {
                Some(b'\\') => self.at += 2,
                Some(_) => {
                    self.at += 1;
                    return;
                }
                None => return,
            }
        }
    }

    fn skip_separators(&mut self) {
        self.skip_while(is_separator);
    }

    fn skip_while(&mut self, is_skipped: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&is_skipped) {
            self.at += 1;
        }
    }
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[\n  {\"a\": \"\\\"]}\", \"ü\": 5,\n   \"b\\u0063\":[ 1,{\"x\":[]} , \"z\" ]},\n\
                        \t{},7,\n  {\"a\": 1, \"a\": 2}]\n";

    #[track_caller]
    fn check(entry: usize, field: &str, part: FieldPart, expected: (u32, u32)) {
        let Spot { line, column } = Spots::of(FILE.as_bytes()).field(entry, field, part);
        assert_eq!((line, column), expected, "{entry} {field} {part:?}");
    }

    #[test]
    fn every_part_is_found_where_it_stands() {
        check(0, "a", FieldPart::Name, (2, 4));
        check(0, "a", FieldPart::Value, (2, 9));
        check(0, "ü", FieldPart::Name, (2, 17));
        check(0, "ü", FieldPart::Value, (2, 22));
        check(0, "bc", FieldPart::Value, (3, 14));
        check(0, "bc", FieldPart::Item(0), (3, 16));
        check(0, "bc", FieldPart::Item(1), (3, 18));
        check(0, "bc", FieldPart::Item(2), (3, 29));
        check(0, "bc", FieldPart::Item(3), (3, 14));
        check(3, "a", FieldPart::Value, (5, 9));
        check(3, "a", FieldPart::Name, (5, 12));
    }

    #[test]
    fn what_is_absent_is_told_where_its_rule_starts() {
        check(0, "x", FieldPart::Name, (2, 3));
        check(1, "a", FieldPart::Value, (4, 2));
        check(2, "a", FieldPart::Value, (4, 5));
        let spots = Spots::of(FILE.as_bytes());
        assert_eq!(spots.entry(3), Spot { line: 5, column: 3 });
        assert_eq!(spots.text(1), b"{}");
        assert_eq!(spots.text(2), b"7");
        assert_eq!(spots.text(4), b"");
    }
}
