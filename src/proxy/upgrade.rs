//! Connections for protocol upgrades that let Pingora finish the request before they answer.
//!
//! Pingora takes an upstream's `101` for the end of a tunnel when it reads it before it has noted
//! that the (empty) request body is over (pingora #946); an upstream on the same machine is fast
//! enough for that to happen to every third WebSocket. A read here is therefore put off for a few
//! polls after each write: in one of them the note is taken.

use std::future::Future;
use std::io;
use std::net::SocketAddr as InetAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::l4::Connect;
use pingora::http::RequestHeader;
use pingora::prelude::{Error, ErrorType, OrErr};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// Two would do: one poll in which the note arrives, one in which it is taken.
const POLLS: u8 = 4;

/// Connects patient sockets.
#[derive(Debug)]
pub(super) struct PatientConnect {
    pub(super) timeout: Duration,
    /// How long the upstream may think about the handshake.
    pub(super) answer_timeout: Duration,
}

/// Whether `request` asks for a WebSocket as RFC 6455 section 4.1 has it. Anything else with an
/// Upgrade header is an ordinary request: Pingora does not forward the header.
pub(super) fn is_websocket_handshake(request: &RequestHeader) -> bool {
    let names = |header: http::HeaderName, word: &str| {
        request.headers.get_all(header).iter().any(|value| {
            value
                .to_str()
                .is_ok_and(|text| text.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
        })
    };
    request.method == http::Method::GET
        && request.version == http::Version::HTTP_11
        && request.headers.contains_key("sec-websocket-key")
        && names(http::header::UPGRADE, "websocket")
        && names(http::header::CONNECTION, "upgrade")
}

/// Whether `error` is a handshake that its upstream has not answered in time.
pub(super) fn is_timeout(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

#[async_trait]
impl Connect for PatientConnect {
    async fn connect(&self, addr: &SocketAddr) -> pingora::Result<Stream> {
        let Some(addr): Option<&InetAddr> = addr.as_inet() else {
            return Err(Error::new(ErrorType::ConnectError));
        };
        let connected = tokio::time::timeout(self.timeout, TcpStream::connect(addr)).await;
        let stream = connected
            .or_err(ErrorType::ConnectTimedout, "upgrade")?
            .or_err(ErrorType::ConnectError, "upgrade")?;
        stream.set_nodelay(true).or_err(ErrorType::ConnectError, "upgrade")?;
        let socket = PatientSocket {
            stream,
            polls_left: 0,
            answer_timeout: self.answer_timeout,
            answer_due: Some(Box::pin(tokio::time::sleep(self.answer_timeout))),
        };
        Ok(VirtualSocketStream::new(Box::new(socket)).into())
    }
}

#[derive(Debug)]
struct PatientSocket {
    stream: TcpStream,
    polls_left: u8,
    answer_timeout: Duration,
    /// Until the answer has turned out to be a tunnel: any other may not take longer than without
    /// an Upgrade header.
    answer_due: Option<Pin<Box<Sleep>>>,
}

/// How the answer begins that opens a tunnel.
const SWITCHING: &[u8] = b"HTTP/1.1 101";

impl AsyncRead for PatientSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.polls_left > 0 && self.stream.poll_read_ready(cx)?.is_ready() {
            self.polls_left -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let Self { answer_timeout, answer_due, .. } = &mut *self;
        let Some(due) = answer_due else { return read };
        if read.is_pending() {
            if due.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        } else if buf.filled().get(before..).is_some_and(|bytes| bytes.starts_with(SWITCHING)) {
            *answer_due = None;
        } else {
            *due = Box::pin(tokio::time::sleep(*answer_timeout));
        }
        read
    }
}

impl AsyncWrite for PatientSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.polls_left = POLLS;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl VirtualSocket for PatientSocket {
    fn set_socket_option(&self, _option: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}
