//! The life of an issuer's keys: loaded, refreshed, looked up, given up.
//!
//! Readers take the current snapshot. A fetch that fails, or brings something that is no good key
//! set, leaves the snapshot as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::watch;

use self::fetch::{FetchError, KeySource};
use self::jwks::{KeySet, LeftOut};
use super::TokenError;
use super::algorithm::AlgorithmSet;
use super::jwt::Jws;
use crate::clock::{Now, SharedClock};

pub(in crate::authn) mod discovery;
mod ed25519;
pub(in crate::authn) mod fetch;
mod jwk;
pub(in crate::authn) mod jwks;
mod prepared;
mod roca;
#[cfg(test)]
mod tests;

/// Pause between attempts while there are no keys at all.
const RETRY_WITHOUT_KEYS: Duration = Duration::from_secs(1);
/// Longest pause after a failed refresh while the old keys serve.
const RETRY_WITH_KEYS: Duration = Duration::from_secs(15);
/// Time between two fetches that tokens may cause. Anybody can name a key that does not exist, which costs
/// the issuer twelve requests a minute at most; the tokens of a key that was published in between are
/// refused for so long at worst.
const COOL_DOWN: Duration = Duration::from_secs(5);
/// How long a request waits for the fetch that its token caused: enough for a handshake and two documents,
/// and less than clients give up after. The fetch itself goes on for whoever comes later.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// What all issuers' keys tell the rest of the process.
#[derive(Debug)]
pub(super) struct KeyEvents {
    generation: AtomicU64,
    unloaded: AtomicUsize,
    ready: watch::Sender<bool>,
}

impl KeyEvents {
    pub(super) fn new(issuers: usize) -> Self {
        Self {
            generation: AtomicU64::new(1),
            unloaded: AtomicUsize::new(issuers),
            ready: watch::Sender::new(false),
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    fn first_loaded(&self) {
        if self.unloaded.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.ready.send_replace(true);
        }
    }
}

/// Ages at which keys are fetched again, and no longer believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyLife {
    pub(super) soft: Duration,
    pub(super) hard: Duration,
}

/// What an issuer's key set holds.
#[derive(Debug)]
pub struct KeyReport {
    /// Keys that verify tokens.
    pub usable: usize,
    /// Entries that do not, and why.
    pub left_out: Vec<String>,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct IssuerKeys {
    issuer: Arc<str>,
    source: Arc<dyn KeySource>,
    life: KeyLife,
    clock: SharedClock,
    events: Arc<KeyEvents>,
    current: ArcSwapOption<Loaded>,
    /// Held while fetching, so that a slow old answer cannot replace a newer one.
    fetching: tokio::sync::Mutex<()>,
    refetch: Mutex<Option<Refetch>>,
}

#[derive(Debug)]
struct Loaded {
    set: KeySet,
    at: Now,
}

impl Loaded {
    fn verify(&self, jws: &Jws<'_>) -> Result<(), TokenError> {
        let mut verdict = Err(TokenError::UnknownKey);
        for key in self.set.find(jws.header.kid.as_deref(), jws.header.algorithm)? {
            verdict = key.verify(jws);
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }
}

/// The last fetch that a token caused. `done` holds whether it brought a key set.
#[derive(Debug)]
struct Refetch {
    started: Now,
    done: watch::Receiver<Option<bool>>,
}

impl IssuerKeys {
    pub(super) fn new(
        issuer: Arc<str>,
        source: Arc<dyn KeySource>,
        life: KeyLife,
        clock: SharedClock,
        events: Arc<KeyEvents>,
    ) -> Self {
        Self {
            issuer,
            source,
            life,
            clock,
            events,
            current: ArcSwapOption::empty(),
            fetching: tokio::sync::Mutex::new(()),
            refetch: Mutex::new(None),
        }
    }

    /// Verifies a token's signature and returns until when, in milliseconds on the monotonic clock,
    /// the key may be believed.
    ///
    /// A token that no current key verifies may have been signed with a newer one, under a name that
    /// is new or, where the issuer was rebuilt, under an old one.
    pub(super) async fn verify(
        self: &Arc<Self>,
        jws: &Jws<'_>,
        now: Now,
    ) -> Result<u64, TokenError> {
        let seen = self.believed(now)?;
        let refusal = match seen.verify(jws) {
            Ok(()) => return Ok(self.believed_until(&seen)),
            // Nothing tells which key it asks for.
            Err(TokenError::UnknownKey) if jws.header.kid.is_none() => {
                return Err(TokenError::UnknownKey);
            }
            Err(refusal) => refusal,
        };
        if !self.refetch(now).await {
            // Without the key nothing can be said. With one that is believed there is a verdict, and
            // what would verify under a key that nobody has seen is not known to exist.
            let is_undecided = refusal == TokenError::UnknownKey;
            return Err(if is_undecided { TokenError::KeysUnavailable } else { refusal });
        }
        let newest = self.believed(self.clock.now())?;
        if Arc::ptr_eq(&newest, &seen) {
            return Err(refusal);
        }
        newest.verify(jws).map(|()| self.believed_until(&newest))
    }

    /// The current keys, while they are young enough.
    fn believed(&self, now: Now) -> Result<Arc<Loaded>, TokenError> {
        let loaded = self.current.load_full().ok_or(TokenError::KeysUnavailable)?;
        let is_young = now.since(loaded.at) <= self.life.hard;
        if is_young { Ok(loaded) } else { Err(TokenError::KeysUnavailable) }
    }

    fn believed_until(&self, loaded: &Loaded) -> u64 {
        loaded.at.mono_millis_after(self.life.hard)
    }

