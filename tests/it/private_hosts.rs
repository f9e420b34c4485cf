//! Private answers are for who knows whom he asks: a page whose name has come to resolve to a private
//! address is of our own origin for its browser (DNS rebinding).

use crate::support::{World, story};

const PRIVATE: [&str; 2] = ["/metrics", "/stores/x"];

/// The answer to a GET under this name; none is sent when it is empty, as HTTP/1.0 allows.
async fn get(world: &World, path: &str, host: &str) -> crate::support::reply::Reply {
    let request = match host {
        "" => format!("GET {path} HTTP/1.0\r\n\r\n"),
        host => {
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: same-origin\r\n\r\n")
        }
    };
    world.gateway.raw(request).await.unwrap()
}

#[test]
fn a_name_that_anybody_can_have_gets_no_private_answer() {
    story(async {
        let world = World::lease().await;
        for host in [
            "evil.example",
            "EVIL.example:3000",
            "evil.localhost",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "auth-gateway",
            "",
        ] {
            for path in PRIVATE {
                get(&world, path, host).await.refused(403, "private_only");
            }
        }
        world.saw_nothing();
    });
}

#[test]
fn an_absolute_target_names_a_host_too() {
    story(async {
        let world = World::lease().await;
        for path in PRIVATE {
            let evil =
                format!("GET http://evil.example{path} HTTP/1.1\r\nHost: evil.example\r\n\r\n");
            world.gateway.raw(evil).await.unwrap().refused(403, "private_only");
            let alone = format!("GET http://evil.example{path} HTTP/1.0\r\n\r\n");
            world.gateway.raw(alone).await.unwrap().refused(403, "private_only");
        }
        world.saw_nothing();
    });
}

#[test]
fn addresses_and_localhost_are_nobodys_names() {
    story(async {
        let world = World::lease().await;
        let port = world.gateway.port();
        for host in
            ["10.1.2.3", "127.0.0.1:3000", "[::1]:3000", "localhost", "LOCALHOST.", "203.0.113.1"]
        {
            get(&world, "/metrics", host).await.is(200);
            // OpenFGA knows no such store.
            assert_ne!(get(&world, "/stores/x", host).await.status, 403, "{host}");
        }
        get(&world, "/metrics", &format!("localhost:{port}")).await.is(200);
    });
}

#[test]
fn callers_inside_use_the_names_that_are_listed() {
    story(async {
        let names = "auth-gateway, Auth-Gateway.prod.svc, *.svc.cluster.local";
        let world = World::build().env("PRIVATE_HOSTS", names).start().await;
        for host in [
            "auth-gateway:3000",
            "auth-gateway.prod.svc",
            "a.prod.svc.cluster.local:3000",
            "127.0.0.1",
        ] {
            get(&world, "/metrics", host).await.is(200);
            assert_ne!(get(&world, "/stores/x", host).await.status, 403, "{host}");
        }
        for host in ["svc.cluster.local", "auth-gateway.evil.example", "evil.example"] {
            for path in PRIVATE {
                get(&world, path, host).await.refused(403, "private_only");
            }
        }
        // A name is not enough: somebody stands between.
        let relayed = world.gateway.get("/metrics").header("Host", "auth-gateway");
        relayed.header("CDN-Loop", "cdn").send().await.refused(403, "private_only");
        world.saw_nothing();
    });
}

#[test]
fn the_admin_listener_answers_to_hosts_that_it_knows() {
    story(async {
        let world = World::build().set("admin.hosts", "ops.internal").start().await;
        let ask = |line: &str, host: &str| {
            format!("{line} HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: same-origin\r\n\r\n")
        };
        let status = async |request: String| world.gateway.raw_admin(request).await.status;
        for host in ["127.0.0.1:3001", "[::1]", "localhost:3001", "x.localhost", "OPS.internal:1"] {
            assert_eq!(status(ask("GET /rules", host)).await, 200, "{host}");
            assert_eq!(status(ask("POST /reload", host)).await, 200, "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "ops.internal.evil.example", "internal"]
        {
            for line in ["GET /livez", "GET /metrics", "GET /rules", "POST /reload"] {
                assert_eq!(status(ask(line, host)).await, 421, "{host} {line}");
            }
        }
        assert_eq!(status("GET /metrics HTTP/1.0\r\n\r\n".to_owned()).await, 421);
    });
}

#[test]
fn pages_of_other_origins_change_nothing_on_the_admin_listener() {
    story(async {
        let world = World::lease().await;
        let reload = async |lines: &str| {
            let head = format!("POST /reload HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
            world.gateway.raw_admin(head).await.status
        };
        assert_eq!(reload("").await, 200);
        let ours = "Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n";
        assert_eq!(reload(ours).await, 200);
        for lines in [
            "Origin: https://evil.example\r\n",
            "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n",
            "Origin: http://localhost:9\r\nSec-Fetch-Site: same-site\r\n",
            "Origin: null\r\n",
        ] {
            assert_eq!(reload(lines).await, 403, "{lines}");
        }
    });
}

#[test]
fn the_issuer_of_developers_makes_no_token_for_a_page_under_a_strange_name() {
    story(async {
        let world = World::lease().await;
        let get = async |host: &str| {
            let keys = format!("{}/.well-known/openid-configuration", world.issuer.url());
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            client.get(keys).header("Host", host).send().await.unwrap().status().as_u16()
        };
        assert_eq!(get("localhost").await, 200);
        assert_eq!(get("evil.example").await, 421);
    });
}

#[test]
fn requests_that_are_not_private_may_come_under_any_name() {
    story(async {
        let world = World::lease().await;
        get(&world, "/health", "evil.example").await.is(200);
        get(&world, "/health", "").await.is(200);
        get(&world, "/public/page", "shop.example.com").await.is(200);
        assert_eq!(world.upstream.only_request().headers_named("host"), ["shop.example.com"]);
    });
}
