//! What can go wrong with an issuer, on demand.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

/// How the endpoints misbehave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Not at all.
    #[default]
    None,
    /// Every endpoint answers with this status.
    Status(u16),
    /// Every endpoint keeps the caller waiting until the fault changes.
    Hang,
    /// Every endpoint answers 200 with a page of HTML, as a login wall would.
    Html,
    /// The key set has no keys.
    EmptyKeySet,
    /// The discovery document names another issuer.
    WrongIssuer,
}

/// How often each endpoint was called since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// `/.well-known/openid-configuration`
    pub discovery: u64,
    /// `/oauth/v2/keys`
    pub keys: u64,
    /// `/oauth/v2/introspect`
    pub introspection: u64,
    /// Different proofs that clients have shown there.
    pub assertions: usize,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) discovery: AtomicU64,
    pub(super) keys: AtomicU64,
    pub(super) introspection: AtomicU64,
    /// Their `jti`.
    pub(super) assertions: Mutex<HashSet<String>>,
}

impl Counters {
    pub(super) fn read(&self) -> Hits {
        Hits {
            discovery: self.discovery.load(Ordering::SeqCst),
            keys: self.keys.load(Ordering::SeqCst),
            introspection: self.introspection.load(Ordering::SeqCst),
            assertions: self.assertions.lock().len(),
        }
    }
}

#[derive(Debug)]
pub(super) struct FaultSwitch(watch::Sender<Fault>);

impl FaultSwitch {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Fault::None))
    }

    pub(super) fn set(&self, fault: Fault) {
        self.0.send_replace(fault);
    }

    /// The fault in force, once it is no longer [`Fault::Hang`].
    pub(super) async fn after_hanging(&self) -> Fault {
        let mut fault = self.0.subscribe();
        // The sender lives as long as `self`: waiting cannot fail.
        fault.wait_for(|fault| *fault != Fault::Hang).await.map(|fault| *fault).unwrap_or_default()
    }
}
