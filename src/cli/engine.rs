//! `auth-gateway engine`: OpenFGA's HTTP API on the embedded engine, for development and tests.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use fga_engine::persist::PersistError;
use fga_engine::{Engine, api};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::refuse;

/// How often changed stores are written to the snapshot file.
const SAVE_INTERVAL: Duration = Duration::from_secs(5);

/// OpenFGA's own port, on loopback: the engine asks nobody for a key.
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where it listens; nobody is asked for a key [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Loaded at the start if it exists, written when stores have changed and at the end
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum EngineFault {
    #[error("{0:?} is not an address and port like 127.0.0.1:8080")]
    Address(String),
    #[error("cannot listen on {addr}: {cause}")]
    Listen { addr: SocketAddr, cause: std::io::Error },
    #[error("cannot use the snapshot {}: {cause}", path.display())]
    Snapshot { path: PathBuf, cause: PersistError },
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Serves until SIGTERM or SIGINT; `listen` stood before the command's word.
pub(super) fn run(options: &Options, listen: Option<&str>) -> ExitCode {
    let listen = options.listen.as_deref().or(listen).unwrap_or(DEFAULT_LISTEN);
    let served = tokio::runtime::Runtime::new()
        .map_err(EngineFault::from)
        .and_then(|runtime| runtime.block_on(serve(options, listen)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse("the engine does not run", &error),
    }
}

async fn serve(options: &Options, listen: &str) -> Result<(), EngineFault> {
    let engine = Arc::new(Engine::default());
    let snapshot = options.snapshot.as_deref();
    if let Some(path) = snapshot.filter(|path| path.exists()) {
        engine.restore(path).map_err(|cause| EngineFault::Snapshot { path: path.into(), cause })?;
    }
    let addr = listen.parse().map_err(|_| EngineFault::Address(listen.to_owned()))?;
    let listener =
        TcpListener::bind(addr).await.map_err(|cause| EngineFault::Listen { addr, cause })?;
    println!("OpenFGA's API on http://{}", listener.local_addr()?);
    let stopped = stop_signal()?;
    let served =
        axum::serve(listener, api::router(Arc::clone(&engine))).with_graceful_shutdown(stopped);
    match snapshot {
        None => served.await?,
        Some(path) => {
            tokio::select! {
                served = served => served?,
                () = keep_saved(&engine, path) => {}
            }
            save(&engine, path)?;
        }
    }
    Ok(())
}

async fn keep_saved(engine: &Engine, path: &Path) {
    let mut saved = fingerprint(engine);
    loop {
        tokio::time::sleep(SAVE_INTERVAL).await;
        let current = fingerprint(engine);
        if current != saved {
            match save(engine, path) {
                Ok(()) => saved = current,
                Err(error) => eprintln!("auth-gateway: {error}"),
            }
        }
    }
}

/// Differs after every change of a store, a model or a tuple.
fn fingerprint(engine: &Engine) -> Vec<(String, usize, u64)> {
    let stores = engine.stores();
    stores.iter().map(|s| (s.id().to_owned(), s.models().len(), s.revision())).collect()
}

fn save(engine: &Engine, path: &Path) -> Result<(), EngineFault> {
    engine.save(path).map_err(|cause| EngineFault::Snapshot { path: path.into(), cause })
}

fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
