//! Where a body in chunks ends, and that it has one reading only (RFC 9112 section 7.1).
//!
//! Pingora takes a line feed within an extension and white space behind a size. Whoever stands before
//! us may end the line there, and find other requests in the same bytes.

use std::io;

use pingora::prelude::Error;

/// As many as fit into a size.
const MAX_DIGITS: u8 = 16;

/// Bytes that the line of a size or all trailers may have: what Pingora takes of the former in parts.
const MAX_BESIDE_DATA: usize = 8 * 1024;

/// A body in chunks, followed byte by byte.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    at: At,
    beside_data: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Behind so many digits.
    Size { digits: u8, size: u64 },
    /// In white space that nothing but an extension may follow.
    Gap(u64),
    /// In what the line says beside the size.
    Extension(u64),
    /// Before the line feed that ends the size's line.
    SizeEnd(u64),
    /// So many bytes are left, and then the end of a line.
    Data(u64),
    /// Before the line feed that ends the chunk.
    DataEnd,
    /// Where a trailer may begin.
    Trailers,
    /// In a trailer's line.
    Trailer,
    /// Before the line feed that ends a trailer.
    TrailerEnd,
    /// Before the very last line feed.
    LastEnd,
    /// Behind the whole body.
    Over,
    /// In what has come behind it.
    Beyond,
    /// In something else than a body in chunks.
    Faulty,
}

/// A body in chunks is none, or has more than one reading.
#[derive(Debug, thiserror::Error)]
#[error("the body's chunks are malformed")]
pub struct FaultyChunk;

impl FaultyChunk {
    /// Whether `error` comes from this.
    pub fn is_behind(error: &Error) -> bool {
        let cause = error.root_cause().downcast_ref::<io::Error>();
        cause.and_then(io::Error::get_ref).and_then(|cause| cause.downcast_ref::<Self>()).is_some()
    }
}

impl From<FaultyChunk> for io::Error {
    fn from(fault: FaultyChunk) -> Self {
        Self::new(io::ErrorKind::InvalidData, fault)
    }
}

impl Chunks {
    /// Whether the body is whole and nothing has come behind it.
    pub(super) fn are_over(&self) -> bool {
        self.at == At::Over
    }

    pub(super) fn are_faulty(&self) -> bool {
        self.at == At::Faulty
    }

    /// Follows these bytes.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((byte, behind)) = rest.split_first() {
            rest = match self.at {
                At::Beyond | At::Faulty => return,
                At::Data(left @ 1..) => {
                    let taken =
                        usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    self.at = At::Data(left - taken as u64);
                    rest.get(taken..).unwrap_or_default()
                }
                at => {
                    self.at = self.bounded(at.behind(*byte));
                    behind
                }
            };
        }
    }

    fn bounded(&mut self, at: At) -> At {
        self.beside_data = match at {
            At::Data(_) | At::DataEnd => 0,
            _ => self.beside_data + 1,
        };
        if self.beside_data > MAX_BESIDE_DATA { At::Faulty } else { at }
    }
}

impl Default for At {
    fn default() -> Self {
        Self::Size { digits: 0, size: 0 }
    }
}

impl At {
    fn behind(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Size { digits, size }, _) => match char::from(byte).to_digit(16) {
                Some(digit) if digits < MAX_DIGITS => {
                    Self::Size { digits: digits + 1, size: size << 4 | u64::from(digit) }
                }
                None if digits > 0 => Self::behind_size(size, byte),
                _ => Self::Faulty,
            },
            (Self::Gap(size), b'\t' | b' ' | b';') => Self::behind_size(size, byte),
            (Self::Extension(size), b'\r') => Self::SizeEnd(size),
            (Self::Extension(_) | Self::Trailer, b'\t' | b' '..=b'~') | (Self::Trailer, 0x80..) => {
                self
            }
            (Self::SizeEnd(0) | Self::TrailerEnd, b'\n') => Self::Trailers,
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::Data(_), b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => Self::default(),
            (Self::Trailers, b'\r') => Self::LastEnd,
            (Self::Trailers, b'!'..=b'~') => Self::Trailer,
            (Self::Trailer, b'\r') => Self::TrailerEnd,
            (Self::LastEnd, b'\n') => Self::Over,
            (Self::Over | Self::Beyond, _) => Self::Beyond,
            _ => Self::Faulty,
        }
    }

    fn behind_size(size: u64, byte: u8) -> Self {
        match byte {
            b'\r' => Self::SizeEnd(size),
            b';' => Self::Extension(size),
            b'\t' | b' ' => Self::Gap(size),
            _ => Self::Faulty,
        }
    }
}

#[cfg(test)]
mod tests;
