//! How connections to an upstream with several addresses are made.

use std::io;
use std::net::SocketAddr as InetAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::l4::Connect;
use pingora::prelude::{Error, ErrorType};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use tokio::net::TcpStream;

use super::addresses::Addresses;
use super::health::Health;
use super::race::race;

/// Connects to a peer's address, and finds out which other one works when that one does not.
///
/// A connection that another address has won is not used but closed, and the request tries again
/// with that address as its peer ([`Miss::Elsewhere`]). Pingora takes every socket for one to the
/// peer's own address: it would pool it there, find out when it reuses it, log that as critical and
/// drop it; and a TLS handshake that fails on it would be held against the wrong address.
#[derive(Debug)]
pub(super) struct HappyEyeballs {
    pub(super) addresses: Addresses,
    pub(super) health: Arc<Health>,
    /// How long an address is tried alone before the next one is too.
    pub(super) head_start: Duration,
}

/// Why there is no connection to a peer, where that is known already.
#[derive(Debug, thiserror::Error)]
pub(super) enum Miss {
    /// Another address has answered instead.
    #[error("{0} answered instead")]
    Elsewhere(InetAddr),
    /// None of the upstream's addresses takes a connection; this one was the last to fail.
    #[error(transparent)]
    Everywhere(io::Error),
}

impl Miss {
    /// What `error` comes from, if it is this.
    pub(super) fn behind(error: &Error) -> Option<&Self> {
        error.root_cause().downcast_ref()
    }
}

impl HappyEyeballs {
    /// A connection to `peer`; its deadline is the caller's.
    pub(super) async fn connect_tcp(&self, peer: &SocketAddr) -> pingora::Result<TcpStream> {
        let Some(peer) = peer.as_inet().copied() else {
            return Err(Error::new(ErrorType::ConnectError));
        };
        let order = self.addresses.order(peer);
        let connect = |at: InetAddr| TcpStream::connect(at);
        match race(&order, &self.health, self.head_start, connect).await {
            Ok((winner, stream)) if winner == peer => Ok(stream),
            Ok((winner, _)) => Err(Miss::Elsewhere(winner).into()),
            Err(cause) => Err(Miss::Everywhere(cause).into()),
        }
    }
}

impl From<Miss> for Box<Error> {
    fn from(miss: Miss) -> Self {
        let kind = match &miss {
            Miss::Everywhere(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
                ErrorType::ConnectRefused
            }
            Miss::Everywhere(_) | Miss::Elsewhere(_) => ErrorType::ConnectError,
        };
        Error::because(kind, "", miss)
    }
}

#[async_trait]
impl Connect for HappyEyeballs {
    async fn connect(&self, peer: &SocketAddr) -> pingora::Result<Stream> {
        self.connect_tcp(peer).await.map(Stream::from)
    }
}
