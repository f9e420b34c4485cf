//! Words, symbols and line ends.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Word(&'t str),
    Symbol(char),
    Newline,
    End,
}

#[derive(Clone)]
pub(super) struct Lexer<'t> {
    rest: &'t str,
    line: usize,
    /// Line of the last token.
    start: usize,
}

impl<'t> Lexer<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { rest: text, line: 1, start: 1 }
    }

    pub(super) const fn line(&self) -> usize {
        self.line
    }

    /// The line on which the last token began.
    pub(super) const fn start(&self) -> usize {
        self.start
    }

    /// Several line ends in a row count as one.
    pub(super) fn next(&mut self) -> Token<'t> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\u{c}']);
        self.start = self.line;
        let Some(first) = self.rest.chars().next() else {
            return Token::End;
        };
        if first == '\n' || first == '\r' {
            let trimmed = self.rest.trim_start();
            let skipped = self.rest.len() - trimmed.len();
            let lines = self.rest.get(..skipped).unwrap_or_default().matches('\n').count();
            self.line += lines;
            self.rest = trimmed;
            return Token::Newline;
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || "_-./$".contains(c);
        let length = if is_word(first) {
            self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len())
        } else {
            first.len_utf8()
        };
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        if is_word(first) { Token::Word(token) } else { Token::Symbol(first) }
    }

    pub(super) fn peek(&self) -> Token<'t> {
        self.clone().next()
    }

    /// The text up to the brace that closes the one just read; braces in strings do not
    /// count. `None` if it is never closed.
    pub(super) fn until_closing_brace(&mut self) -> Option<&'t str> {
        let mut depth = 0_usize;
        let mut quote = None;
        let mut escaped = false;
        let mut lines = 0;
        for (at, c) in self.rest.char_indices() {
            lines += usize::from(c == '\n');
            if let Some(open) = quote {
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    _ if c == open || c == '\n' => quote = None,
                    _ => {}
                }
                continue;
            }
            match c {
                '"' | '\'' => quote = Some(c),
                '{' => depth += 1,
                '}' if depth == 0 => {
                    let (inside, rest) = self.rest.split_at(at);
                    self.rest = rest.get(1..).unwrap_or_default();
                    self.line += lines;
                    return Some(inside);
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
        None
    }
}
