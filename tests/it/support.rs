//! What the stories are told with. Everything that a story starts is its own, and ends with it.

pub mod attack;
pub mod browser;
pub mod gateway;
pub mod grpc_gateway;
pub mod http1;
pub mod issuer;
pub mod names;
pub mod openfga;
pub mod process;
pub mod recorder;
pub mod redis;
pub mod reply;
pub mod sockets;
pub mod tls;
pub mod upstream;
pub mod websocket;
pub mod world;

use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, MissedTickBehavior, interval};

pub use issuer::Mint;
pub use world::World;

/// One runtime for all stories: servers inside this process outlive the story that started them
/// first, and pooled connections keep their driver.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap());

/// Runs one story to its end.
pub fn story<T>(story: impl Future<Output = T>) -> T {
    RUNTIME.block_on(story)
}

/// Polls until `condition` gives a value; panics with `what` after `deadline`.
pub async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + deadline;
    let mut ticks = interval(Duration::from_millis(10));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
    }
}

pub const SOON: Duration = Duration::from_secs(10);
