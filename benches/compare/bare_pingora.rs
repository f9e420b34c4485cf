//! Pingora with nothing in it: the floor that the gateway is measured against.
//!
//! `bare_pingora LISTEN UPSTREAM`, both as `address:port`. One worker thread, Pingora's defaults.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up should stop")]

use async_trait::async_trait;
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

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("two arguments: LISTEN UPSTREAM");
    let (listen, upstream) = (next(), next());
    let peer = HttpPeer::new(&*upstream, false, String::new());
    let conf = ServerConf { threads: 1, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut proxy = pingora_proxy::http_proxy_service(&server.configuration, Bare(peer));
    proxy.add_tcp(&listen);
    server.add_service(proxy);
    server.run_forever();
}
