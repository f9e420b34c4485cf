//! Addresses that are avoided are tried beside the requests, so that no request has to.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use pingora::connectors::TransportConnector;
use pingora::upstreams::peer::HttpPeer;
use tokio::sync::watch;

use super::Upstream;
use super::addresses::Address;
use super::failure::describe;

/// Time between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

impl Upstream {
    /// Tries avoided addresses until they work again, until `shutdown`.
    pub async fn keep_probing(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let mut news = self.health.news();
        // What was avoided before the job was started again.
        news.mark_changed();
        let probing = async {
            while news.changed().await.is_ok() {
                self.probe_until_well().await;
            }
        };
        tokio::select! {
            () = probing => {}
            _ = shutdown.changed() => {}
        }
    }

    async fn probe_until_well(&self) {
        // Holds the system's certificates, so that it is there only while it is needed.
        let mut connector = None;
        loop {
            let avoided = self.avoided();
            if avoided.is_empty() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
            let connector = connector.get_or_insert_with(|| TransportConnector::new(None));
            join_all(avoided.iter().map(|(address, peer)| self.probe(connector, address, peer)))
                .await;
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
