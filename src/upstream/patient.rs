//! Connections for protocol upgrades that let Pingora finish the request before they answer.
//!
//! Pingora takes an upstream's `101` for the end of a tunnel when it reads it before it has noted
//! that the (empty) request body is over (pingora #946); an upstream on the same machine is fast
//! enough for that to happen to every third WebSocket. A read here is therefore put off for a few
//! polls after each write: in one of them the note is taken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::connectors::l4::Connect;
use pingora::prelude::{ErrorType, OrErr};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connect::HappyEyeballs;

/// Two would do: one poll in which the note arrives, one in which it is taken.
const POLLS: u8 = 4;

/// Connects patient sockets.
#[derive(Debug)]
pub(super) struct PatientConnect(pub(super) HappyEyeballs);

#[async_trait]
impl Connect for PatientConnect {
    async fn connect(&self, peer: &SocketAddr) -> pingora::Result<Stream> {
        let stream = self.0.connect_tcp(peer).await?;
        stream.set_nodelay(true).or_err(ErrorType::ConnectError, "upgrade")?;
        let socket = PatientSocket { stream, polls_left: 0 };
        Ok(VirtualSocketStream::new(Box::new(socket)).into())
    }
}

#[derive(Debug)]
struct PatientSocket {
    stream: TcpStream,
    polls_left: u8,
}

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
        Pin::new(&mut self.stream).poll_read(cx, buf)
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
