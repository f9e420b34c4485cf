//! What a window is found by.

use std::net::{IpAddr, Ipv6Addr};

use aws_lc_rs::digest;

/// In bytes; longer ones could fill the memory long before the table is full.
const LONGEST_TEXT: usize = 64;

/// A key as the caller has it.
#[derive(Clone, Copy, Debug)]
pub enum KeyRef<'a> {
    /// A client's address.
    Client(IpAddr),
    /// A principal, a rule's id, a header's value.
    Text(&'a str),
}

/// A key as the table keeps it. Bounded: a text longer than [`LONGEST_TEXT`] is kept as its digest.
#[derive(Debug)]
pub(super) enum Key {
    Client([u8; 16]),
    Text(Box<str>),
    Digest([u8; 16]),
}

/// A key to look up, without owning it.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) enum Probe<'a> {
    Client([u8; 16]),
    Text(&'a str),
    Digest([u8; 16]),
}

impl<'a> KeyRef<'a> {
    pub(super) fn probe(self) -> Probe<'a> {
        match self {
            Self::Client(address) => Probe::Client(network(address)),
            Self::Text(text) if text.len() <= LONGEST_TEXT => Probe::Text(text),
            Self::Text(text) => Probe::Digest(truncated_sha256(&[text.as_bytes()])),
        }
    }
}

impl Key {
    pub(super) fn probe(&self) -> Probe<'_> {
        match self {
            Self::Client(network) => Probe::Client(*network),
            Self::Text(text) => Probe::Text(text),
            Self::Digest(digest) => Probe::Digest(*digest),
        }
    }
}

impl Probe<'_> {
    pub(super) fn to_key(self) -> Key {
        match self {
            Self::Client(network) => Key::Client(network),
            Self::Text(text) => Key::Text(text.into()),
            Self::Digest(digest) => Key::Digest(digest),
        }
    }

    /// The name under which replicas share this key: the same everywhere, and no address, subject
    /// or header value can be read from it.
    pub(super) fn fingerprint(self) -> [u8; 16] {
        match self {
            Self::Client(network) => truncated_sha256(&[b"client:", &network]),
            Self::Text(text) => truncated_sha256(&[b"text:", text.as_bytes()]),
            Self::Digest(digest) => truncated_sha256(&[b"digest:", &digest]),
        }
    }
}

/// The first 128 bits of SHA-256.
fn truncated_sha256(parts: &[&[u8]]) -> [u8; 16] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut truncated = [0; 16];
    for (to, from) in truncated.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    truncated
}

/// IPv4 whole, also when it comes mapped into IPv6; IPv6 by /64, since a client can take any
/// address below its prefix.
fn network(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).octets()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Probe<'static> {
        KeyRef::Client(address.parse().unwrap()).probe()
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }

    #[test]
    fn ipv6_clients_are_grouped_by_their_prefix() {
        assert_eq!(client("2001:db8:0:1::1"), client("2001:db8:0:1:ffff::2"));
        assert_ne!(client("2001:db8:0:1::1"), client("2001:db8:0:2::1"));
        assert_ne!(client("::1"), client("0.0.0.0"));
    }

    #[test]
    fn a_long_text_is_kept_as_its_digest_and_cannot_be_imitated() {
        let long = "x".repeat(8_192);
        let probe = KeyRef::Text(&long).probe();
        let Probe::Digest(digest) = probe else { panic!("kept whole") };
        assert_eq!(KeyRef::Text(&long).probe(), probe);
        assert_ne!(KeyRef::Text(&"x".repeat(8_191)).probe(), probe);
        let imitation = format!("{digest:02x?}");
        assert_ne!(KeyRef::Text(&imitation).probe(), probe);
    }

    #[test]
    fn the_fingerprint_does_not_carry_the_key() {
        let hex = |probe: Probe<'_>| format!("{:032x}", u128::from_be_bytes(probe.fingerprint()));
        // printf 'text:alice' | sha256sum | cut -c1-32
        assert_eq!(hex(KeyRef::Text("alice").probe()), "c06591fa61e4f0e75563e75d73fd4f45");
        assert_ne!(hex(KeyRef::Text("alice").probe()), hex(KeyRef::Text("alicf").probe()));
    }
}
