use super::*;

/// An answer with these headers, one a line.
fn answer(status: u16, headers: &str) -> Parts {
    let (mut parts, ()) = http::Response::builder().status(status).body(()).unwrap().into_parts();
    for line in headers.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        parts.headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    parts
}

/// What is left of them, sorted.
fn left(parts: &Parts) -> String {
    let line =
        |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
    let mut lines: Vec<_> = parts.headers.iter().map(line).collect();
    lines.sort();
    lines.join("\n")
}

#[track_caller]
fn becomes(status: u16, headers: &str, client: Version, expected: &str) {
    let mut parts = answer(status, headers);
    make_ours(&mut parts, client).unwrap();
    assert_eq!(left(&parts), expected, "{status} {client:?} {headers}");
    assert_eq!(parts.version, Version::HTTP_11);
}

#[test]
fn what_was_meant_for_the_gateway_stays_with_it() {
    let new = Version::HTTP_11;
    let app = "content-type: a/b\nx-app: 1";
    for headers in [
        "Connection: keep-alive\nKeep-Alive: timeout=600, max=100",
        "Connection: close",
        "Upgrade: h2,h2c\nConnection: Upgrade, Keep-Alive",
        "Connection: X-Hop, x-other\nX-Hop: 1\nX-Hop: 2\nX-Other: 3",
        "Connection: X-Hop\nConnection: close, ,X-OTHER\nX-Hop: 1\nX-Other: 3",
        "Proxy-Connection: keep-alive\nTE: trailers\nTrailer: X-T",
        "Proxy-Authenticate: Basic realm=a\nProxy-Authentication-Info: a",
        "Connection: \u{1}, a b, \"x\", connection, upgrade",
    ] {
        // A value that cannot be written is none that an upstream can send.
        let headers = headers.replace('\u{1}', "");
        becomes(200, &format!("{headers}\n{app}"), new, app);
    }
}

#[test]
fn connection_cannot_take_away_what_is_meant_for_everybody() {
    let kept = "cache-control: private\ncontent-encoding: gzip\ncontent-length: 2\n\
                content-security-policy: a\nset-cookie: a=1\nvary: Origin";
    let connection = "Connection: Content-Length, Cache-Control, Set-Cookie, vary, \
                      content-encoding, Content-Security-Policy, Transfer-Encoding";
    becomes(200, &format!("{connection}\n{kept}"), Version::HTTP_11, kept);
    let chunked = "transfer-encoding: chunked";
    becomes(200, &format!("{connection}\n{chunked}"), Version::HTTP_11, chunked);
}

#[test]
fn a_switch_of_protocols_keeps_its_handshake_and_no_more() {
    let sent = "Connection: Upgrade, X-Hop\nUpgrade: websocket\nSec-WebSocket-Accept: a\n\
                X-Hop: 1\nKeep-Alive: timeout=5\nContent-Length: 0";
    let expected = "connection: Upgrade\nsec-websocket-accept: a\nupgrade: websocket";
    becomes(101, sent, Version::HTTP_11, expected);
}

#[test]
fn a_length_is_told_once() {
    let new = Version::HTTP_11;
    for headers in ["Content-Length: 2, 2", "Content-Length: 2\nContent-Length: 2"] {
        becomes(200, headers, new, "content-length: 2");
    }
    for status in [200, 206, 304, 404] {
        becomes(status, "Content-Length: 4", new, "content-length: 4");
    }
    // RFC 9110 section 8.6.
    for status in [102, 103, 204] {
        becomes(status, "Content-Length: 4", new, "");
        becomes(status, "Transfer-Encoding: chunked", new, "");
    }
    becomes(
        200,
        "Transfer-Encoding: chunked\nContent-Length: 4",
        new,
        "transfer-encoding: chunked",
    );
}

#[test]
fn framing_with_more_than_one_reading_is_refused() {
    let cases = [
        ("Content-Length: 2, 3", FaultyFraming::Length),
        ("Content-Length: 2\nContent-Length: 3", FaultyFraming::Length),
        ("Content-Length: +2", FaultyFraming::Length),
        ("Content-Length: ", FaultyFraming::Length),
        ("Content-Length: 2,", FaultyFraming::Length),
        ("Content-Length: 0x2", FaultyFraming::Length),
        ("Content-Length: 18446744073709551616", FaultyFraming::Length),
        ("Transfer-Encoding: identity", FaultyFraming::Coding),
        ("Transfer-Encoding: gzip, chunked", FaultyFraming::Coding),
        ("Transfer-Encoding: chunked, identity", FaultyFraming::Coding),
        ("Transfer-Encoding: xchunked", FaultyFraming::Coding),
        ("Transfer-Encoding: ", FaultyFraming::Coding),
        ("Transfer-Encoding: chunked\nTransfer-Encoding: chunked", FaultyFraming::Coding),
    ];
    for (headers, fault) in cases {
        for status in [103, 200, 204, 304] {
            let mut parts = answer(status, headers);
            assert_eq!(make_ours(&mut parts, Version::HTTP_11), Err(fault), "{status} {headers}");
        }
    }
}

#[test]
fn an_old_upstream_is_not_heard_through() {
    let mut parts = answer(200, "Content-Length: 2");
    parts.version = Version::HTTP_10;
    make_ours(&mut parts, Version::HTTP_11).unwrap();
    assert_eq!(parts.version, Version::HTTP_11);

    let mut parts = answer(200, "Transfer-Encoding: chunked");
    parts.version = Version::HTTP_10;
    assert_eq!(make_ours(&mut parts, Version::HTTP_11), Err(FaultyFraming::OldCoding));
}

#[test]
fn an_old_client_is_sent_no_coding() {
    let sent = "Transfer-Encoding: Chunked\nX-App: 1";
    becomes(200, sent, Version::HTTP_10, "x-app: 1");
    becomes(200, sent, Version::HTTP_11, "transfer-encoding: Chunked\nx-app: 1");
    becomes(200, "Content-Length: 2", Version::HTTP_10, "content-length: 2");
}
