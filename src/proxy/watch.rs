//! What a request's connection waits for, and how much of its body has come.

use bytes::Bytes;
use http::Version;
use http::header::TRANSFER_ENCODING;
use pingora::prelude::{Error, ErrorType};
use pingora_proxy::Session;

use super::context::Context;
use super::{Proxy, connection};
use crate::edge::{Awaited, PINGORA_WAITS};
use crate::gate::Reason;

impl Proxy {
    /// From here on, the connection minds how long anyone is silent, not Pingora.
    pub(super) fn watch(&self, session: &mut Session) -> pingora::Result<()> {
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

    pub(super) fn watch_request_body(
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

    pub(super) fn watch_response_body(
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
}
