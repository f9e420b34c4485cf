//! How many lines a head has.

/// The lines of a head, as far as it has come. What comes behind the empty line that ends it may be a
/// body of any number of lines.
#[derive(Debug, Default)]
pub(super) struct HeadLines {
    begun: usize,
    is_within_one: bool,
    is_over: bool,
}

impl HeadLines {
    /// Lines that have begun, the request line among them.
    pub(super) fn begun(&self) -> usize {
        self.begun
    }

    /// Counts those in `bytes`; what stands behind the head.
    pub(super) fn count<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let mut rest = bytes;
        while !self.is_over && !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let (line, behind) = rest.split_at(end.unwrap_or(rest.len()));
            self.go_on(line);
            if end.is_some() {
                self.end_line();
            }
            rest = behind.get(1..).unwrap_or_default();
        }
        rest
    }

    fn go_on(&mut self, line: &[u8]) {
        if !self.is_within_one && line.iter().any(|byte| *byte != b'\r') {
            self.is_within_one = true;
            self.begun += 1;
        }
    }

    /// Empty lines before the first one end nothing (RFC 9112 section 2.2).
    fn end_line(&mut self) {
        self.is_over = !self.is_within_one && self.begun > 0;
        self.is_within_one = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_up_to_the_empty_one_however_they_come() {
        for (text, lines, body) in [
            ("", 0, ""),
            ("\r\n\n\r", 0, ""),
            ("G", 1, ""),
            ("GET / HTTP/1.1\r\nHost: a\r\nX", 3, ""),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 2, ""),
            ("\r\n\nGET / HTTP/1.1\nHost: a\n\r\na\nb\n\nc\n", 2, "a\nb\n\nc\n"),
            ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\r\na\r\nb\r\n", 2, "a\r\nb\r\n"),
        ] {
            for size in 1..=text.len().max(1) {
                let mut head = HeadLines::default();
                let behind: Vec<_> =
                    text.as_bytes().chunks(size).map(|part| head.count(part)).collect();
                assert_eq!(head.begun(), lines, "{text:?} by {size}");
                assert_eq!(behind.concat(), body.as_bytes(), "{text:?} by {size}");
            }
        }
    }
}
