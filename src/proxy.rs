//! The Pingora adapter: carries requests to the gate and admitted ones to their upstream.
//!
//! Decisions are made in [`crate::gate`], connections minded in `crate::edge`, addresses chosen in
//! `crate::upstream`; here is what lies between them. [`Proxy`] has what all requests share, a
//! [`context::Context`] what one of them is carried by from hook to hook.
//!
//! To read, in the order of a request: `hooks.rs`, what Pingora calls; `receive.rs`, headers to verdict
//! (over `framing.rs`, `client_addr.rs`, `request_id.rs`, `local.rs`, `cors.rs`, `credentials.rs`);
//! `attempt.rs`, one attempt at an upstream, with what it gets to see (`headers.rs`, `forwarded.rs`);
//! `watch.rs`, bodies on their way; `answers.rs`, what of an answer goes on (`carried.rs`, `keepalive.rs`,
//! `limit_headers.rs`); `failure.rs`, what a client is told when it does not; `respond.rs`, answers of
//! our own; `account.rs`, counted and logged once (`access_log.rs`). `refused_head.rs` answers heads that
//! never become requests.

pub mod access_log;
mod account;
pub mod answers;
mod attempt;
pub mod carried;
pub mod client_addr;
pub mod context;
pub mod cors;
pub mod credentials;
mod failure;
mod forwarded;
pub mod framing;
pub mod headers;
mod hooks;
mod keepalive;
mod limit_headers;
mod local;
mod parts;
mod receive;
mod refused_head;
mod request_id;
pub mod respond;
mod upgrade;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use pingora::prelude::{Error, ErrorType};
use pingora::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, Session, http_proxy};

use crate::authn::Credentials;
use crate::clock::SharedClock;
use crate::edge::{Connection, Entrance, Patience};
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::rate_limit::Limiter;
use crate::readiness::Readiness;
use crate::rules::PathPolicy;
use crate::telemetry::Sink;
use crate::upstream::Upstream;
use client_addr::ClientAddresses;
use context::Context;
use cors::Cors;
use framing::MessageLimits;
use headers::HeaderPolicy;

/// What cannot be but for a fault of ours: a panic, or a hook without what an earlier one has left.
const OUR_FAULT: ErrorType = ErrorType::Custom("OurFault");

/// Everything that serving a request takes.
pub struct Proxy {
    /// Decides.
    pub gate: Arc<Gate>,
    /// In the order of the configuration; rules refer to positions.
    pub upstreams: Vec<Arc<Upstream>>,
    /// For the headers that tell how limits stand.
    pub limiter: Arc<Limiter>,
    /// Cross-origin policy.
    pub cors: Cors,
    /// Where tokens are looked for.
    pub credentials: Credentials,
    /// How long a WebSocket may outlast its token; for ever when absent.
    pub expiry_grace: Option<Duration>,
    /// What the upstream gets to see.
    pub headers: HeaderPolicy,
    /// Whom to believe.
    pub clients: ClientAddresses,
    /// How large requests may be.
    pub limits: MessageLimits,
    /// What paths may look like.
    pub paths: PathPolicy,
    /// The probes' state.
    pub readiness: Arc<Readiness>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Where access-log lines go; nowhere when it is off.
    pub access_log: Option<Sink>,
    /// Time.
    pub clock: SharedClock,
}

impl Proxy {
    /// The way in for clients who may be silent as `patience` has it.
    pub fn entrance(self, conf: &Arc<ServerConf>, patience: Patience) -> Entrance<HttpProxy<Self>> {
        let refusals = Arc::new(self.head_refusals());
        Entrance::new(Arc::new(http_proxy(conf, self)), patience, refusals)
    }

    fn upstream(&self, ctx: &Context) -> Option<&Arc<Upstream>> {
        self.upstreams.get(ctx.admission()?.rule().upstream)
    }
}

/// The status of the answer that was begun; an interim one, such as 103, is none.
fn status_sent(session: &Session) -> Option<StatusCode> {
    let status = session.response_written()?.status;
    let is_final = !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS;
    is_final.then_some(status)
}

/// What a session runs on; without it, nothing would end a wait.
fn connection(session: &Session) -> pingora::Result<&Connection> {
    Connection::below(session).ok_or_else(our_fault)
}

#[expect(clippy::unnecessary_box_returns, reason = "Pingora's errors are boxed")]
fn our_fault() -> Box<Error> {
    Error::new(OUR_FAULT)
}
