//! Where clients come in: an application of Pingora's behind `Connection`s.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

use super::connection::{Connection, PINGORA_WAITS};
use super::patience::{Awaited, Patience};
use super::refused::RefuseHeads;

/// What a traffic listener hands its streams to. Entrances may share what serves them, and with it the
/// connections to upstreams.
pub struct Entrance<A> {
    app: Arc<A>,
    patience: Patience,
    refusals: Arc<dyn RefuseHeads>,
}

impl<A> Entrance<A> {
    /// An entrance to `app`, whose heads that never become requests go to `refusals`.
    pub fn new(app: Arc<A>, patience: Patience, refusals: Arc<dyn RefuseHeads>) -> Self {
        Self { app, patience, refusals }
    }
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> ServerApp for Entrance<A> {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let connection = Connection::new(stream, self.patience, Arc::clone(&self.refusals));
        let mut session = ServerSession::new_http1(Box::new(connection));
        session.set_keepalive(Some(PINGORA_WAITS));
        let mut next = self.app.process_new_http(session, shutdown).await;
        while let Some((stream, settings)) = next.map(ReusedHttpStream::consume) {
            if let Some(connection) = Connection::of(&stream) {
                connection.awaits(Awaited::Request);
            }
            let mut session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
            next = self.app.process_new_http(session, shutdown).await;
        }
        None
    }

    async fn cleanup(&self) {
        self.app.http_cleanup().await;
    }
}
