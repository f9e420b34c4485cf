//! From headers to verdict: one request looked at, in the order in which `lib.rs` tells it.

use http::StatusCode;
use pingora::http::RequestHeader;
use pingora_proxy::Session;

use super::context::{Context, Outcome};
use super::credentials::TOKEN_ALONE;
use super::headers::settle_head;
use super::respond::Reply;
use super::{Proxy, cors, framing, local, request_id};
use crate::edge::ip_of;
use crate::gate::{Client, Reason, Rejection, Request};
use crate::rules::{RawTarget, Target, TargetError};

/// What becomes of a request that has been looked at.
enum Verdict {
    Proxy,
    Reply(Reply),
}

impl Proxy {
    /// Whether the request has been answered, so that there is nothing to proxy.
    pub(super) async fn judge(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> pingora::Result<bool> {
        self.watch(session)?;
        match self.receive(session, ctx).await {
            Verdict::Proxy => {
                settle_head(session.req_header_mut(), ctx.host.take());
                self.take_token_out(session.req_header_mut(), ctx)?;
                Ok(false)
            }
            Verdict::Reply(reply) => {
                self.answer(session, ctx, reply).await?;
                Ok(true)
            }
        }
    }

    /// Looks at a request: answers, refuses or admits it.
    async fn receive(&self, session: &Session, ctx: &mut Context) -> Verdict {
        let header = session.req_header();
        self.meet(session, ctx);
        let host = header.headers.get(http::header::HOST);
        if let Err(rejection) = self.check_message(session, host.is_some()) {
            return self.reject(rejection, ctx);
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

    /// Who is at the other end, and what the request is called.
    fn meet(&self, session: &Session, ctx: &mut Context) {
        let headers = &session.req_header().headers;
        ctx.peer = ip_of(session.client_addr());
        ctx.is_trusted_peer = self.clients.trusts(ctx.peer);
        ctx.request_id = request_id::find_or_make(headers, ctx.is_trusted_peer, ctx.started);
        ctx.origin = self.cors.allowed_origin(headers);
        ctx.client = self.clients.find(ctx.peer, headers);
    }

    /// Whether the message has one reading, and has not been here before.
    fn check_message(&self, session: &Session, has_host: bool) -> Result<(), Rejection> {
        framing::check(session, has_host, &self.limits).map_err(|reason| match reason {
            Reason::MethodNotAllowed => Rejection::method(framing::ORDINARY_METHODS),
            reason => Rejection::early(reason),
        })?;
        if self.headers.is_loop(&session.req_header().headers) {
            return Err(Rejection::early(Reason::Loop));
        }
        Ok(())
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
        ctx.outcome = Outcome::Rejected(Box::new(rejection));
        Verdict::Reply(reply)
    }
}
