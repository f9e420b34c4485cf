//! Addresses that are avoided are tried beside the requests, so that no request has to.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use pingora::connectors::TransportConnector;
use pingora::upstreams::peer::HttpPeer;
use tokio::sync::watch;

use super::Upstream;
use super::addresses::Address;
use crate::proxy::account::describe;

/// Time between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

impl Upstream {
    /// Tries avoided addresses until they work again, until `shutdown`.
    pub async fn keep_probing(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let probing = async {
            loop {
                if !self.avoided().is_empty() {
                    self.probe_until_well().await;
                }
                self.health.worsens().await;
            }
        };
        tokio::select! {
            () = probing => {}
            _ = shutdown.changed() => {}
        }
    }

    async fn probe_until_well(&self) {
        // Holds the system's certificates, so that it is there only while it is needed.
        let connector = TransportConnector::new(None);
        loop {
            tokio::time::sleep(PAUSE).await;
            let avoided = self.avoided();
            if avoided.is_empty() {
                return;
            }
            let probes =
                avoided.iter().map(|(address, peer)| self.probe(&connector, address, peer));
            join_all(probes).await;
        }
    }

    /// A connection as requests make it, TLS included, and nothing on it.
    async fn probe(&self, connector: &TransportConnector, address: &Address, peer: &HttpPeer) {
        match connector.new_stream(peer).await {
            Ok(_) => self.health.works(address),
            Err(error) => self.health.failed(address, &describe(&error)),
        }
    }

    fn avoided(&self) -> Vec<(Arc<Address>, HttpPeer)> {
        let targets = self.targets.load();
        let avoided = targets.addresses.iter().filter(|address| address.is_avoided());
        avoided.map(|address| (Arc::clone(address), self.make_peer(address.at))).collect()
    }
}
