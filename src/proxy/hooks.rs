//! What Pingora calls for each request, in this order; a panic in a hook costs the request that it is
//! for, and nothing else.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::prelude::{Error, HttpPeer};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use super::attempt::is_repeated;
use super::context::Context;
use super::{Proxy, our_fault};

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
        shielded(self.judge(session, ctx)).await
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> pingora::Result<Box<HttpPeer>> {
        shielded_call(|| self.attempt(session, ctx))
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        peer: &HttpPeer,
        ctx: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let goes_on = shielded_call(|| Ok(self.goes_elsewhere(peer, ctx, &error)));
        error.set_retry(goes_on.unwrap_or(false));
        error
    }

    /// The only place for the headers that an upstream gets: earlier ones could be removed by the
    /// client's `Connection` header.
    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        shielded_call(|| self.edit_request(session, request, ctx))
    }

    /// Never waits: on a request without a body that would tear WebSockets down (pingora #946).
    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        shielded_call(|| self.watch_request_body(session, body.as_ref(), end_of_stream, ctx))
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> pingora::Result<Option<Duration>> {
        shielded_call(|| Self::watch_response_body(session, end_of_stream, ctx))?;
        Ok(None)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        shielded_call(|| self.edit_response(session, response, ctx))
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Context,
        client_reused: bool,
    ) -> Box<Error> {
        let goes_on = shielded_call(|| Ok(is_repeated(session, ctx, &error, client_reused)));
        error.set_retry(goes_on.unwrap_or(false));
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Context,
    ) -> FailToProxy {
        let told = AssertUnwindSafe(self.tell_failure(session, error, ctx)).catch_unwind().await;
        told.unwrap_or(FailToProxy { error_code: 0, can_reuse_downstream: false })
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Context) {
        // The hook of panics has told what there is to tell.
        let _ = catch_unwind(AssertUnwindSafe(|| self.account(session, error, ctx)));
    }

    /// The access-log line carries the error; Pingora's own line would carry the query.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Context, _error: &Error) -> bool {
        true
    }

    /// An upstream's addresses are told of when they begin and cease to fail, not per request.
    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        ctx: &Context,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        ctx.attempts.goes_on()
    }

    /// For the retry warnings that are left: no path, no query.
    fn request_summary(&self, _session: &Session, ctx: &Context) -> String {
        format!("request {}", ctx.request_id.to_str().unwrap_or("-"))
    }
}

/// No `async fn`: that would hold the hook's future twice.
fn shielded<T>(
    hook: impl Future<Output = pingora::Result<T>>,
) -> impl Future<Output = pingora::Result<T>> {
    AssertUnwindSafe(hook)
        .catch_unwind()
        .map(|outcome| outcome.unwrap_or_else(|_| Err(our_fault())))
}

fn shielded_call<T>(hook: impl FnOnce() -> pingora::Result<T>) -> pingora::Result<T> {
    catch_unwind(AssertUnwindSafe(hook)).unwrap_or_else(|_| Err(our_fault()))
}
