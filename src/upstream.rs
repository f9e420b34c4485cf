//! Upstreams: where admitted requests go, and which of an upstream's addresses gets one.
//!
//! An [`Upstream`] has a name that is looked up in the background (`resolve.rs`) and a peer made in advance
//! for each address. A request takes turns, and avoids who has failed (`addresses.rs`, `health.rs`) until a
//! probe gets through (`probe.rs`). A new connection races the others of its name (`connect.rs`,
//! `race.rs`); one for a WebSocket is patient beside that (`patient.rs`). What a request has tried, and may
//! still try, are its [`Attempts`], which travel with it.
//!
//! The room knows Pingora's peers and connectors, and nothing of clients, rules or verdicts: whoever has an
//! admission asks it for a peer ([`Upstream::peer`]) and tells it of a connection that could not be made
//! ([`Upstream::miss`]).

mod addresses;
mod attempts;
mod connect;
mod failure;
mod health;
mod patient;
mod probe;
mod race;
mod resolve;
mod settings;
#[cfg(test)]
mod tests;

pub use attempts::Attempts;
pub use failure::describe;
pub use settings::{HostHeader, UpstreamSettings};

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::prelude::Error;
use pingora::upstreams::peer::{HttpPeer, Peer, PeerOptions};
use prometheus::IntCounter;

use crate::clock::{Clock, Now};
use addresses::Addresses;
use attempts::allowance;
use connect::{HappyEyeballs, Miss};
use health::Health;
use patient::PatientConnect;

/// RFC 8305 section 5.
const HEAD_START: Duration = Duration::from_millis(250);

/// Pool of the connections that were made for upgrades.
const UPGRADES: u64 = 1;

/// An upstream in use.
#[derive(Debug)]
pub struct Upstream {
    /// As configured.
    pub settings: UpstreamSettings,
    targets: ArcSwap<Targets>,
    next: AtomicUsize,
    health: Arc<Health>,
}

/// What one look-up of the name has led to.
#[derive(Debug, Default)]
struct Targets {
    addresses: Addresses,
    /// In the order of the addresses.
    peers: Vec<HttpPeer>,
}

impl Upstream {
    /// An upstream whose name has not been looked up yet, unless it is an address. `failures` counts
    /// attempts to connect.
    pub fn new(settings: UpstreamSettings, failures: IntCounter) -> Self {
        let upstream = Self {
            health: Arc::new(Health::new(settings.name.clone(), failures)),
            settings,
            targets: ArcSwap::default(),
            next: AtomicUsize::new(0),
        };
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

    /// The peer for the next attempt; `None` while the name has no address.
    pub fn peer(&self, attempts: &mut Attempts, clock: &dyn Clock) -> Option<Box<HttpPeer>> {
        let targets = self.targets.load();
        let [_, _, ..] = &*targets.peers else {
            return targets.peers.first().cloned().map(Box::new);
        };
        let now = clock.now();
        let chosen = attempts.begin(now).and_then(|at| targets.addresses.position(at));
        let position = chosen.or_else(|| targets.addresses.pick(self.turn(), attempts.tried()))?;
        let mut peer = targets.peers.get(position).cloned().map(Box::new)?;
        let tried = attempts.tried().len();
        if tried > 0 {
            let left = attempts.time_left(now, self.settings.connect_timeout);
            let has_others = tried + 1 < targets.peers.len();
            peer.options.total_connection_timeout =
                Some(allowance(left, peer.is_tls(), has_others));
            // What has failed this request must not win its race again.
            peer.options.custom_l4 = Some(Arc::new(self.connector(attempts)));
        }
        Some(peer)
    }

    /// No connection to `peer` could be made. Whether another attempt can.
    pub fn miss(
        &self,
        peer: &HttpPeer,
        (error, cause): (&Error, &dyn Display),
        attempts: &mut Attempts,
        now: Now,
    ) -> bool {
        let targets = self.targets.load();
        let Some(address) = peer.address().as_inet().copied() else { return false };
        let next = match Miss::behind(error) {
            Some(Miss::Everywhere(_)) => return false,
            Some(Miss::Elsewhere(winner)) => Some(*winner),
            None => {
                if let Some(known) = targets.addresses.iter().find(|known| known.at == address) {
                    self.health.failed(known, cause);
                }
                let tried = [attempts.tried(), &[address]].concat();
                let position = targets.addresses.pick(self.turn(), &tried);
                position.and_then(|position| targets.addresses.iter().nth(position)).map(|a| a.at)
            }
        };
        attempts.miss(address, next, (now, self.settings.connect_timeout))
    }

    /// How to connect to one of those of its addresses that have not been tried.
    fn connector(&self, attempts: &Attempts) -> HappyEyeballs {
        self.racing(self.targets.load().addresses.without(attempts.tried()))
    }

    /// Makes `peer` one for a protocol upgrade.
    pub fn upgrade(&self, peer: &mut HttpPeer, attempts: &Attempts) {
        peer.options.custom_l4 = Some(Arc::new(PatientConnect(self.connector(attempts))));
        // Never one of the pooled connections, which are not patient.
        peer.group_key = UPGRADES;
    }

    fn racing(&self, addresses: Addresses) -> HappyEyeballs {
        let head_start = HEAD_START.min(self.settings.connect_timeout / 2);
        HappyEyeballs { addresses, health: Arc::clone(&self.health), head_start }
    }

    fn turn(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether it is configured by name, so that there is something to look up.
    pub fn has_name(&self) -> bool {
        self.settings.url.domain().is_some()
    }

    fn set_addresses(&self, found: &[SocketAddr]) {
        let addresses = self.targets.load().addresses.renewed(found);
        let mut peers: Vec<_> = found.iter().map(|addr| self.make_peer(*addr)).collect();
        // A single address has nobody to race with.
        if peers.len() > 1 {
            let connector = Arc::new(self.racing(addresses.clone()));
            for peer in &mut peers {
                let time = allowance(self.settings.connect_timeout, peer.is_tls(), true);
                peer.options.total_connection_timeout = Some(time);
                peer.options.custom_l4 = Some(Arc::clone(&connector) as _);
            }
        }
        self.targets.store(Arc::new(Targets { addresses, peers }));
    }

    /// A peer for one address alone.
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
