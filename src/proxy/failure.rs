//! What a client is told of a request that has failed, and what the failure is called.

use pingora::prelude::{Error, ErrorSource, ErrorType};
use pingora_proxy::{FailToProxy, Session};

use super::context::{Context, Outcome};
use super::{OUR_FAULT, Proxy, status_sent};
use crate::edge::{FaultyChunk, Overdue};
use crate::gate::rejection::Advice;
use crate::gate::{Reason, Rejection};

impl Proxy {
    pub(super) async fn tell_failure(
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
        match &mut ctx.outcome {
            Outcome::Admitted { failure, .. } => *failure = Some(reason),
            outcome => *outcome = Outcome::Rejected(Box::new(Rejection::early(reason))),
        }
        FailToProxy { error_code: reason.status(), can_reuse_downstream }
    }
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
