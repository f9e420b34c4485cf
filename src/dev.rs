//! Everything that `auth-gateway dev` embeds beside the gateway: a ZITADEL-shaped issuer that gives
//! tokens to whoever asks, and a sample application.
//!
//! The integration tests use the same parts, so what a developer sees is what is tested.

pub mod app;
pub mod issuer;
mod server;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use fga_engine::{Engine, api};

use crate::clock::SharedClock;
use app::App;
use issuer::{Issuer, Settings};
use server::Server;

/// What stands around the gateway; it stops when dropped.
#[derive(Debug)]
pub struct Sandbox {
    issuer: Issuer,
    app: App,
    engine: Server,
}

/// Why the sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The issuer does not.
    #[error("issuer: {0}")]
    Issuer(#[from] issuer::StartError),
    /// No port is free.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Sandbox {
    /// Starts the issuer and the application on open listeners, the engine's API on a free port.
    pub async fn start(
        issuer: TcpListener,
        app: TcpListener,
        engine: Arc<Engine>,
        clock: SharedClock,
    ) -> Result<Self, SandboxError> {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(Self {
            issuer: Issuer::start_minting(issuer, Settings::default(), clock)?,
            app: App::on(app)?,
            engine: Server::start(anywhere, |_| api::router(engine)).await?,
        })
    }

    /// `iss` of the tokens.
    pub fn issuer_url(&self) -> &str {
        self.issuer.url()
    }

    /// An audience that the tokens are for.
    pub fn audience(&self) -> &str {
        &self.issuer.settings().project
    }

    /// Client id for introspection.
    pub fn client_id(&self) -> &str {
        &self.issuer.settings().client_id
    }

    /// Secret of that client.
    pub fn client_secret(&self) -> &str {
        &self.issuer.settings().client_secret
    }

    /// Base of OpenFGA's API.
    pub fn engine_url(&self) -> String {
        format!("http://{}", self.engine.address())
    }

    /// The sample application.
    pub fn app_url(&self) -> String {
        self.app.url()
    }
}
