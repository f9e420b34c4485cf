//! Looking the name up now and then, and sooner when one of its addresses fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Upstream;

/// Time between look-ups while the name has no address.
const WITHOUT_ADDRESS: Duration = Duration::from_secs(1);
/// Time between look-ups while an address fails: servers that go leave their name, and those that
/// replace them join it. As long as Kubernetes' name service lets its answers be remembered.
const WHILE_FAILING: Duration = Duration::from_secs(5);

impl Upstream {
    /// Looks the name up now and then, until `shutdown`.
    pub async fn keep_resolved(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let Some(url::Host::Domain(host)) = self.settings.url.host() else { return };
        let name = (host.to_owned(), self.port());
        let mut news = self.health.news();
        let mut known: Vec<SocketAddr> = Vec::new();
        loop {
            match tokio::net::lookup_host(name.clone()).await {
                Ok(addresses) => {
                    let mut addresses: Vec<_> = addresses.collect();
                    addresses.sort_unstable();
                    addresses.dedup();
                    if addresses != known && !addresses.is_empty() {
                        self.set_addresses(&addresses);
                        known = addresses;
                    }
                }
                // Addresses that worked once stay in use through an outage of the name service.
                Err(error) => tracing::warn!(
                    upstream = %self.settings.name,
                    host = %name.0,
                    cause = %error,
                    "cannot resolve the upstream's name"
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(self.pause()) => {}
                Ok(()) = news.changed() => {}
                _ = shutdown.changed() => return,
            }
        }
    }

    fn pause(&self) -> Duration {
        let addresses = &self.targets.load().addresses;
        let interval = self.settings.resolve_interval;
        match addresses.len() {
            0 => WITHOUT_ADDRESS,
            _ if addresses.iter().any(|address| address.is_avoided()) => {
                interval.min(WHILE_FAILING)
            }
            _ => interval,
        }
    }
}
