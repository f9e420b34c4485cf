//! Who is at the other end: the peer itself, or whom trusted proxies report.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use compact_str::{CompactString, ToCompactString};
use http::HeaderMap;
use ipnet::IpNet;

use super::headers::{PROTECTED_FAMILY, starts_like};
use crate::gate::Client;

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
        if self.trusts(peer) {
            // A proxy of ours that adds no forwarding header hides who is behind it.
            let addr = self.rightmost_untrusted(headers).unwrap_or(peer);
            return Client { addr, is_private_peer: false };
        }
        if !is_private(peer) {
            return Client { addr: peer, is_private_peer: false };
        }
        let sender = sender(headers);
        if sender == Sender::Relay && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "an untrusted peer on the private network sends forwarding headers; if it is your \
                 ingress, list it in server.trusted_proxies (TRUSTED_PROXIES), or all its clients \
                 share one address and one limit"
            );
        }
        Client { addr: peer, is_private_peer: sender == Sender::Direct }
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
}

fn sender(headers: &HeaderMap) -> Sender {
    let mut sender = Sender::Direct;
    for (name, value) in headers {
        match name.as_str() {
            "forwarded"
            | "via"
            | "x-real-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-original-forwarded-for"
            | "x-envoy-external-address"
            | "true-client-ip"
            | "cf-connecting-ip"
            | "fastly-client-ip" => return Sender::Relay,
            name if starts_like(name, PROTECTED_FAMILY) => return Sender::Relay,
            "origin" => sender = Sender::Page,
            "sec-fetch-site" if !matches!(value.as_bytes(), b"none" | b"same-origin") => {
                sender = Sender::Page;
            }
            _ => {}
        }
    }
    sender
}

/// The entries of a comma list behind the last one that is not printable ASCII, and whether that is
/// all of it.
pub(super) fn readable_end(list: &[u8]) -> (&str, bool) {
    let is_odd = |byte: &u8| !matches!(byte, b' '..=b'~' | b'\t');
    let (end, is_whole) = match list.iter().rposition(is_odd) {
        None => (list, true),
        Some(odd) => {
            let rest = list.get(odd..).unwrap_or_default();
            let comma = rest.iter().position(|byte| *byte == b',');
            (comma.and_then(|at| rest.get(at + 1..)).unwrap_or_default(), false)
        }
    };
    (std::str::from_utf8(end).unwrap_or_default().trim_start(), is_whole)
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
    let mut text = [0; "255.255.255.255".len()];
    let mut length = 0;
    let mut push = |byte: u8| {
        if let Some(place) = text.get_mut(length) {
            *place = byte;
            length += 1;
        }
    };
    for (index, octet) in v4.octets().into_iter().enumerate() {
        if index > 0 {
            push(b'.');
        }
        if octet >= 100 {
            push(b'0' + octet / 100);
        }
        if octet >= 10 {
            push(b'0' + octet / 10 % 10);
        }
        push(b'0' + octet % 10);
    }
    CompactString::from_utf8(text.get(..length).unwrap_or_default()).unwrap_or_default()
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
            map.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
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
    fn bytes_that_are_no_text_hide_nobody() {
        let trusted = ClientAddresses::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let cases: [(&[u8], &str); 4] = [
            (b"\xff, 1.2.3.4", "1.2.3.4"),
            (b"6.6.6.6, \xff, 1.2.3.4, 10.0.0.9", "1.2.3.4"),
            (b"6.6.6.6, \xff, 10.0.0.9", "10.0.0.9"),
            (b"6.6.6.6, 1.2.3.4\xff", "10.0.0.1"),
        ];
        for (value, expected) in cases {
            let value = http::HeaderValue::from_bytes(value).unwrap();
            let headers =
                HeaderMap::from_iter([(http::HeaderName::from_static("x-forwarded-for"), value)]);
            let found = trusted.find("10.0.0.1".parse().unwrap(), &headers);
            assert_eq!(found.addr.to_string(), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_no_private_peer() {
        let is_private =
            |headers: &[(&str, &str)]| client(&[], "10.1.2.3", headers).is_private_peer;
        assert!(is_private(&[("sec-fetch-site", "none")]));
        assert!(is_private(&[("sec-fetch-site", "same-origin")]));
        assert!(!is_private(&[("sec-fetch-site", "cross-site")]));
        assert!(!is_private(&[("sec-fetch-site", "same-site")]));
        assert!(!is_private(&[("origin", "https://evil.example")]));
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
            for header in [
                "x-forwarded-for",
                "X-Forwarded-Proto",
                "x_forwarded_host",
                "Forwarded",
                "x-real-ip",
                "via",
                "cf-connecting-ip",
            ] {
                assert!(!client(&[], peer, &[(header, "x")]).is_private_peer, "{peer} {header}");
            }
        }
        assert!(!client(&["10.0.0.0/8"], "10.0.0.1", &[]).is_private_peer, "one of our proxies");
        for peer in ["8.8.8.8", "100.128.0.1", "2001:db8::1"] {
            assert!(!client(&[], peer, &[]).is_private_peer, "{peer}");
        }
    }
}
