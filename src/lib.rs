//! Auth Gateway.

pub mod clock;
pub mod dev;
