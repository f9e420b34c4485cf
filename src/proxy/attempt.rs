//! One attempt at the upstream, and whether there is another.

use pingora::http::RequestHeader;
use pingora::prelude::{Error, ErrorSource, ErrorType, HttpPeer};
use pingora_proxy::Session;

use super::account::describe;
use super::context::Context;
use super::headers::{Forwarding, Host};
use super::upgrade::is_websocket_handshake;
use super::{Proxy, connection, our_fault};
use crate::edge::Awaited;
use crate::upstream::HostHeader;

impl Proxy {
    /// Whom to connect to, and how long anybody may be silent from here on.
    pub(super) fn attempt(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> pingora::Result<Box<HttpPeer>> {
        // A retry sends the body again.
        ctx.body_bytes = 0;
        let upstream = self.upstream(ctx).ok_or_else(our_fault)?;
        let mut peer = upstream.peer(&mut ctx.attempts, &*self.clock).ok_or_else(|| {
            Error::create(
                ErrorType::ConnectNoRoute,
                ErrorSource::Upstream,
                Some("the upstream's name has no address".into()),
                None,
            )
        })?;
        let admission = ctx.admission().ok_or_else(our_fault)?;
        let has_body = !session.as_downstream_mut().is_body_empty();
        let is_handshake = is_websocket_handshake(session.req_header());
        let timeout = admission.rule().rule.timeout();
        let connection = connection(session)?;
        connection.answer_within(timeout.unwrap_or(upstream.settings.read_timeout));
        if has_body && session.get_header(http::header::EXPECT).is_some() {
            // The client waits for the upstream's word before it sends anything.
            connection.awaits(Awaited::Answer);
        }
        if has_body || is_handshake {
            peer.options.read_timeout = Some(connection.at_the_latest(is_handshake));
        }
        if is_handshake {
            upstream.upgrade(&mut peer, &ctx.attempts);
        }
        Ok(peer)
    }

    /// Whether the request goes on to another address. Nothing of it was sent, whatever its method.
    pub(super) fn goes_elsewhere(&self, peer: &HttpPeer, ctx: &mut Context, error: &Error) -> bool {
        let cause = describe(error);
        self.upstream(ctx).is_some_and(|upstream| {
            upstream.miss(peer, (error, &cause), &mut ctx.attempts, self.clock.now())
        })
    }

    /// Makes the request what this upstream gets to see.
    pub(super) fn edit_request(
        &self,
        session: &Session,
        request: &mut RequestHeader,
        ctx: &Context,
    ) -> pingora::Result<()> {
        let (Some(admission), Some(upstream)) = (ctx.admission(), self.upstream(ctx)) else {
            return Err(our_fault());
        };
        let forwarding = Forwarding {
            admission,
            peer: ctx.peer,
            is_trusted_peer: ctx.is_trusted_peer,
            request_id: &ctx.request_id,
            rewritten: ctx.rewritten.as_ref(),
            host: match &upstream.settings.host {
                HostHeader::Client => Host::IfMissing(&upstream.settings.authority),
                HostHeader::Fixed { host, scheme } => Host::Fixed { host, scheme: *scheme },
            },
            forward_credentials: upstream.settings.forward_credentials,
            is_handshake: is_websocket_handshake(session.req_header()),
        };
        self.headers.apply(request, &forwarding);
        Ok(())
    }
}

/// Whether a request that was sent is sent again. It may have had its effect: only on account of a
/// kept connection that has ended, where sending it twice is the same as once (RFC 9110 section
/// 9.2.2), all of its body is still there, and nothing of an answer came.
pub(super) fn is_repeated(
    session: &Session,
    ctx: &mut Context,
    error: &Error,
    is_reused: bool,
) -> bool {
    let mut retry = error.retry;
    retry.decide_reuse(is_reused);
    retry.retry()
        && session.req_header().method.is_idempotent()
        && !session.as_ref().retry_buffer_truncated()
        && !ends_within_head(error)
        && ctx.attempts.repeat()
}

/// Whether a part of an answer's head had come; Pingora tells it in words alone. Words that are not
/// known mean that it had.
fn ends_within_head(error: &Error) -> bool {
    let context = error.context.as_ref().map_or("", |context| context.as_str());
    !context.ends_with("bytes already read: 0")
}
