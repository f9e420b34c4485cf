//! What is carried from one hook of a request to the next.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::HeaderValue;
use http::uri::PathAndQuery;

use super::carried::Carried;
use crate::authn::credentials::Sender;
use crate::clock::Now;
use crate::gate::{Admission, Rejection};
use crate::underway::{Guard, Underway};
use crate::upstream::Attempts;

/// One request.
pub struct Context {
    /// When its headers were read.
    pub started: Now,
    /// Its id, once looked at.
    pub request_id: HeaderValue,
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// The client's address.
    pub client: IpAddr,
    /// Whether the peer is one of our proxies.
    pub is_trusted_peer: bool,
    /// The canonical target where it differs from what was sent.
    pub rewritten: Option<PathAndQuery>,
    /// The canonical Host where it differs from what was sent.
    pub host: Option<HeaderValue>,
    /// Value of Access-Control-Allow-Origin, when the origin is allowed.
    pub origin: Option<HeaderValue>,
    /// What is known of its sender.
    pub sender: Sender,
    /// What its answer owes to the place of its token.
    pub carried: Carried,
    /// How it went.
    pub outcome: Outcome,
    /// Whether the upstream's answer has come to its end.
    pub is_answered: bool,
    /// What was tried to reach the upstream.
    pub attempts: Attempts,
    /// Body bytes seen so far.
    pub body_bytes: u64,
    /// Counted while it lasts.
    _in_flight: Guard,
}

/// How a request went.
pub enum Outcome {
    /// Not decided; what stays so has broken off.
    Undecided,
    /// Answered here: a probe, a preflight.
    Local,
    /// Turned away.
    Rejected(Box<Rejection>),
    /// Let through; `failure` is the refusal that an upstream's failure ended in.
    Admitted {
        /// The permit.
        admission: Admission,
        /// What the client was told when the upstream failed.
        failure: Option<crate::gate::Reason>,
    },
}

impl Context {
    /// A request whose headers have just been read.
    pub fn new(started: Now, in_flight: &Arc<Underway>) -> Self {
        Self {
            started,
            request_id: HeaderValue::from_static("-"),
            peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            is_trusted_peer: false,
            rewritten: None,
            host: None,
            origin: None,
            sender: Sender::default(),
            carried: Carried::default(),
            outcome: Outcome::Undecided,
            is_answered: false,
            attempts: Attempts::default(),
            body_bytes: 0,
            _in_flight: in_flight.begin(),
        }
    }

    /// The permit, if there is one.
    pub fn admission(&self) -> Option<&Admission> {
        match &self.outcome {
            Outcome::Admitted { admission, .. } => Some(admission),
            Outcome::Undecided | Outcome::Local | Outcome::Rejected(_) => None,
        }
    }
}