    /// Fetches the keys once for all who wait, unless that was tried within the cool-down. Returns
    /// whether the current keys are those of a successful attempt.
    async fn refetch(self: &Arc<Self>, now: Now) -> bool {
        let mut done = self.join_or_start(now);
        let finished = tokio::time::timeout(MAX_WAIT, done.wait_for(Option::is_some)).await;
        matches!(finished, Ok(Ok(done)) if *done == Some(true))
    }

    fn join_or_start(self: &Arc<Self>, now: Now) -> watch::Receiver<Option<bool>> {
        let mut refetch = self.refetch.lock();
        if let Some(last) = &*refetch {
            let is_running = last.done.borrow().is_none() && last.done.has_changed().is_ok();
            if is_running || now.since(last.started) < COOL_DOWN {
                return last.done.clone();
            }
        }
        let (sender, done) = watch::channel(None);
        *refetch = Some(Refetch { started: now, done: done.clone() });
        let keys = Arc::clone(self);
        // A task of its own: the client that caused the fetch may go away, the others still wait.
        tokio::spawn(async move {
            tracing::info!(issuer = %keys.issuer, "fetching keys because none verifies a token");
            sender.send_replace(Some(keys.fetch().await));
        });
        done
    }

    /// Fetches and installs; a failure is logged and leaves the current keys.
    async fn fetch(&self) -> bool {
        let loaded = self.load().await;
        if let Err(error) = &loaded {
            self.warn(error);
        }
        loaded.is_ok()
    }

    /// Fetches and installs.
    pub(super) async fn load(&self) -> Result<(), FetchError> {
        let _one_at_a_time = self.fetching.lock().await;
        let set = self.source.load(self.clock.now()).await?;
        self.install(set);
        Ok(())
    }

    fn install(&self, set: KeySet) {
        let loaded = Arc::new(Loaded { set, at: self.clock.now() });
        let previous = self.current.swap(Some(Arc::clone(&loaded)));
        self.tell_left_out(&loaded.set, previous.as_deref().map(|previous| &previous.set));
        match previous {
            None => {
                tracing::info!(issuer = %self.issuer, keys = loaded.set.len(), "keys loaded");
                self.events.first_loaded();
            }
            // After the swap: whoever reads the new generation also reads the new keys.
            Some(previous) if !previous.set.is_within(&loaded.set) => {
                tracing::info!(issuer = %self.issuer, "keys were withdrawn");
                self.events.generation.fetch_add(1, Ordering::AcqRel);
            }
            Some(_) => {}
        }
    }

    /// Tells of the entries that cannot be used, once for as long as the issuer serves them.
    fn tell_left_out(&self, set: &KeySet, previous: Option<&KeySet>) {
        let told = previous.map(KeySet::left_out).unwrap_or_default();
        for entry in set.left_out().iter().filter(|entry| !told.contains(entry)) {
            let LeftOut { kid, reason } = entry;
            tracing::warn!(issuer = %self.issuer, kid, %reason, "key left out of the key set");
        }
    }

    fn warn(&self, error: &FetchError) {
        let age = self.current.load().as_deref().map(|loaded| self.clock.now().since(loaded.at));
        let hint = if age.is_none() {
            "check ZITADEL_ISSUER_URL and the network; retried every second"
        } else {
            "check ZITADEL_ISSUER_URL and the network; retried every 15 seconds or so"
        };
        tracing::warn!(
            issuer = %self.issuer,
            cause = %error,
            age_secs = age.map(|age| age.as_secs()),
            hint,
            "failed to load keys"
        );
    }

    /// What an operator is told of the current keys.
    pub(super) fn report(&self) -> KeyReport {
        let loaded = self.current.load();
        let Some(loaded) = loaded.as_deref() else {
            return KeyReport { usable: 0, left_out: Vec::new() };
        };
        let told = |LeftOut { kid, reason }: &LeftOut| match kid {
            Some(kid) => format!("kid {kid:?}: {reason}"),
            None => format!("without kid: {reason}"),
        };
        let left_out = loaded.set.left_out().iter().map(told).collect();
        KeyReport { usable: loaded.set.len(), left_out }
    }

    /// The names of the current keys.
    pub(super) fn kids(&self) -> Vec<String> {
        let loaded = self.current.load();
        let kids = loaded.as_deref().map(|loaded| loaded.set.kids().map(str::to_owned).collect());
        kids.unwrap_or_default()
    }

    /// What the current keys of this name verify.
    pub(super) fn algorithms_of(&self, kid: Option<&str>) -> AlgorithmSet {
        let loaded = self.current.load();
        loaded.as_deref().map(|loaded| loaded.set.algorithms_of(kid)).unwrap_or_default()
    }

    /// Whether there are keys young enough to be believed.
    pub(super) fn are_believed(&self, now: Now) -> bool {
        let loaded = self.current.load();
        loaded.as_deref().is_some_and(|loaded| now.since(loaded.at) <= self.life.hard)
    }

    /// One refresh; returns the pause until the next.
    pub(super) async fn refresh(&self) -> Duration {
        if self.fetch().await {
            jittered(self.life.soft)
        } else if self.current.load().is_none() {
            RETRY_WITHOUT_KEYS
        } else {
            jittered(self.life.soft.min(RETRY_WITH_KEYS))
        }
    }

    /// Keeps the keys fresh until `shutdown` says so.
    pub(super) async fn refresh_loop(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        loop {
            let cycle = async {
                let pause = self.refresh().await;
                tokio::time::sleep(pause).await;
            };
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return,
                () = cycle => {}
            }
        }
    }
}

/// ±10 %, so that replicas do not ask all at once.
fn jittered(pause: Duration) -> Duration {
    (pause / 10 * 9).saturating_add((pause / 5).mul_f64(fastrand::f64()))
}
