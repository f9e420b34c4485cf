//! Where clients come in: Pingora's proxy behind `Connection`s.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;

use super::Proxy;
use super::connection::{Awaited, Connection, Patience};
use super::refused_head::HeadRefusals;

/// The application of the traffic listener.
pub struct Entrance {
    proxy: Arc<HttpProxy<Proxy>>,
    patience: Patience,
    refusals: Arc<HeadRefusals>,
}

impl Entrance {
    /// The entrance of `proxy`.
    pub fn new(conf: &Arc<ServerConf>, proxy: Proxy, patience: Patience) -> Self {
        let refusals = Arc::new(proxy.head_refusals());
        Self { proxy: Arc::new(pingora_proxy::http_proxy(conf, proxy)), patience, refusals }
    }
}

#[async_trait]
impl ServerApp for Entrance {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let connection = Connection::new(stream, self.patience, Arc::clone(&self.refusals));
        let mut session = ServerSession::new_http1(Box::new(connection));
        session.set_keepalive(Some(PINGORA_WAITS));
        let mut next = self.proxy.process_new_http(session, shutdown).await;
        while let Some((stream, settings)) = next.map(ReusedHttpStream::consume) {
            if let Some(connection) = Connection::of(&stream) {
                connection.awaits(Awaited::Request);
            }
            let mut session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
            next = self.proxy.process_new_http(session, shutdown).await;
        }
        None
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

/// As a keep-alive time in seconds: for as long as the connection allows.
pub(super) const PINGORA_WAITS: u64 = 0;
