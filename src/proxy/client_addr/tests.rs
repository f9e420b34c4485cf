use super::*;

use crate::proxy::headers::names::{Kind, listed};

fn believing(trusted: &[&str]) -> ClientAddresses {
    let trusted = trusted.iter().map(|net| net.parse().unwrap()).collect();
    ClientAddresses::new(trusted, KnownHosts::default(), Arc::new(Names::new([])))
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    headers
}

fn client(trusted: &[&str], peer: &str, lines: &[(&str, &str)]) -> IpAddr {
    believing(trusted).find(peer.parse().unwrap(), &headers(lines))
}

/// Whether `peer` has private answers when it calls us by an address.
fn is_private_peer(trusted: &[&str], peer: &str, lines: &[(&str, &str)]) -> bool {
    let addresses = believing(trusted);
    addresses.is_private_peer(peer.parse().unwrap(), &headers(lines), Some("10.0.0.2"))
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
        let header = [("x-forwarded-for", value)];
        let found = client(trusted, peer, &header);
        assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {value}");
        assert!(!is_private_peer(trusted, peer, &header), "{peer} {value}");
    }
}

#[test]
fn several_header_lines_read_as_one_list() {
    let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4, 10.0.0.9")];
    assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &lines).to_string(), "1.2.3.4");
}

#[test]
fn bytes_that_are_no_text_hide_nobody() {
    let trusted = believing(&["10.0.0.0/8"]);
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
        assert_eq!(found.to_string(), expected, "{headers:?}");
    }
}

#[test]
fn a_page_of_another_origin_is_no_private_peer() {
    let is_private = |lines: &[(&str, &str)]| is_private_peer(&[], "10.1.2.3", lines);
    assert!(is_private(&[("sec-fetch-site", "none")]));
    assert!(is_private(&[("sec-fetch-site", "same-origin")]));
    assert!(!is_private(&[("sec-fetch-site", "cross-site")]));
    assert!(!is_private(&[("sec-fetch-site", "same-site")]));
    assert!(!is_private(&[("origin", "https://evil.example")]));
}

#[test]
fn only_a_direct_peer_on_the_private_network_is_private() {
    for peer in ["127.0.0.1", "10.1.2.3", "192.168.0.9", "100.64.0.1", "::1", "fd00::1"] {
        assert!(is_private_peer(&[], peer, &[("x-user-id", "x"), ("accept", "x")]), "{peer}");
    }
    assert!(!is_private_peer(&["10.0.0.0/8"], "10.0.0.1", &[]), "one of our proxies");
    for peer in ["8.8.8.8", "100.128.0.1", "2001:db8::1"] {
        assert!(!is_private_peer(&[], peer, &[]), "{peer}");
    }
}

#[test]
fn whatever_only_a_relay_sends_is_not_sent_by_a_private_peer() {
    let marks = listed().filter(|(kind, _)| matches!(kind, Kind::Way | Kind::Report | Kind::Hop));
    for (_, text) in marks {
        let name = text.trim_start_matches('-').replace('*', "-x");
        for spelling in [name.clone(), name.replace('-', "_"), format!("grpc-metadata-{name}")] {
            let sent = is_private_peer(&[], "10.1.2.3", &[(&spelling, "x")]);
            assert!(!sent, "{spelling}");
        }
    }
}

#[test]
fn private_peers_know_whom_they_ask() {
    let is_private = |host: Option<&str>| {
        let peer = "10.1.2.3".parse().unwrap();
        believing(&[]).is_private_peer(peer, &HeaderMap::new(), host)
    };
    assert!(is_private(Some("localhost")));
    assert!(!is_private(Some("evil.example")));
    assert!(!is_private(None), "HTTP/1.0 without Host");
}
