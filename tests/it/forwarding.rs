//! What upstreams are told of the way that a request has come.

use crate::support::{World, issuer, story};

async fn behind_a_proxy() -> World {
    World::build().env("TRUSTED_PROXIES", "127.0.0.0/8").start().await
}

#[test]
fn several_lines_of_a_trusted_proxy_read_as_one() {
    story(async {
        let world = behind_a_proxy().await;
        let headers = [
            ("X-Forwarded-For", "198.51.100.1"),
            ("X-Forwarded-For", "203.0.113.9"),
            ("X-Forwarded-Host", "first.example"),
            ("X-Forwarded-Host", "last.example"),
            ("X-Forwarded-Proto", "http"),
            ("X-Forwarded-Proto", "https"),
        ];
        let request = world.gateway.bytes("GET", "/public/page", &headers);
        world.gateway.raw(request).await.unwrap().is(200);
        let seen = world.upstream.only_request();
        let peer = world.gateway.client_address();
        let chain = seen.headers_named("x-forwarded-for").join(", ");
        assert_eq!(chain, format!("198.51.100.1, 203.0.113.9, {peer}"));
        assert_eq!(seen.headers_named("x-forwarded-host"), ["last.example"]);
        assert_eq!(seen.headers_named("x-forwarded-proto"), ["https"]);
    });
}

#[test]
fn a_trusted_proxy_that_tells_nothing_is_no_private_peer() {
    story(async {
        let world = behind_a_proxy().await;
        for path in ["/metrics", "/stores/x"] {
            world.gateway.get(path).send().await.refused(403, "private_only");
        }
        world.saw_nothing();
    });
}

#[test]
fn relatives_of_forwarding_headers_do_not_pass() {
    story(async {
        let world = behind_a_proxy().await;
        let names = ["X-Forwarded-Uri", "X_Forwarded_For", "transfer_encoding", "x-original-host"];
        let headers = names.map(|name| (name, "chunked"));
        let request = world.gateway.bytes("GET", "/public/page", &headers);
        world.gateway.raw(request).await.unwrap().is(200);
        let seen = world.upstream.only_request();
        for name in names {
            assert_eq!(seen.headers_named(name), [""; 0], "{name}: {seen:?}");
        }
    });
}

#[test]
fn zitadel_is_told_its_own_host_and_scheme() {
    story(async {
        let world = behind_a_proxy().await;
        let request = "GET /management/v1/users HTTP/1.1\r\nHost: evil.example\r\n\
            X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n\r\n";
        world.gateway.raw(request).await.unwrap().is(200);
        let seen = world.zitadel.only_request();
        let own = issuer::authority(&world.issuer);
        assert_eq!(seen.headers_named("host"), [own.as_str()]);
        assert_eq!(seen.headers_named("x-forwarded-host"), [own.as_str()]);
        assert_eq!(seen.headers_named("x-forwarded-proto"), ["http"]);
    });
}

#[test]
fn a_request_without_a_host_header_gets_one() {
    story(async {
        let world = World::lease().await;
        let absolute = "GET http://shop.example.com/public/page HTTP/1.0\r\n\r\n";
        world.gateway.raw(absolute).await.unwrap().is(200);
        let seen = world.upstream.only_request();
        assert_eq!(seen.target(), "/public/page");
        assert_eq!(seen.headers_named("host"), ["shop.example.com"]);

        world.gateway.raw("GET /public/page HTTP/1.0\r\n\r\n").await.unwrap().is(200);
        let seen = world.upstream.only_request();
        assert_eq!(seen.headers_named("host"), [world.upstream.authority()]);
    });
}
