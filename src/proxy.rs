//! The Pingora adapter: carries requests to the gate and admitted ones to their upstream.
//!
//! Decisions are made in [`crate::gate`]; here is only what needs the connection. The hooks run in
//! this order: `request_filter` (gate, local answers), `upstream_peer`, `upstream_request_filter`
//! (headers for the upstream: only here, earlier ones could be removed by the client's `Connection`
//! header), `request_body_filter`, `response_filter`, on failure `fail_to_proxy`, always `logging`.

pub mod access_log;
pub mod client_addr;
pub mod context;
pub mod cors;
pub mod framing;
pub mod headers;
mod limit_headers;
mod local;
mod request_id;
pub mod respond;
mod upgrade;
pub mod upstream;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::prelude::{Error, ErrorSource, ErrorType, HttpPeer};
use pingora::protocols::l4::socket::SocketAddr;
use pingora_proxy::{FailToProxy, ProxyHttp, Session};

use crate::clock::{Now, SharedClock};
use crate::gate::rejection::Advice;
use crate::gate::{Gate, Reason, Rejection, Request};
use crate::metrics::Metrics;
use crate::rate_limit::Limiter;
use crate::readiness::Readiness;
use crate::rules::{PathPolicy, RawTarget, Target, TargetError};
use crate::telemetry::Sink;
use client_addr::ClientAddresses;
use context::{Context, Outcome};
use cors::Cors;
use framing::MessageLimits;
use headers::{HeaderPolicy, Told, X_REQUEST_ID};
use respond::Reply;
use upgrade::PatientConnect;
use upstream::{HostHeader, Upstream};

/// Pool of the connections that were made for upgrades.
const UPGRADES: u64 = 1;

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
    /// What the upstream gets to see.
    pub headers: HeaderPolicy,
    /// Whom to believe.
    pub clients: ClientAddresses,
    /// How large requests may be.
    pub limits: MessageLimits,
    /// What paths may look like.
    pub paths: PathPolicy,
    /// How long connections may be silent.
    pub patience: Patience,
    /// The probes' state.
    pub readiness: Arc<Readiness>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Where access-log lines go; nowhere when it is off.
    pub access_log: Option<Sink>,
    /// Time.
    pub clock: SharedClock,
}

/// How long a client's connection may be silent.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Between requests.
    pub keepalive: Duration,
    /// While it sends a request.
    pub read: Duration,
    /// Once it is a WebSocket.
    pub websocket: Duration,
}

/// What becomes of a request that has been looked at.
enum Verdict {
    Proxy,
    Reply(Reply),
}

impl Proxy {
    async fn receive(&self, session: &Session, ctx: &mut Context) -> Verdict {
        let header = session.req_header();
        ctx.peer = peer_address(session);
        ctx.is_trusted_peer = self.clients.trusts(ctx.peer);
        ctx.request_id =
            request_id::find_or_make(&header.headers, ctx.is_trusted_peer, ctx.started);
        ctx.origin = self.cors.allowed_origin(&header.headers);
        let client = self.clients.find(ctx.peer, &header.headers);
        ctx.client = client.addr;
        if let Err(reason) = framing::check(session, &self.limits) {
            return self.reject(Rejection::early(reason), ctx);
        }
        if self.headers.is_loop(&header.headers) {
            return self.reject(Rejection::early(Reason::Loop), ctx);
        }
        let target = match self.parse_target(header) {
            Ok(target) => target,
            Err(reason) => return self.reject(Rejection::early(reason), ctx),
        };
        if let Some(reply) = local::answer(self, &header.method, target.path().as_str(), client) {
            return match reply {
                Ok(reply) => {
                    ctx.outcome = Outcome::Local;
                    Verdict::Reply(reply)
                }
                Err(rejection) => self.reject(rejection, ctx),
            };
        }
        if let Some(method) = cors::preflight_method(&header.method, &header.headers) {
            return self.preflight(&target, &method, ctx);
        }
        if target.is_rewritten() || !header.raw_path().starts_with(b"/") {
            match target.path_and_query() {
                Ok(canonical) => ctx.rewritten = Some(canonical),
                Err(_) => return self.reject(Rejection::early(Reason::UriTooLong), ctx),
            }
        }
        let request = Request { target, headers: &header.headers, client };
        match self.gate.admit(&request, ctx.started).await {
            Ok(admission) => {
                let admission = Box::new(admission);
                ctx.outcome = Outcome::Admitted { admission, failure: None };
                Verdict::Proxy
            }
            Err(rejection) => self.reject(rejection, ctx),
        }
    }

