//! How long anybody may be silent, and what is said of whoever was.

use std::io;
use std::time::Duration;

use pingora::prelude::Error;

/// How long a connection may be silent.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The client, between requests.
    pub keepalive: Duration,
    /// The client, from the first byte of a request's head to the last.
    pub head: Duration,
    /// The client, while it sends a body.
    pub read: Duration,
    /// The client, while it takes an answer.
    pub write: Duration,
    /// Both sides, once it is a WebSocket.
    pub websocket: Duration,
    /// Bytes of a head that may have arrived without its end.
    pub head_bytes: usize,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Awaited {
    /// The first byte of a request.
    Request,
    /// The rest of its head.
    Head,
    /// The next part of its body.
    Body,
    /// The next part of the upstream's answer.
    Answer,
    /// Anything through a tunnel.
    Tunnel,
}

/// Who was silent for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overdue {
    /// The client, in the middle of a head.
    #[error("the client has not finished its request's head in time")]
    Head,
    /// The client, in the middle of a body.
    #[error("the client has stopped sending")]
    Body,
    /// The upstream.
    #[error("the upstream has not answered in time")]
    Answer,
    /// The client, to whom an answer is written.
    #[error("the client has stopped reading")]
    Reading,
    /// Both ends of a tunnel.
    #[error("the tunnel was idle for too long")]
    Tunnel,
    /// Nobody: the time of the caller's token is over.
    #[error("the caller's token has expired")]
    Token,
}

impl Overdue {
    /// What `error` comes from, if it is this.
    pub fn behind(error: &Error) -> Option<Self> {
        let cause = error.root_cause().downcast_ref::<io::Error>()?;
        cause.get_ref()?.downcast_ref::<Self>().copied()
    }
}

impl From<Overdue> for io::Error {
    fn from(overdue: Overdue) -> Self {
        Self::new(io::ErrorKind::TimedOut, overdue)
    }
}
