//! Auth Gateway.

pub mod clock;
pub mod rate_limit;
