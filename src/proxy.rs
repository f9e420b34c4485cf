//! The Pingora adapter: carries requests to the gate and admitted ones to their upstream.
//!
//! Decisions are made in [`crate::gate`]; here is only what needs the connection. `hooks.rs` is what
//! Pingora calls; what it calls stands here in the same order.

pub mod access_log;
mod account;
pub mod answers;
mod attempt;
pub mod client_addr;
pub mod context;
pub mod cors;
pub mod credentials;
pub mod framing;
pub mod headers;
mod hooks;
mod keepalive;
mod limit_headers;
mod local;
mod receive;
mod refused_head;
mod request_id;
pub mod respond;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{Error, ErrorSource, ErrorType};
use pingora::server::configuration::ServerConf;
use pingora_proxy::{FailToProxy, HttpProxy, Session, http_proxy};

use crate::authn::Credentials;
use crate::clock::SharedClock;
use crate::edge::{Awaited, Connection, Entrance, FaultyChunk, Overdue, PINGORA_WAITS, Patience};
use crate::gate::rejection::Advice;
use crate::gate::{Gate, Reason, Rejection};
use crate::metrics::Metrics;
use crate::rate_limit::Limiter;
use crate::readiness::Readiness;
use crate::rules::PathPolicy;
use crate::telemetry::Sink;
use crate::upstream::{HostHeader, Upstream};
use client_addr::ClientAddresses;
use context::{Context, Outcome};
use cors::Cors;
use framing::MessageLimits;
use headers::{HeaderPolicy, Host, Told};
use receive::Verdict;

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

    /// Whether the request has been answered, so that there is nothing to proxy.
    async fn judge(&self, session: &mut Session, ctx: &mut Context) -> pingora::Result<bool> {
        self.watch(session)?;
        match self.receive(session, ctx).await {
            Verdict::Proxy => {
                headers::make_canonical(session.req_header_mut(), ctx.host.take());
                self.take_token_out(session.req_header_mut(), ctx)?;
                Ok(false)
            }
            Verdict::Reply(reply) => {
                self.answer(session, ctx, reply).await?;
                Ok(true)
            }
        }
    }

    fn edit_request(
        &self,
        session: &Session,
        request: &mut RequestHeader,
        ctx: &Context,
    ) -> pingora::Result<()> {
        let (Some(admission), Some(upstream)) = (ctx.admission(), self.upstream(ctx)) else {
            return Err(our_fault());
        };
        let told = Told {
            admission,
            peer: ctx.peer,
            is_trusted_peer: ctx.is_trusted_peer,
            request_id: &ctx.request_id,
            rewritten: ctx.rewritten.as_ref(),
            host: match &upstream.settings.host {
                HostHeader::Client => Host::IfMissing(&upstream.settings.authority),
                HostHeader::Fixed { host, .. } => Host::Fixed(host),
            },
            scheme: match &upstream.settings.host {
                HostHeader::Fixed { scheme, .. } => *scheme,
                HostHeader::Client => None,
            },
            forward_credentials: upstream.settings.forward_credentials,
            is_handshake: upgrade::is_websocket_handshake(session.req_header()),
        };
        self.headers.apply(request, &told);
        Ok(())
    }

    fn watch_request_body(
        &self,
        session: &Session,
        body: Option<&Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        if session.was_upgraded() {
            return Ok(());
        }
        match connection(session)? {
            connection if end_of_stream => connection.has_whole_request(),
            connection => connection.awaits(Awaited::Body),
        }
        let Some(chunk) = body else { return Ok(()) };
        ctx.body_bytes = ctx.body_bytes.saturating_add(chunk.len() as u64);
        if ctx.body_bytes > self.limits.max_body_bytes {
            return Err(Error::explain(
                ErrorType::HTTPStatus(Reason::BodyTooLarge.status()),
                "request body over the limit",
            )
            .into_down());
        }
        Ok(())
    }

    fn watch_response_body(
        session: &mut Session,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        ctx.is_answered |= end_of_stream;
        if end_of_stream && !session.as_downstream_mut().is_body_done() {
            connection(session)?.awaits(Awaited::Body);
        } else {
            connection(session)?.progresses();
        }
        Ok(())
    }

    fn edit_response(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        ctx.attempts.hear();
        let is_handshake = upgrade::is_websocket_handshake(session.req_header());
        let is_body_done = session.as_downstream_mut().is_body_done();
        let connection = connection(session)?;
        match response.status {
            StatusCode::SWITCHING_PROTOCOLS if is_handshake => {
                connection.awaits(Awaited::Tunnel);
                self.end_with_token(session, connection, ctx);
            }
            StatusCode::SWITCHING_PROTOCOLS => {
                return Err(Error::new(ErrorType::InvalidHTTPHeader).into_up());
            }
            StatusCode::CONTINUE if !is_body_done => connection.awaits(Awaited::Body),
            _ => connection.progresses(),
        }
        self.pass_on(session, response, ctx)
    }

    async fn tell_failure(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Context,
    ) -> FailToProxy {
        let can_reuse_downstream = false;
        // What breaks off after the whole answer is nobody's failure.
        let Some(reason) = reason_of(error).filter(|_| !ctx.is_answered) else {
            return FailToProxy { error_code: 0, can_reuse_downstream };
        };
        if status_sent(session).is_none() {
            session.set_keepalive(None);
            let standings = ctx.admission().map(|a| *a.standings()).unwrap_or_default();
            let reply = self.problem(reason, &Advice::None, &standings, ctx);
            // The client is gone when this fails; the log line tells what it would have got.
            let _ = self.answer(session, ctx, reply).await;
        }
        let rule = ctx.admission().map_or(crate::metrics::NO_RULE, |a| a.rule().id());
        self.metrics.count_rejection(rule, reason.word());
        match &mut ctx.outcome {
            Outcome::Admitted { failure, .. } => *failure = Some(reason),
            outcome => *outcome = Outcome::Rejected(Box::new(Rejection::early(reason))),
        }
        FailToProxy { error_code: reason.status(), can_reuse_downstream }
    }

    fn account(&self, session: &Session, error: Option<&Error>, ctx: &Context) {
        let took = self.clock.since(ctx.started);
        let status = status_sent(session).map_or(0, |status| status.as_u16());
        self.observe(ctx, status, took);
        if let Some(sink) = &self.access_log {
            self.log(session, error, ctx, (status, took), sink);
        }
    }

    fn upstream(&self, ctx: &Context) -> Option<&Arc<Upstream>> {
        self.upstreams.get(ctx.admission()?.rule().upstream)
    }

    /// From here on, the connection minds how long anyone is silent, not Pingora.
    fn watch(&self, session: &mut Session) -> pingora::Result<()> {
        let is_chunked = session.req_header().headers.contains_key(TRANSFER_ENCODING);
        connection(session)?.has_whole_head(is_chunked);
        let ends = self.readiness.draining() || session.as_downstream().get_keepalive().is_none();
        session.set_keepalive((!ends).then_some(PINGORA_WAITS));
        session.set_read_timeout(None);
        // RFC 9110 section 15.2: such a client would take one for the answer.
        let is_old = session.req_header().version < Version::HTTP_11;
        session.set_ignore_info_resp(is_old);
        Ok(())
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

/// What cannot be but for a fault of ours: a panic, or a hook without what an earlier one has left.
const OUR_FAULT: ErrorType = ErrorType::Custom("OurFault");

#[expect(clippy::unnecessary_box_returns, reason = "Pingora's errors are boxed")]
fn our_fault() -> Box<Error> {
    Error::new(OUR_FAULT)
}

/// What a failed request is called; `None` when there is nobody left to tell.
fn reason_of(error: &Error) -> Option<Reason> {
    match Overdue::behind(error) {
        Some(Overdue::Head | Overdue::Body) => return Some(Reason::SlowRequest),
        Some(Overdue::Answer) => return Some(Reason::UpstreamTimeout),
        Some(Overdue::Reading | Overdue::Tunnel | Overdue::Token) => return None,
        None => {}
    }
    // An upstream that was never reached has failed, however long that took.
    let is_timeout = matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout);
    match (error.esource(), error.etype()) {
        (_, &OUR_FAULT) => Some(Reason::InternalError),
        _ if FaultyChunk::is_behind(error) => Some(Reason::BadRequest),
        (_, ErrorType::HTTPStatus(413)) => Some(Reason::BodyTooLarge),
        (
            ErrorSource::Downstream,
            ErrorType::WriteError
            | ErrorType::WriteTimedout
            | ErrorType::ReadError
            | ErrorType::ConnectionClosed,
        ) => None,
        (ErrorSource::Downstream, _) => Some(Reason::BadRequest),
        _ if is_timeout => Some(Reason::UpstreamTimeout),
        _ => Some(Reason::UpstreamFailed),
    }
}
