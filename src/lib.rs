//! A gateway that verifies who calls, limits how often, asks whether they may, and proxies.
//!
//! # The life of a request
//!
//! 1. Clients come in at the `edge`; Pingora reads the headers and calls [`proxy`]: how the message is
//!    framed, who is at the other end, what its id is.
//! 2. The target becomes a [`rules::Target`]: method, host and one canonical path, or the request ends
//!    with 400. The same bytes are matched, authorised and forwarded.
//! 3. `/health` and `/metrics` are answered here; CORS preflights too.
//! 4. [`gate::Gate::admit`] finds the rule, limits the address ([`rate_limit`]), turns the token into a
//!    [`authn::Principal`] ([`authn`]), limits the principal, and asks OpenFGA ([`authz`]). It returns an
//!    [`gate::Admission`] or a [`gate::Rejection`].
//! 5. With an admission the request goes to the rule's `upstream`, with cleaned and added headers; a
//!    rejection becomes a problem document.
//! 6. Whatever happened, one line is logged and one request counted.
//!
//! [`config`] says how all of this is set up, `app` wires it, [`reload`] changes the rules while it
//! runs. `ARCHITECTURE.md` has the invariants.

#![allow(
    unreachable_pub,
    reason = "public is what the binary, tests and benches name, and it is said here once; below, `pub` is \
              what a room shows to the others, and what none of them uses is reported as dead"
)]

mod admin;
mod app;
pub mod authn;
pub mod authz;
mod breaker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dev;
mod edge;
pub mod finding;
mod flight;
pub mod gate;
mod http_body;
pub mod metrics;
mod outage;
pub mod proxy;
pub mod rate_limit;
mod readiness;
pub mod reload;
pub mod rules;
mod secret;
mod span;
mod status;
mod sweep;
mod telemetry;
mod underway;
mod upstream;
