//! An axum router on a socket that can be taken down, with all its connections, and put up again.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::rules::KnownHosts;

#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    router: Router,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    /// Binds first, so that a router may know its own address.
    pub(super) async fn start(
        listen: SocketAddr,
        router: impl FnOnce(SocketAddr) -> Router,
    ) -> io::Result<Self> {
        Self::on(TcpListener::bind(listen).await?.into_std()?, router)
    }

    /// The same on a listener that is open already.
    pub(super) fn on(
        listener: std::net::TcpListener,
        router: impl FnOnce(SocketAddr) -> Router,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let router = router(address).layer(from_fn(only_known_hosts));
        let running = tokio::spawn(serve(listener, router.clone()));
        Ok(Self { address, router, running: Mutex::new(Some(running)) })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns once the port refuses connections; open ones are cut.
    pub(super) async fn down(&self) {
        let running = self.running.lock().take();
        if let Some(task) = running {
            task.abort();
            // The result only says that the task was aborted.
            drop(task.await);
        }
    }

    /// Listens on the same port as before.
    pub(super) async fn up(&self) -> io::Result<()> {
        self.down().await;
        let listener = TcpListener::bind(self.address).await?;
        *self.running.lock() = Some(tokio::spawn(serve(listener, self.router.clone())));
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = self.running.lock().take() {
            task.abort();
        }
    }
}

/// A page whose name is made to resolve to the developer's machine gets no token.
async fn only_known_hosts(request: Request, next: Next) -> Response {
    let known = KnownHosts::default().with_names_below_localhost();
    if known.are_asked_by(request.headers()) {
        next.run(request).await
    } else {
        StatusCode::MISDIRECTED_REQUEST.into_response()
    }
}

/// Connections live in the task's own set: aborting the task aborts them.
async fn serve(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let service = TowerToHyperService::new(router.clone());
                    let connection =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    connections.spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "connection ended early");
                        }
                    });
                }
                Err(error) => tracing::warn!(%error, "cannot accept a connection"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
