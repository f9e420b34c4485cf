//! The endpoints that the traffic port takes from the application: `/health` and `/metrics`.

use http::{Method, StatusCode};

use super::Proxy;
use super::respond::Reply;
use crate::gate::{Client, Reason, Rejection};
use crate::metrics::EXPOSITION;

/// The answer of a local endpoint, if `path` is one.
pub(super) fn answer(
    proxy: &Proxy,
    method: &Method,
    path: &str,
    client: Client,
) -> Option<Result<Reply, Rejection>> {
    let endpoint = match path {
        "/health" => health,
        "/metrics" => metrics,
        _ => return None,
    };
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Some(Err(Rejection::method("GET, HEAD")));
    }
    Some(endpoint(proxy, client))
}

fn health(proxy: &Proxy, _client: Client) -> Result<Reply, Rejection> {
    if proxy.readiness.is_healthy() {
        return Ok(Reply::new(StatusCode::OK, "text/plain; charset=utf-8", "OK"));
    }
    let draining = proxy.readiness.draining();
    let reason = if draining { Reason::Draining } else { Reason::KeysUnavailable };
    Err(Rejection::early(reason))
}

/// Metrics tell rule ids and rates: nothing for strangers.
fn metrics(proxy: &Proxy, client: Client) -> Result<Reply, Rejection> {
    if !client.is_private_peer {
        return Err(Rejection::early(Reason::PrivateOnly));
    }
    Ok(exposition(proxy))
}

fn exposition(proxy: &Proxy) -> Reply {
    match proxy.metrics.render() {
        Ok(text) => Reply::new(StatusCode::OK, EXPOSITION, text),
        Err(_) => Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
