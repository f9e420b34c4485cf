//! What is counted and told about a request when it is over, exactly once.

use std::time::Duration;

use http::uri::PathAndQuery;
use pingora::prelude::Error;
use pingora_proxy::Session;

use super::access_log::{Line, decision_word};
use super::context::{Context, Outcome};
use super::{Proxy, status_sent};
use crate::authz::DecisionSource;
use crate::edge::{Connection, Overdue};
use crate::gate::{Admission, Reason};
use crate::metrics::NO_RULE;
use crate::telemetry::Sink;
use crate::upstream;

impl Proxy {
    /// Counts and tells a request that is over.
    pub(super) fn account(&self, session: &Session, error: Option<&Error>, ctx: &Context) {
        let took = self.clock.since(ctx.started);
        let status = status_sent(session).map_or(0, |status| status.as_u16());
        self.observe(ctx, status, took);
        if let Some(sink) = &self.access_log {
            self.log(session, error, ctx, (status, took), sink);
        }
    }

    /// Counts a finished request.
    fn observe(&self, ctx: &Context, status: u16, took: Duration) {
        let (rule, reason) = match &ctx.outcome {
            Outcome::Admitted { admission, failure } => (Some(admission.rule()), *failure),
            Outcome::Rejected(rejection) => (rejection.rule.as_ref(), Some(rejection.reason)),
            Outcome::Local | Outcome::Undecided => (None, None),
        };
        if let Some(reason) = reason {
            self.metrics.reject(rule.map(|rule| rule.id()), reason.word());
        }
        match rule {
            Some(rule) => rule.metrics.observe(status, took.as_secs_f64()),
            None => self.metrics.count_unruled(status),
        }
        if let Some(doubtful @ (DecisionSource::Stale | DecisionSource::Nobody)) =
            ctx.admission().and_then(Admission::decided)
        {
            self.metrics.doubtful_passes.with_label_values(&[decision_word(doubtful)]).inc();
        }
    }

    /// Writes its line.
    fn log(
        &self,
        session: &Session,
        error: Option<&Error>,
        ctx: &Context,
        (status, took): (u16, Duration),
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
        // Where the upstream is the first to close, Pingora has seen nothing but an end.
        let has_expired = || Connection::below(session).is_some_and(Connection::has_expired);
        let expired = || has_expired().then(|| Overdue::Token.to_string());
        let error = error.map(describe).or_else(expired);
        let host = header.headers.get(http::header::HOST).map(http::HeaderValue::as_bytes);
        let line = Line {
            started: ctx.started,
            duration_micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            request_id: &ctx.request_id,
            client: ctx.client,
            method: &header.method,
            host: host.unwrap_or_default(),
            path: ctx.rewritten.as_ref().map_or_else(|| header.uri.path(), PathAndQuery::path),
            status,
            bytes_sent: session.body_bytes_sent(),
            bytes_received: session.body_bytes_read(),
            rule: rule.map_or(NO_RULE, |rule| rule.id()),
            outcome,
            user: caller.map(|caller| caller.principal.user()),
            decision: decided.map(decision_word),
            upstream: self.upstream(ctx).map(|upstream| &*upstream.settings.name),
            error: error.as_deref(),
        };
        line.record(sink);
    }
}

/// What went wrong, in a line: who was silent, or what Pingora says.
pub(super) fn describe(error: &Error) -> String {
    Overdue::behind(error).map_or_else(|| upstream::describe(error), |overdue| overdue.to_string())
}
