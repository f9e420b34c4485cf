//! Who has been verified.

use std::sync::Arc;

use crate::authn::Principal;
use crate::rate_limit::Window;

/// A verified principal with what the gate keeps beside it between requests.
#[derive(Debug)]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// When its token expires, in milliseconds since the epoch; `u64::MAX` where that is unknown.
    pub expires_unix_millis: u64,
    /// Its counter for the limit that applies when a rule names none; absent while the limiter's
    /// table is full, and where that limit is off.
    pub(super) window: Option<Arc<Window>>,
}
