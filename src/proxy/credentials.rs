//! Tokens that come elsewhere than in Authorization: whether a cookie counts, and what is left of the
//! request when its token is taken out.

use std::time::Duration;

use http::header::{AUTHORIZATION, ORIGIN};
use http::uri::{InvalidUri, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Uri};
use pingora::http::RequestHeader;
use pingora::prelude::{ErrorType, OrErr};
use pingora_proxy::Session;

use super::Proxy;
use super::context::Context;
use super::forwarded::scheme;
use super::parts::take_request;
use super::upgrade::is_websocket_handshake;
use crate::authn::Credentials;
use crate::authn::credentials::Sender;
use crate::edge::Connection;
use crate::rules::Target;

/// What is wrong with a handshake that no browser could complete.
pub(super) const TOKEN_ALONE: &str = "beside the subprotocol that carries the token, offer one that \
     the answer can name: browsers fail a handshake whose answer names none of those offered";

impl Proxy {
    /// What is known of the sender of a request, so far as tokens are concerned.
    pub(super) fn sender(
        &self,
        header: &RequestHeader,
        target: &Target<'_>,
        ctx: &Context,
    ) -> Sender {
        if self.credentials.is_plain() {
            return Sender::default();
        }
        let is_handshake = is_websocket_handshake(header);
        let is_safe =
            matches!(header.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
        let is_harmless = is_safe && !is_handshake;
        let is_vouched_for = is_harmless || has_known_origin(&header.headers, target, ctx);
        Sender { is_handshake, is_vouched_for }
    }

    /// Takes whatever carries a token out of a request that was admitted, also by a public rule. An
    /// upstream that gets credentials finds the token in Authorization.
    pub(super) fn take_token_out(
        &self,
        request: &mut RequestHeader,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        if self.credentials.is_plain() {
            return Ok(());
        }
        let passed_on = self.token_to_pass_on(request, ctx);
        let mut parts = take_request(request);
        ctx.carried.companion = self.credentials.take_out(&mut parts.headers).companion;
        if let Some(value) = passed_on {
            parts.headers.insert(AUTHORIZATION, value);
        }
        let without = |target: &PathAndQuery| without_token(&self.credentials, target);
        if let Some(target) = parts.uri.path_and_query().and_then(without) {
            let mut uri = parts.uri.into_parts();
            uri.path_and_query = Some(target.or_err(ErrorType::InternalError, "query")?);
            parts.uri = Uri::from_parts(uri).or_err(ErrorType::InternalError, "query")?;
            ctx.carried.in_query = true;
        }
        if let Some(target) = ctx.rewritten.as_ref().and_then(without) {
            ctx.rewritten = Some(target.or_err(ErrorType::InternalError, "query")?);
        }
        *request = RequestHeader::from(parts);
        Ok(())
    }

    /// Lets the tunnel that begins last no longer than its caller's token.
    pub(super) fn end_with_token(&self, session: &Session, tunnel: &Connection, ctx: &Context) {
        let caller = ctx.admission().and_then(|admission| admission.caller());
        if let (Some(grace), Some(caller)) = (self.expiry_grace, caller) {
            let left = caller.expires_unix_millis.saturating_sub(self.clock.now().unix_millis());
            let head = session.as_http1().map_or(0, |h1| h1.get_headers_raw_bytes().len());
            tunnel.ends_after(grace.saturating_add(Duration::from_millis(left)), head);
        }
    }

    /// On a public rule nobody has looked yet: what would have been refused is not passed on.
    fn token_to_pass_on(&self, request: &RequestHeader, ctx: &Context) -> Option<HeaderValue> {
        if !self.upstream(ctx)?.settings.forward_credentials
            || request.headers.contains_key(AUTHORIZATION)
        {
            return None;
        }
        let query = request.uri.query();
        let offered = self.credentials.find(&request.headers, query, ctx.sender).ok()?;
        let bearer = offered.parse().ok()?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", bearer.token())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Whether a page of ours, or one that may read our answers, made the browser send the request.
fn has_known_origin(headers: &HeaderMap, target: &Target<'_>, ctx: &Context) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else { return false };
    // Not by `*`, which lets everybody read what is sent without cookies.
    if ctx.origin.as_ref() == Some(origin) {
        return true;
    }
    let scheme = scheme(headers, ctx.is_trusted_peer);
    origin.to_str().is_ok_and(|origin| target.is_of_origin(scheme, origin))
}

fn without_token(
    credentials: &Credentials,
    target: &PathAndQuery,
) -> Option<Result<PathAndQuery, InvalidUri>> {
    let rest = credentials.query_without_token(target.query()?)?;
    Some(match (target.path(), &*rest) {
        (path, "") => PathAndQuery::try_from(path),
        (path, rest) => PathAndQuery::try_from(format!("{path}?{rest}")),
    })
}
