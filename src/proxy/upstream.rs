//! Upstreams: names resolved in the background, peers made in advance.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use pingora::upstreams::peer::{HttpPeer, PeerOptions};
use tokio::sync::watch;
use url::Url;

/// What an upstream sees as Host.
#[derive(Debug, Clone)]
pub enum HostHeader {
    /// What the client sent.
    Client,
    /// Always this.
    Fixed {
        /// Host, with its port where it is not the scheme's own.
        host: HeaderValue,
        /// `http` or `https`, when the configuration says it with the host.
        scheme: Option<&'static str>,
    },
}

/// One upstream as configured.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Name that rules use.
    pub name: String,
    /// `http` or `https`, host and port; a path is refused by the configuration.
    pub url: Url,
    /// Its own authority, for requests that come without a host.
    pub authority: HeaderValue,
    /// Host to send.
    pub host: HostHeader,
    /// Whether the client's Authorization goes along.
    pub forward_credentials: bool,
    /// Deadline of a connection, TLS included.
    pub connect_timeout: Duration,
    /// Longest silence while it answers.
    pub read_timeout: Duration,
    /// Longest stall while it takes the request.
    pub write_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Time between two look-ups of the name.
    pub resolve_interval: Duration,
}

/// An upstream in use.
#[derive(Debug)]
pub struct Upstream {
    /// As configured.
    pub settings: UpstreamSettings,
    peers: ArcSwap<Vec<HttpPeer>>,
    next: AtomicUsize,
}

impl Upstream {
    /// An upstream whose name has not been looked up yet, unless it is an address.
    pub fn new(settings: UpstreamSettings) -> Self {
        let upstream =
            Self { settings, peers: ArcSwap::from_pointee(Vec::new()), next: AtomicUsize::new(0) };
        let port = upstream.port();
        let literal = match upstream.settings.url.host() {
            Some(url::Host::Ipv4(ip)) => Some(SocketAddr::new(ip.into(), port)),
            Some(url::Host::Ipv6(ip)) => Some(SocketAddr::new(ip.into(), port)),
            Some(url::Host::Domain(_)) | None => None,
        };
        if let Some(addr) = literal {
            upstream.set_addresses(&[addr]);
        }
        upstream
    }

    /// The next peer in turn; `None` while the name has no address.
    pub fn peer(&self) -> Option<Box<HttpPeer>> {
        let peers = self.peers.load();
        let turn = match peers.len() {
            0 | 1 => 0,
            len => self.next.fetch_add(1, Ordering::Relaxed) % len,
        };
        peers.get(turn).cloned().map(Box::new)
    }

    /// Whether it is configured by name, so that there is something to look up.
    pub fn has_name(&self) -> bool {
        self.settings.url.domain().is_some()
    }

    /// Looks the name up now and then, until `shutdown`.
    pub async fn keep_resolved(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let Some(url::Host::Domain(host)) = self.settings.url.host() else { return };
        let name = (host.to_owned(), self.port());
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
            let pause = if known.is_empty() {
                Duration::from_secs(1)
            } else {
                self.settings.resolve_interval
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = shutdown.changed() => return,
            }
        }
    }

    fn set_addresses(&self, addresses: &[SocketAddr]) {
        let peers = addresses.iter().map(|addr| self.make_peer(*addr)).collect();
        self.peers.store(Arc::new(peers));
    }

    fn make_peer(&self, addr: SocketAddr) -> HttpPeer {
        let settings = &self.settings;
        let is_tls = settings.url.scheme() == "https";
        // An empty SNI would switch certificate verification off; without TLS it is one string less
        // to copy for every request.
        let host = if is_tls { settings.url.host_str().unwrap_or("invalid") } else { "" };
        let sni = host.trim_matches(['[', ']']).to_owned();
        let mut peer = HttpPeer::new(addr, is_tls, sni);
        let mut options = PeerOptions::new();
        options.connection_timeout = Some(settings.connect_timeout);
        options.total_connection_timeout = Some(settings.connect_timeout);
        // The read timeout is set for requests that need one: else the client's connection minds the
        // upstream's silence.
        options.write_timeout = Some(settings.write_timeout);
        options.idle_timeout = Some(settings.idle_timeout);
        peer.options = options;
        peer
    }

    fn port(&self) -> u16 {
        self.settings.url.port_or_known_default().unwrap_or(80)
    }
}
