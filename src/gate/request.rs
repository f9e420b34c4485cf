//! What the gate looks at.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use crate::authn::Credentials;
use crate::authn::credentials::Sender;
use crate::rules::Target;

/// One request, as far as the verdict depends on it.
#[derive(Debug)]
pub struct Request<'a> {
    /// Method, host and canonical path.
    pub target: Target<'a>,
    /// All headers as received.
    pub headers: &'a HeaderMap,
    /// Who is at the other end.
    pub client: Client,
    /// Where its token is looked for.
    pub credentials: &'a Credentials,
    /// What else is known of who sent it.
    pub sender: Sender,
    /// By which the log calls the request.
    pub request_id: &'a HeaderValue,
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The client's address; behind trusted proxies the one they report.
    pub addr: IpAddr,
    /// A loopback or private address that speaks to us directly, with no proxy between.
    pub is_private_peer: bool,
}
