//! Auth Gateway.

pub mod clock;
