//! When background work ends.

use tokio::sync::watch;

/// Returns once `shutdown` is true or nobody can set it any more.
pub(super) async fn requested(shutdown: &mut watch::Receiver<bool>) {
    // The guard inside the result must not live on: it would make the caller's future not `Send`.
    let _ = shutdown.wait_for(|stop| *stop).await;
}
