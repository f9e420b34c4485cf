//! Auth Gateway.

pub mod authn;
pub mod clock;
pub mod secret;
