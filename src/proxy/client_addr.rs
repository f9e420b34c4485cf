//! Who is at the other end: the peer itself, or whom trusted proxies report.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use compact_str::{CompactString, ToCompactString};
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::gate::Client;

/// Headers that only a proxy would add.
const FORWARDING: [HeaderName; 3] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-real-ip"),
];

/// Decides whom to believe.
#[derive(Debug)]
pub struct ClientAddresses {
    trusted: Vec<IpNet>,
    warned: AtomicBool,
}

impl ClientAddresses {
    /// Believes forwarding headers of peers in `trusted` only.
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self { trusted, warned: AtomicBool::new(false) }
    }

    /// Whether `peer` is one of our own proxies.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&peer))
    }

    /// The client of a request that `peer` sent.
    pub fn find(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        let peer = peer.to_canonical();
        let is_forwarded = FORWARDING.iter().any(|name| headers.contains_key(name));
        if !is_forwarded {
            // A proxy of ours that adds no forwarding header hides who is behind it.
            let is_private_peer = is_private(peer) && !self.trusts(peer);
            return Client { addr: peer, is_private_peer };
        }
        if self.trusts(peer) {
            let addr = self.rightmost_untrusted(headers).unwrap_or(peer);
            return Client { addr, is_private_peer: false };
        }
        if is_private(peer) && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "an untrusted peer on the private network sends forwarding headers; if it is your \
                 ingress, list it in server.trusted_proxies (TRUSTED_PROXIES), or all its clients \
                 share one address and one limit"
            );
        }
        Client { addr: peer, is_private_peer: false }
    }

    /// Reads X-Forwarded-For from the right, where our own proxies have written, up to the first
    /// address that is not one of them. An unreadable entry ends the search: nothing left of it can
    /// be believed.
    fn rightmost_untrusted(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let mut last_trusted = None;
        let values: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        for value in values.into_iter().rev() {
            for entry in value.to_str().ok()?.rsplit(',') {
                let Some(addr) = parse_entry(entry.trim()) else { return last_trusted };
                if !self.trusts(addr) {
                    return Some(addr);
                }
                last_trusted = Some(addr);
            }
        }
        last_trusted
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

/// `addr` as text, without the detour through the formatter that its `Display` takes.
pub(super) fn address_text(addr: IpAddr) -> CompactString {
    let IpAddr::V4(v4) = addr else { return addr.to_compact_string() };
    let mut text = CompactString::default();
    for (index, octet) in v4.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
    text
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
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, headers: &[(&str, &str)]) -> Client {
        let trusted = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        ClientAddresses::new(trusted).find(peer.parse().unwrap(), &map)
    }

    #[test]
    fn forwarding_headers_count_only_from_trusted_proxies_and_from_the_right() {
        let net = ["10.0.0.0/8"];
        let cases: [(&[&str], &str, &str, &str); 7] = [
            (&[], "10.0.0.1", "1.2.3.4", "10.0.0.1"),
            (&net, "10.0.0.1", "1.2.3.4", "1.2.3.4"),
            (&net, "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
            (&net, "10.0.0.1", "6.6.6.6, nonsense, 10.0.0.2", "10.0.0.2"),
            (&net, "9.9.9.9", "1.2.3.4", "9.9.9.9"),
            (&net, "::ffff:10.0.0.1", "1.2.3.4:5678", "1.2.3.4"),
            (&net, "10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ];
        for (trusted, peer, value, expected) in cases {
            let found = client(trusted, peer, &[("x-forwarded-for", value)]);
            assert_eq!(found.addr, expected.parse::<IpAddr>().unwrap(), "{peer} {value}");
            assert!(!found.is_private_peer, "{peer} {value}");
        }
    }

    #[test]
    fn several_header_lines_read_as_one_list() {
        let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4, 10.0.0.9")];
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &lines).addr.to_string(), "1.2.3.4");
    }

    #[test]
    fn addresses_read_as_the_standard_library_writes_them() {
        for addr in ["0.0.0.0", "192.0.2.255", "10.1.20.100", "::1", "2001:db8::7"] {
            assert_eq!(address_text(addr.parse().unwrap()), addr);
        }
    }

    #[test]
    fn only_a_direct_peer_on_the_private_network_is_private() {
        for peer in ["127.0.0.1", "10.1.2.3", "192.168.0.9", "100.64.0.1", "::1", "fd00::1"] {
            assert!(client(&[], peer, &[]).is_private_peer, "{peer}");
            for header in FORWARDING {
                assert!(
                    !client(&[], peer, &[(header.as_str(), "x")]).is_private_peer,
                    "{peer} {header}"
                );
            }
        }
        assert!(!client(&["10.0.0.0/8"], "10.0.0.1", &[]).is_private_peer, "one of our proxies");
        for peer in ["8.8.8.8", "100.128.0.1", "2001:db8::1"] {
            assert!(!client(&[], peer, &[]).is_private_peer, "{peer}");
        }
    }
}
