//! Where the frames of a WebSocket begin and end (RFC 6455 section 5.2).

const END_OF_HEAD: &[u8; 4] = b"\r\n\r\n";
const CLOSE: u8 = 8;

/// One direction of a WebSocket, followed byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frames {
    at: At,
    is_close: bool,
    has_closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the head of the answer; so many bytes of its end have been seen.
    Head(u8),
    /// Between two frames.
    Start,
    /// Behind the first byte of a frame.
    Length,
    /// In what follows the second byte: the rest of the length, then the mask.
    Extended { length_bytes: u8, mask_bytes: u8, length: u64 },
    /// So many bytes are left.
    Payload(u64),
}

impl Frames {
    /// The head of an answer comes first.
    pub(super) const fn behind_a_head() -> Self {
        Self { at: At::Head(0), is_close: false, has_closed: false }
    }

    /// The next byte is the first one of a frame.
    pub(super) const fn at_once() -> Self {
        Self { at: At::Start, is_close: false, has_closed: false }
    }

    /// Whether a frame of somebody else may stand here.
    pub(super) fn is_between(&self) -> bool {
        self.at == At::Start
    }

    /// Whether a whole close frame has been seen.
    pub(super) const fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Follows these bytes.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while let Some(rest) = self.step(bytes) {
            bytes = rest;
        }
    }

    /// How many of these bytes belong to what has begun; all of them if it does not end here.
    pub(super) fn rest_of_frame(mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !self.is_between()
            && let Some(left) = self.step(rest)
        {
            rest = left;
        }
        bytes.len() - rest.len()
    }

    /// Follows one byte, or as much of a payload as there is; what is left after it.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (byte, rest) = bytes.split_first()?;
        self.at = match self.at {
            At::Head(seen) => match END_OF_HEAD.get(usize::from(seen)) {
                Some(expected) if expected == byte && seen == 3 => At::Start,
                Some(expected) if expected == byte => At::Head(seen + 1),
                _ => At::Head(u8::from(*byte == b'\r')),
            },
            At::Start => {
                self.is_close = byte & 0x0f == CLOSE;
                At::Length
            }
            At::Length => {
                let (length_bytes, length) = match byte & 0x7f {
                    0x7e => (2, 0),
                    0x7f => (8, 0),
                    short => (0, u64::from(short)),
                };
                let mask_bytes = if byte & 0x80 == 0 { 0 } else { 4 };
                self.extended(length_bytes, mask_bytes, length)
            }
            At::Extended { length_bytes: 0, mask_bytes, length } => {
                self.extended(0, mask_bytes.saturating_sub(1), length)
            }
            At::Extended { length_bytes, mask_bytes, length } => {
                self.extended(length_bytes - 1, mask_bytes, length << 8 | u64::from(*byte))
            }
            At::Payload(left) => {
                let available = bytes.len() as u64;
                let taken = left.min(available);
                self.at = self.payload(left - taken);
                return bytes.get(usize::try_from(taken).ok()?..);
            }
        };
        Some(rest)
    }

    fn extended(&mut self, length_bytes: u8, mask_bytes: u8, length: u64) -> At {
        if length_bytes == 0 && mask_bytes == 0 {
            return self.payload(length);
        }
        At::Extended { length_bytes, mask_bytes, length }
    }

    fn payload(&mut self, left: u64) -> At {
        if left > 0 {
            return At::Payload(left);
        }
        self.has_closed |= self.is_close;
        At::Start
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(opcode: u8, length: usize, is_masked: bool) -> Vec<u8> {
        let mask = u8::from(is_masked) << 7;
        let mut bytes = vec![0x80 | opcode];
        match length {
            short @ 0..126 => bytes.push(mask | u8::try_from(short).unwrap()),
            middle @ 126..65_536 => {
                bytes.push(mask | 0x7e);
                bytes.extend(u16::try_from(middle).unwrap().to_be_bytes());
            }
            long => {
                bytes.push(mask | 0x7f);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        bytes.extend(std::iter::repeat_n(0x88, if is_masked { 4 } else { 0 } + length));
        bytes
    }

    #[test]
    fn the_head_of_the_answer_is_no_frame() {
        let head = b"HTTP/1.1 101 S\r\nA: b\r\n\r\r\n\r\n\r\n";
        let end = head.len() - 2;
        let mut frames = Frames::behind_a_head();
        assert_eq!(frames.rest_of_frame(head), end);
        frames.pass(&head[..end]);
        assert!(frames.is_between());
    }

    #[test]
    fn a_close_frame_is_known_when_it_is_whole() {
        let close = frame(8, 2, true);
        let mut frames = Frames::at_once();
        frames.pass(&frame(1, 3, true));
        for byte in &close {
            assert!(!frames.has_closed());
            frames.pass(&[*byte]);
        }
        assert!(frames.has_closed());
        let mut bare = Frames::at_once();
        bare.pass(&frame(8, 0, false));
        assert!(bare.has_closed());
    }

    #[test]
    fn no_length_is_too_much() {
        let mut frames = Frames::at_once();
        frames.pass(b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff1234");
        frames.pass(&[0; 1000]);
        assert!(!frames.is_between());
        assert_eq!(frames.rest_of_frame(&[0; 1000]), 1000);
    }

    proptest! {
        #[test]
        fn frames_end_where_they_end_however_they_come(
            shapes in proptest::collection::vec((1..3_u8, 0..300_usize, any::<bool>()), 1..6),
            long in prop_oneof![Just(0_usize), Just(65_535), Just(65_536), Just(70_000)],
            cut in 1..900_usize,
        ) {
            let mut all: Vec<_> =
                shapes.into_iter().map(|(opcode, len, mask)| frame(opcode, len, mask)).collect();
            all.push(frame(2, long, true));
            let ends: Vec<usize> = all
                .iter()
                .scan(0, |end, frame| {
                    *end += frame.len();
                    Some(*end)
                })
                .collect();
            let bytes = all.concat();
            let mut frames = Frames::at_once();
            let mut passed = 0;
            for part in bytes.chunks(cut) {
                if !frames.is_between() {
                    let end = ends.iter().find(|end| **end > passed).unwrap() - passed;
                    prop_assert_eq!(frames.rest_of_frame(part), end.min(part.len()));
                }
                frames.pass(part);
                passed += part.len();
                prop_assert_eq!(frames.is_between(), ends.contains(&passed));
            }
            prop_assert!(!frames.has_closed());
        }
    }
}
