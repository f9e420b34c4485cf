//! The gateway as its users see it: the real binary between a real OpenFGA, a real Redis, a
//! ZITADEL-shaped issuer and an application that records what reaches it.
//!
//! `scripts/install-tools test` installs the servers. A story that refuses something ends with
//! `saw_nothing()`: a refusal that still reaches an upstream is none.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests stop at the first surprise, and read the clock and the environment"
)]

mod addresses;
mod agreement;
mod answers;
mod browser;
mod chunked;
mod cors;
mod credentials;
mod embedded;
mod expiry;
mod first_minute;
mod forwarding;
mod guide;
mod harness;
mod interop;
mod introspection;
mod keys;
mod lifecycle;
mod limits;
mod objects;
mod odd_answers;
mod online;
mod outages;
mod parsing;
mod pipelining;
mod private_hosts;
mod proxying;
mod refusals;
mod reload;
mod roles;
mod slow_clients;
mod spellings;
mod support;
mod token;
