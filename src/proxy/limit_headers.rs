//! How limits stand, for the client.

use http::HeaderMap;

use crate::gate::Standings;
use crate::rate_limit::{Limiter, headers};

/// Writes the headers of the limit that refused, or of the one that the request was counted against.
pub(super) fn write(limiter: &Limiter, standings: &Standings, response: &mut HeaderMap) {
    if let Some((id, exceeded)) = standings.exceeded {
        if let Some(limit) = limiter.limit(id) {
            headers::write_exceeded(response, limit, exceeded);
        }
    } else if let Some((id, standing)) = standings.told
        && let Some(limit) = limiter.limit(id)
    {
        headers::write_standing(response, limit, standing);
    }
}
