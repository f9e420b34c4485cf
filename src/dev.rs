//! Everything that `auth-gateway dev` embeds: a ZITADEL-shaped issuer and a sample application.
//!
//! The integration tests use the same parts, so what a developer sees is what is tested.

pub mod app;
pub mod issuer;
mod server;
