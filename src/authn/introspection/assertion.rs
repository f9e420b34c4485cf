//! RFC 7523 section 2.2: a client that proves with a key who it is, with a short JWT instead of a
//! secret.
//!
//! One JWT serves many calls, since signing takes longer than anything else here, and ZITADEL takes it
//! for as long as it lives. RFC 7523 lets an issuer accept each of them once only; where a second use is
//! refused and a new one is not, there is a new one for each call from then on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use super::answer::Fault;
use crate::authn::client_key::ClientKey;
use crate::clock::Now;

/// `client_assertion_type` of a JWT.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// ZITADEL takes none that is older than an hour.
const LIFE: Duration = Duration::from_mins(30);
/// When there is a new one; the rest is for calls under way and clocks that differ.
const USED: Duration = Duration::from_mins(25);
/// The issuer's clock may be behind ours, and ZITADEL takes none from the future.
const BACKDATED_SECS: u64 = 10;

/// The proofs of one client to one issuer.
#[derive(Debug)]
pub(super) struct Assertions {
    key: Arc<ClientKey>,
    audience: Arc<str>,
    last: Mutex<Option<Kept>>,
    is_single_use: AtomicBool,
}

struct Kept {
    text: Arc<str>,
    made: Now,
}

impl Kept {
    /// Our clocks go apart where a machine sleeps or its wall clock is set, and the issuer goes by the
    /// latter.
    fn serves(&self, now: Now) -> bool {
        let age = now.unix_secs().checked_sub(self.made.unix_secs());
        now.since(self.made) < USED && age.is_some_and(|age| age < USED.as_secs())
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("made", &self.made).finish_non_exhaustive()
    }
}

/// A proof for one call.
pub(super) struct Assertion {
    pub(super) text: Arc<str>,
    /// Whether an earlier call has shown it.
    pub(super) was_used: bool,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: u64,
    exp: u64,
}

impl Assertions {
    pub(super) fn new(key: Arc<ClientKey>, audience: Arc<str>) -> Self {
        Self { key, audience, last: Mutex::default(), is_single_use: AtomicBool::new(false) }
    }

    /// The one in use, or a new one.
    pub(super) fn current(&self, now: Now) -> Result<Assertion, Fault> {
        if self.is_single_use.load(Ordering::Relaxed) {
            return self.fresh(now);
        }
        let mut last = self.last.lock();
        if let Some(kept) = last.as_ref().filter(|kept| kept.serves(now)) {
            return Ok(Assertion { text: Arc::clone(&kept.text), was_used: true });
        }
        let fresh = self.fresh(now)?;
        *last = Some(Kept { text: Arc::clone(&fresh.text), made: now });
        Ok(fresh)
    }

    /// One that nobody has seen.
    pub(super) fn fresh(&self, now: Now) -> Result<Assertion, Fault> {
        let iat = now.unix_secs().saturating_sub(BACKDATED_SECS);
        let claims = Claims {
            iss: self.key.client_id(),
            sub: self.key.client_id(),
            aud: &self.audience,
            jti: format!("{:032x}", fastrand::u128(..)),
            iat,
            exp: iat + LIFE.as_secs(),
        };
        let text = self.key.sign(&claims).ok_or(Fault::Unsigned)?;
        Ok(Assertion { text: text.into(), was_used: false })
    }

    /// A used one was refused, and a new one has shown who we are.
    pub(super) fn use_each_once(&self) {
        self.is_single_use.store(true, Ordering::Relaxed);
    }
}
