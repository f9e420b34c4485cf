//! How the limits stand that a request was counted against.

use crate::rate_limit::{Exceeded, LimitId, Standing};

/// What the client is told of its limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standings {
    /// The limit that the client should mind: the principal's, or the one of the rule.
    pub told: Option<(LimitId, Standing)>,
    /// The limit that refused, when one did.
    pub exceeded: Option<(LimitId, Exceeded)>,
}

impl Standings {
    /// Takes note of how `limit` stands, `None` being off; of two the client is told the one that is nearer its end.
    pub(super) fn note(
        &mut self,
        limit: LimitId,
        outcome: Result<Option<Standing>, Exceeded>,
    ) -> Result<(), Exceeded> {
        let standing = outcome.inspect_err(|exceeded| self.exceeded = Some((limit, *exceeded)))?;
        if let Some(standing) = standing
            && self.told.is_none_or(|(_, told)| standing.remaining < told.remaining)
        {
            self.told = Some((limit, standing));
        }
        Ok(())
    }
}