    fn parse_target<'r>(&self, header: &'r RequestHeader) -> Result<Target<'r>, Reason> {
        let authority = header.uri.authority().map(|authority| authority.as_str().as_bytes());
        // The parser keeps bytes that are not UTF-8 out of the URI and only in the raw target.
        let (authority, target) = match framing::split_absolute_form(header.raw_path()) {
            Some((authority, target)) => (Some(authority), target),
            None => (authority, header.raw_path()),
        };
        let (path, query) = match target.iter().position(|byte| *byte == b'?') {
            Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..)),
            None => (target, None),
        };
        let raw = RawTarget {
            method: &header.method,
            authority,
            host: header.headers.get(http::header::HOST).map(http::HeaderValue::as_bytes),
            path,
            query,
        };
        Target::parse(raw, self.paths).map_err(|error| match error {
            TargetError::Path(_) | TargetError::Query { .. } => Reason::BadPath,
            TargetError::Host(_) | TargetError::HostsDiffer => Reason::BadRequest,
        })
    }

    fn preflight(&self, target: &Target<'_>, method: &http::Method, ctx: &mut Context) -> Verdict {
        if let Err(rejection) = self.gate.covers(target, method) {
            return self.reject(rejection, ctx);
        }
        let mut reply = Reply::empty(StatusCode::NO_CONTENT);
        if ctx.origin.is_some() {
            self.cors.apply_preflight(method, &mut reply.headers);
        }
        ctx.outcome = Outcome::Local;
        Verdict::Reply(reply)
    }

    fn reject(&self, rejection: Rejection, ctx: &mut Context) -> Verdict {
        let reply = self.problem(rejection.reason, &rejection.advice, &rejection.standings, ctx);
        let rule = rejection.rule.as_ref().map_or(crate::metrics::NO_RULE, |rule| rule.id());
        self.metrics.count_rejection(rule, rejection.reason.word());
        ctx.outcome = Outcome::Rejected(Box::new(rejection));
        Verdict::Reply(reply)
    }

    fn problem(
        &self,
        reason: Reason,
        advice: &Advice,
        standings: &crate::gate::Standings,
        ctx: &Context,
    ) -> Reply {
        let mut reply = Reply::problem(reason, advice, &ctx.request_id);
        limit_headers::write(&self.limiter, standings, &mut reply.headers);
        reply
    }

    /// Writes an answer of our own with the headers that all of them carry.
    async fn answer(
        &self,
        session: &mut Session,
        ctx: &Context,
        mut reply: Reply,
    ) -> pingora::Result<()> {
        respond::secure(&mut reply.headers);
        self.cors.apply(ctx.origin.as_ref(), &mut reply.headers);
        cors::add_vary_origin(&mut reply.headers);
        reply.headers.insert(X_REQUEST_ID, ctx.request_id.clone());
        respond::write(session, reply).await
    }

    fn upstream(&self, ctx: &Context) -> Option<&Arc<Upstream>> {
        self.upstreams.get(ctx.admission()?.rule().upstream)
    }

    fn set_timeouts(&self, session: &mut Session) {
        let keepalive =
            if self.readiness.draining() || session.as_downstream().get_keepalive().is_none() {
                None
            } else {
                Some(self.patience.keepalive.as_secs())
            };
        session.set_keepalive(keepalive);
        session.set_read_timeout(Some(self.patience.read));
    }
}

