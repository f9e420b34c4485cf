//! Frames of WebSockets (RFC 6455) and the answer to their handshake.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What a client's handshake has, beside what it asks for.
pub const HANDSHAKE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];

pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;

/// A frame that was read; its payload is in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub is_masked: bool,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The status of a close frame, and what is said to it.
    pub fn close(&self) -> Option<(u16, String)> {
        let (code, reason) = self.payload.split_first_chunk()?;
        let reason = String::from_utf8_lossy(reason).into_owned();
        (self.opcode == CLOSE).then(|| (u16::from_be_bytes(*code), reason))
    }
}

/// A frame as a server sends it.
pub fn unmasked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..126 => bytes.push(u8::try_from(short).unwrap()),
        long => {
            bytes.push(126);
            bytes.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// A short frame as a client sends it.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let mut bytes = vec![0x80 | opcode, 0x80 | u8::try_from(payload.len()).unwrap()];
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The next frame; an error at the end of the connection.
pub async fn read_frame(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let [first, second] = [reader.read_u8().await?, reader.read_u8().await?];
    let length = match second & 0x7f {
        126 => usize::from(reader.read_u16().await?),
        127 => usize::try_from(reader.read_u64().await?).unwrap(),
        short => usize::from(short),
    };
    let is_masked = second & 0x80 != 0;
    let mut mask = [0; 4];
    if is_masked {
        reader.read_exact(&mut mask).await?;
    }
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload).await?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok(Frame { opcode: first & 0x0f, is_masked, payload })
}

/// What a server proves with that it has read the handshake.
pub fn accept(key: &str) -> String {
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key.as_bytes());
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(sha1.digest().bytes())
}
