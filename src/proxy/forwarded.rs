//! The way that a request has come, as headers tell it: read of our own proxies, written for upstreams.

use std::net::IpAddr;

use compact_str::{CompactString, ToCompactString};
use http::header::{HOST, HeaderName};
use http::{HeaderMap, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What an upstream is told of the way.
pub(super) struct Way {
    chain: CompactString,
    proto: &'static str,
    host: Option<HeaderValue>,
}

impl Way {
    /// Reads what our own proxies say; whatever anybody else says is an invention.
    pub(super) fn of(headers: &HeaderMap, is_trusted_peer: bool) -> Self {
        let mut chain = CompactString::default();
        let mut host = None;
        if is_trusted_peer {
            for value in headers.get_all(X_FORWARDED_FOR) {
                let (text, is_whole) = readable_end(value.as_bytes());
                if !is_whole {
                    chain.clear();
                }
                if !text.is_empty() {
                    chain.push_str(text);
                    chain.push_str(", ");
                }
            }
            host = headers.get_all(X_FORWARDED_HOST).iter().next_back();
        }
        Self {
            chain,
            proto: scheme(headers, is_trusted_peer),
            host: host.or_else(|| headers.get(HOST)).cloned(),
        }
    }

    /// As if the client had asked for this host, whatever it has asked for.
    pub(super) fn goes_by(&mut self, host: &HeaderValue, scheme: Option<&'static str>) {
        self.host = Some(host.clone());
        self.proto = scheme.unwrap_or(self.proto);
    }

    /// Writes it down, with `peer` as its last station.
    pub(super) fn write(mut self, headers: &mut HeaderMap, peer: IpAddr) {
        self.chain.push_str(&address_text(peer));
        if let Ok(value) = HeaderValue::from_str(&self.chain) {
            headers.insert(X_FORWARDED_FOR, value);
        }
        if let Some(host) = self.host {
            headers.insert(X_FORWARDED_HOST, host);
        }
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(self.proto));
    }
}

/// By which the client has reached the first of our proxies, or this gateway.
pub(super) fn scheme(headers: &HeaderMap, is_trusted_peer: bool) -> &'static str {
    // Of several lines the last one is the nearest proxy's.
    let told = headers.get_all(X_FORWARDED_PROTO).iter().next_back();
    match told.filter(|_| is_trusted_peer).map(HeaderValue::as_bytes) {
        Some(b"https") => "https",
        _ => "http",
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_the_standard_library_writes_them() {
        for addr in ["0.0.0.0", "192.0.2.255", "10.1.20.100", "::1", "2001:db8::7"] {
            assert_eq!(address_text(addr.parse().unwrap()), addr);
        }
    }
}
