//! Who is at the other end of a connection.

use std::net::{IpAddr, Ipv4Addr};

use pingora::protocols::l4::socket::SocketAddr;

/// The address of a peer that has one.
pub fn ip_of(peer: Option<&SocketAddr>) -> IpAddr {
    match peer {
        Some(SocketAddr::Inet(addr)) => addr.ip().to_canonical(),
        Some(SocketAddr::Unix(_)) | None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}
