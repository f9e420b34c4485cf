//! Who is at the other end: the peer itself, or whom trusted proxies report.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use ipnet::IpNet;

use super::forwarded::readable_end;
use super::headers::names::Names;
use crate::rules::KnownHosts;

/// What the headers say of whoever sends a request, without saying who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    /// Nothing.
    Direct,
    /// A page in somebody's browser, of another origin for all we know (the Fetch standard).
    Page,
    /// Somebody else's proxy.
    Relay,
}

/// Decides whom to believe.
#[derive(Debug)]
pub struct ClientAddresses {
    trusted: Vec<IpNet>,
    private_hosts: KnownHosts,
    names: Arc<Names>,
    warned: AtomicBool,
}

impl ClientAddresses {
    /// Believes forwarding headers of peers in `trusted` only; private peers call us by one of
    /// `private_hosts`.
    pub fn new(trusted: Vec<IpNet>, private_hosts: KnownHosts, names: Arc<Names>) -> Self {
        Self { trusted, private_hosts, names, warned: AtomicBool::new(false) }
    }

    /// Whether `peer` is one of our own proxies.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&peer))
    }

    /// The client's address, for a request that `peer` sent.
    pub fn find(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if self.trusts(peer) {
            // A proxy of ours that adds no forwarding header hides who is behind it.
            return self.rightmost_untrusted(headers).unwrap_or(peer);
        }
        peer
    }

    /// Whether private answers are for `peer`: from the private network, without anybody between or
    /// behind it, and in the knowledge of where it asks.
    pub fn is_private_peer(&self, peer: IpAddr, headers: &HeaderMap, host: Option<&str>) -> bool {
        let peer = peer.to_canonical();
        if self.trusts(peer) || !is_private(peer) {
            return false;
        }
        let sender = self.sender(headers);
        if sender == Sender::Relay && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "an untrusted peer on the private network sends forwarding headers; if it is your \
                 ingress, list it in server.trusted_proxies (TRUSTED_PROXIES), or all its clients \
                 share one address and one limit"
            );
        }
        sender == Sender::Direct && self.private_hosts.has(host)
    }

    /// Reads X-Forwarded-For from the right, where our own proxies have written, up to the first
    /// address that is not one of them. An unreadable entry ends the search: nothing left of it can
    /// be believed.
    fn rightmost_untrusted(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let mut last_trusted = None;
        for value in headers.get_all("x-forwarded-for").iter().rev() {
            let (text, is_whole) = readable_end(value.as_bytes());
            for entry in text.rsplit(',') {
                let Some(addr) = parse_entry(entry.trim()) else { return last_trusted };
                if !self.trusts(addr) {
                    return Some(addr);
                }
                last_trusted = Some(addr);
            }
            if !is_whole {
                return last_trusted;
            }
        }
        last_trusted
    }

    fn sender(&self, headers: &HeaderMap) -> Sender {
        let mut sender = Sender::Direct;
        for (name, value) in headers {
            match name.as_str() {
                "origin" => sender = Sender::Page,
                "sec-fetch-site" if !matches!(value.as_bytes(), b"none" | b"same-origin") => {
                    sender = Sender::Page;
                }
                name if self.names.marks_relay(name) => return Sender::Relay,
                _ => {}
            }
        }
        sender
    }
}

/// An address, with a port or in brackets as some proxies write it.
fn parse_entry(entry: &str) -> Option<IpAddr> {
    let addr = entry
        .parse::<IpAddr>()
        .or_else(|_| entry.parse::<std::net::SocketAddr>().map(|addr| addr.ip()))
        .or_else(|_| entry.trim_start_matches('[').trim_end_matches(']').parse())
        .ok()?;
    Some(addr.to_canonical())
}

/// Loopback, RFC 1918, link-local, shared (RFC 6598) and unique local addresses.
fn is_private(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
