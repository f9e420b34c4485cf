//! Pingora with nothing in it: the floor that the gateway is measured against.
//!
//! `bare_pingora LISTEN UPSTREAM [tells]`, both as `address:port`. One worker thread, Pingora's defaults.
//! With `tells` it writes what the gateway writes, in the same way, without having decided anything:
//! headers to both sides and a line of the access log, all of them constants.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up should stop")]

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::Error;
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Bare(HttpPeer);

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _ctx: &mut (),
    ) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(self.0.clone()))
    }
}

struct Tells {
    peer: HttpPeer,
    lines: Arc<Mutex<Vec<u8>>>,
}

/// As long as those of the gateway's; `x-request-id` goes to both sides.
const TO_UPSTREAM: [(&str, &str); 6] = [
    ("x-forwarded-for", "127.0.0.1"),
    ("x-forwarded-host", "api.example.com"),
    ("x-forwarded-proto", "http"),
    ("x-user-id", "281234567890000000"),
    ("x-request-id", "0198c0de-0000-7000-8000-000000000000"),
    ("via", "1.1 auth-gateway"),
];
const TO_CLIENT: [(&str, &str); 6] = [
    ("x-request-id", "0198c0de-0000-7000-8000-000000000000"),
    ("access-control-allow-origin", "https://app.example.com"),
    ("access-control-allow-credentials", "true"),
    ("access-control-expose-headers", "ratelimit, ratelimit-policy, retry-after"),
    ("ratelimit-policy", "\"principal\";q=1000000;w=60"),
    ("ratelimit", "\"principal\";r=999999;t=60"),
];
const LINE_BYTES: usize = 420;

fn tell(headers: &mut HeaderMap, told: &'static [(&str, &str)]) {
    headers.reserve(told.len());
    for (name, value) in told {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

#[async_trait]
impl ProxyHttp for Tells {
    type CTX = ();

    fn new_ctx(&self) {}

    fn init_downstream_modules(&self, _modules: &mut pingora::modules::http::HttpModules) {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _ctx: &mut (),
    ) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(self.peer.clone()))
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        _ctx: &mut (),
    ) -> pingora::Result<()> {
        let (empty, ()) = http::Request::new(()).into_parts();
        let taken = std::mem::replace(request, RequestHeader::from(empty));
        let mut parts: http::request::Parts = taken.into();
        tell(&mut parts.headers, &TO_UPSTREAM);
        *request = RequestHeader::from(parts);
        Ok(())
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        _ctx: &mut (),
    ) -> pingora::Result<()> {
        let (empty, ()) = http::Response::new(()).into_parts();
        let taken = std::mem::replace(response, ResponseHeader::from(empty));
        let mut parts: http::response::Parts = taken.into();
        tell(&mut parts.headers, &TO_CLIENT);
        *response = ResponseHeader::from(parts);
        Ok(())
    }

    async fn logging(&self, _session: &mut Session, _error: Option<&Error>, _ctx: &mut ()) {
        let mut line = [b'-'; LINE_BYTES];
        line[LINE_BYTES - 1] = b'\n';
        self.lines.lock().extend_from_slice(&line);
    }
}

/// Writes to standard output, from a thread of its own, what has come within a few milliseconds.
fn written_lines() -> Arc<Mutex<Vec<u8>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&lines);
    std::thread::spawn(move || {
        let mut batch = Vec::new();
        loop {
            std::thread::sleep(Duration::from_millis(5));
            std::mem::swap(&mut *shared.lock(), &mut batch);
            std::io::stdout().write_all(&batch).expect("somebody reads");
            batch.clear();
        }
    });
    lines
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next();
    let (listen, upstream) = next().zip(next()).expect("two arguments: LISTEN UPSTREAM");
    let peer = HttpPeer::new(&*upstream, false, String::new());
    if next().is_some() {
        serve(Tells { peer, lines: written_lines() }, &listen);
    } else {
        serve(Bare(peer), &listen);
    }
}

fn serve<P: ProxyHttp<CTX = ()> + Send + Sync + 'static>(proxy: P, listen: &str) {
    let conf = ServerConf { threads: 1, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut proxy = pingora_proxy::http_proxy_service(&server.configuration, proxy);
    proxy.add_tcp(listen);
    server.add_service(proxy);
    server.run_forever();
}