fn peer_address(session: &Session) -> IpAddr {
    match session.client_addr() {
        Some(SocketAddr::Inet(addr)) => addr.ip().to_canonical(),
        Some(SocketAddr::Unix(_)) | None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.clock.now(), &self.metrics.in_flight)
    }

    /// No modules: the default one compresses, at the price of five allocations per request.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> pingora::Result<bool> {
        self.set_timeouts(session);
        match self.receive(session, ctx).await {
            Verdict::Proxy => {
                if session.is_upgrade_req() {
                    session.set_read_timeout(Some(self.patience.websocket));
                }
                Ok(false)
            }
            Verdict::Reply(reply) => {
                self.answer(session, ctx, reply).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> pingora::Result<Box<HttpPeer>> {
        let admission = ctx.admission().ok_or_else(|| Error::new(ErrorType::InternalError))?;
        let upstream = self.upstream(ctx).ok_or_else(|| Error::new(ErrorType::InternalError))?;
        let mut peer = upstream.peer().ok_or_else(|| {
            Error::create(
                ErrorType::ConnectNoRoute,
                ErrorSource::Upstream,
                Some("the upstream's name has no address".into()),
                None,
            )
        })?;
        if let Some(timeout) = admission.rule().timeout() {
            peer.options.read_timeout = Some(timeout);
        }
        if session.is_upgrade_req() {
            peer.options.read_timeout = Some(self.patience.websocket);
            let timeout = upstream.settings.connect_timeout;
            peer.options.custom_l4 = Some(Arc::new(PatientConnect { timeout }));
            // Never one of the pooled connections, which are not patient.
            peer.group_key = UPGRADES;
        }
        Ok(peer)
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        let (Some(admission), Some(upstream)) = (ctx.admission(), self.upstream(ctx)) else {
            return Err(Error::new(ErrorType::InternalError));
        };
        let told = Told {
            admission,
            peer: ctx.peer,
            is_trusted_peer: ctx.is_trusted_peer,
            request_id: &ctx.request_id,
            rewritten: ctx.rewritten.as_ref(),
            host: match &upstream.settings.host {
                HostHeader::Client => None,
                HostHeader::Fixed(host) => Some(host),
            },
            forward_credentials: upstream.settings.forward_credentials,
        };
        self.headers.apply(request, &told)
    }

    /// Never waits: on a request without a body that would tear WebSockets down (pingora #946).
    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        let Some(chunk) = body else { return Ok(()) };
        if session.was_upgraded() {
            return Ok(());
        }
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

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        // Through Parts for the reason that headers.rs gives.
        let empty = ResponseHeader::build_no_case(response.status, None)?;
        let mut parts: http::response::Parts = std::mem::replace(response, empty).into();
        parts.headers.insert(X_REQUEST_ID, ctx.request_id.clone());
        self.cors.apply(ctx.origin.as_ref(), &mut parts.headers);
        if let Some(admission) = ctx.admission() {
            limit_headers::write(&self.limiter, admission.standings(), &mut parts.headers);
            if admission.decided() == Some(crate::authz::Source::Stale) {
                let stale = http::HeaderValue::from_static("stale");
                parts.headers.insert("x-authorization-decision", stale);
            }
        }
        *response = ResponseHeader::from(parts);
        Ok(())
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Context,
    ) -> FailToProxy {
        let can_reuse_downstream = false;
        let Some(reason) = reason_of(error) else {
            return FailToProxy { error_code: 0, can_reuse_downstream };
        };
        if session.response_written().is_none() {
            session.set_keepalive(None);
            let standings = ctx.admission().map(|a| *a.standings()).unwrap_or_default();
            let reply = self.problem(reason, &Advice::None, &standings, ctx);
            // The client is gone when this fails; the log line tells what it would have got.
            let _ = self.answer(session, ctx, reply).await;
        }
        let rule = ctx.admission().map_or(crate::metrics::NO_RULE, |a| a.rule().id());
        self.metrics.count_rejection(rule, reason.word());
        if let Outcome::Admitted { failure, .. } = &mut ctx.outcome {
            *failure = Some(reason);
        }
        FailToProxy { error_code: reason.status(), can_reuse_downstream }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Context) {
        let now = self.clock.now();
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        self.observe(ctx, status, now);
        if let Some(sink) = &self.access_log {
            self.log(session, error, ctx, status, now, sink);
        }
    }

    /// The access-log line carries the error; Pingora's own line would carry the query.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Context, _error: &Error) -> bool {
        true
    }

    /// For the retry warnings that are left: no path, no query.
    fn request_summary(&self, _session: &Session, ctx: &Context) -> String {
        format!("request {}", ctx.request_id.to_str().unwrap_or("-"))
    }
}

impl Proxy {
    fn observe(&self, ctx: &Context, status: u16, now: Now) {
        let rule = match &ctx.outcome {
            Outcome::Admitted { admission, .. } => Some(admission.rule()),
            Outcome::Rejected(rejection) => rejection.rule.as_ref(),
            Outcome::Local | Outcome::Undecided => None,
        };
        match rule {
            Some(rule) => rule.metrics.observe(status, now.since(ctx.started).as_secs_f64()),
            None => self.metrics.count_unruled(status),
        }
    }

    fn log(
        &self,
        session: &Session,
        error: Option<&Error>,
        ctx: &Context,
        status: u16,
        now: Now,
        sink: &Sink,
    ) {
        let header = session.req_header();
        let (outcome, rule, caller, decided) = match &ctx.outcome {
            Outcome::Undecided => ("undecided", None, None, None),
            Outcome::Local => ("local", None, None, None),
            Outcome::Rejected(rejection) => {
                (rejection.reason.word(), rejection.rule.as_ref(), rejection.caller.as_ref(), None)
            }
            Outcome::Admitted { admission, failure } => (
                failure.map_or("admitted", Reason::word),
                Some(admission.rule()),
                admission.caller(),
                admission.decided(),
            ),
        };
        let error = error.map(ToString::to_string);
        let host = header.headers.get(http::header::HOST).map(http::HeaderValue::as_bytes);
        let line = access_log::Line {
            started: ctx.started,
            duration_micros: u64::try_from(now.since(ctx.started).as_micros()).unwrap_or(u64::MAX),
            request_id: &ctx.request_id,
            client: ctx.client,
            method: &header.method,
            host: host.unwrap_or_default(),
            path: header.uri.path(),
            status,
            bytes_sent: session.body_bytes_sent(),
            bytes_received: session.body_bytes_read(),
            rule: rule.map_or(crate::metrics::NO_RULE, |rule| rule.id()),
            outcome,
            user: caller.map(|caller| caller.principal.user()),
            decision: decided.map(access_log::decision_word),
            upstream: self.upstream(ctx).map(|upstream| &*upstream.settings.name),
            error: error.as_deref(),
        };
        line.record(sink);
    }
}

/// What a failed request is called; `None` when there is nobody left to tell.
fn reason_of(error: &Error) -> Option<Reason> {
    let is_timeout = matches!(
        error.etype(),
        ErrorType::ConnectTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
            | ErrorType::TLSHandshakeTimedout
    );
    match (error.esource(), error.etype()) {
        (_, ErrorType::HTTPStatus(413)) => Some(Reason::BodyTooLarge),
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Some(Reason::SlowRequest),
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
