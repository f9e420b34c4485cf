//! From headers to verdict: one request looked at, in the order of design's life of a request.

use http::StatusCode;
use pingora::http::RequestHeader;
use pingora_proxy::Session;

use super::context::{Context, Outcome};
use super::credentials::TOKEN_ALONE;
use super::headers::X_REQUEST_ID;
use super::respond::{self, Reply};
use super::{Proxy, cors, framing, limit_headers, local, request_id};
use crate::edge::ip_of;
use crate::gate::rejection::Advice;
use crate::gate::{Client, Reason, Rejection, Request, Standings};
use crate::metrics::NO_RULE;
use crate::rules::{RawTarget, Target, TargetError};

/// What becomes of a request that has been looked at.
pub(super) enum Verdict {
    Proxy,
    Reply(Reply),
}

impl Proxy {
    /// Looks at a request: answers, refuses or admits it.
    pub(super) async fn receive(&self, session: &Session, ctx: &mut Context) -> Verdict {
        let header = session.req_header();
        ctx.peer = ip_of(session.client_addr());
        ctx.is_trusted_peer = self.clients.trusts(ctx.peer);
        ctx.request_id =
            request_id::find_or_make(&header.headers, ctx.is_trusted_peer, ctx.started);
        ctx.origin = self.cors.allowed_origin(&header.headers);
        ctx.client = self.clients.find(ctx.peer, &header.headers);
        let host = header.headers.get(http::header::HOST);
        if let Err(reason) = framing::check(session, host.is_some(), &self.limits) {
            let rejection = match reason {
                Reason::MethodNotAllowed => Rejection::method(framing::ORDINARY_METHODS),
                reason => Rejection::early(reason),
            };
            return self.reject(rejection, ctx);
        }
        if self.headers.is_loop(&header.headers) {
            return self.reject(Rejection::early(Reason::Loop), ctx);
        }
        let target = match self.parse_target(header, host) {
            Ok(target) => target,
            Err(reason) => return self.reject(Rejection::early(reason), ctx),
        };
        let is_private_peer =
            self.clients.is_private_peer(ctx.peer, &header.headers, target.host());
        let client = Client { addr: ctx.client, is_private_peer };
        if let Some(reply) = local::answer(self, &header.method, target.path().as_str(), client) {
            return match reply {
                Ok(reply) => {
                    ctx.outcome = Outcome::Local;
                    Verdict::Reply(reply)
                }
                Err(rejection) => self.reject(rejection, ctx),
            };
        }
        if self.cors.is_configured()
            && let Some(method) = cors::preflight_method(&header.method, &header.headers)
        {
            return self.preflight(&target, &method, ctx);
        }
        if target.is_rewritten() || !header.raw_path().starts_with(b"/") {
            match target.path_and_query() {
                Ok(canonical) => ctx.rewritten = Some(canonical),
                Err(_) => return self.reject(Rejection::early(Reason::UriTooLong), ctx),
            }
        }
        ctx.host = target.rewritten_host().and_then(|host| http::HeaderValue::try_from(host).ok());
        ctx.sender = self.sender(header, &target, ctx);
        if ctx.sender.is_handshake && self.credentials.offers_a_token_alone(&header.headers) {
            let rejection = Rejection::explained(Reason::BadRequest, TOKEN_ALONE);
            return self.reject(rejection, ctx);
        }
        let request = Request {
            target,
            headers: &header.headers,
            client,
            credentials: &self.credentials,
            sender: ctx.sender,
            request_id: &ctx.request_id,
        };
        match self.gate.admit(&request, ctx.started).await {
            Ok(admission) => {
                ctx.outcome = Outcome::Admitted { admission, failure: None };
                Verdict::Proxy
            }
            Err(rejection) => self.reject(rejection, ctx),
        }
    }

    fn parse_target<'r>(
        &self,
        header: &'r RequestHeader,
        host: Option<&'r http::HeaderValue>,
    ) -> Result<Target<'r>, Reason> {
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
            host: host.map(http::HeaderValue::as_bytes),
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
        let rule = rejection.rule.as_ref().map_or(NO_RULE, |rule| rule.id());
        self.metrics.count_rejection(rule, rejection.reason.word());
        ctx.outcome = Outcome::Rejected(Box::new(rejection));
        Verdict::Reply(reply)
    }

    /// The problem document of a refusal, with the headers that tell how limits stand.
    pub(super) fn problem(
        &self,
        reason: Reason,
        advice: &Advice,
        standings: &Standings,
        ctx: &Context,
    ) -> Reply {
        let mut reply = Reply::problem(reason, advice, &ctx.request_id);
        limit_headers::write(&self.limiter, standings, &mut reply.headers);
        reply
    }

    /// Writes an answer of our own with the headers that all of them carry.
    pub(super) async fn answer(
        &self,
        session: &mut Session,
        ctx: &Context,
        mut reply: Reply,
    ) -> pingora::Result<()> {
        respond::secure(&mut reply.headers);
        self.cors.apply(ctx.origin.as_ref(), &mut reply.headers);
        cors::add_vary_origin(&mut reply.headers);
        reply.headers.insert(X_REQUEST_ID, ctx.request_id.clone());
        // Whatever goes wrong is the client's end of the line.
        respond::write(session, reply).await.map_err(pingora::Error::into_down)
    }
}
