//! The edge: where clients come in, how long they may be silent, and heads that never become requests.
//!
//! An [`Entrance`] takes what a listener has accepted, wraps it in a [`Connection`] and lets an application
//! serve one session after the other on it. Everything that a client can do to a connection, rather than
//! ask of the gateway, ends here: silence, heads without an end, bodies with more than one reading, bytes
//! that are too early, a tunnel that outlasts its token.
//!
//! The edge knows Pingora's streams and sessions, and nothing of rules, verdicts or upstreams. Whoever
//! serves the sessions tells a connection what is awaited ([`Awaited`]), and is asked, by [`RefuseHeads`],
//! for the answer to a head that it will never see; the edge says what is wrong with it in words of its
//! own ([`HeadFault`]). HTTP/1.1 only: the entrance is where that ends.
//!
//! To read: `patience.rs`, the waits and who can be blamed for them; `refused.rs`, the seam; `entrance.rs`;
//! `connection.rs`, one stream and what is awaited on it, over `connection/`: `silence.rs` and `timer.rs`
//! (waits that have been too long), `refusing.rs`, `arrivals.rs` (what has come of a request, and behind
//! it), `head_lines.rs` and `chunks.rs` (how far it goes), `ending.rs`, `lease.rs` and `frames.rs` (a
//! WebSocket that ends with its token), `stream.rs` (what Pingora wants to know of any stream).

mod connection;
mod entrance;
mod patience;
mod peer;
mod refused;

pub use connection::{Connection, FaultyChunk, PINGORA_WAITS};
pub use entrance::Entrance;
pub use patience::{Awaited, Overdue, Patience};
pub use peer::ip_of;
pub use refused::{HeadFault, RefuseHeads, RefusedHead};
