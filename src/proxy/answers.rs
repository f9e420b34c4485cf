//! What of an upstream's answer goes on to the client: framing that has one reading, and nothing that
//! was meant for the gateway alone.
//!
//! Pingora has read the header by now, and reads the body as RFC 9112 section 6.3 has it: by its last
//! transfer coding, or else by its length, which must be one number. A coding makes it drop the length
//! unseen. How it frames the body for the client follows from what stands in the header afterwards.

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::prelude::{Error, ErrorType};
use pingora_proxy::Session;

use super::access_log::decision_word;
use super::context::Context;
use super::headers::X_REQUEST_ID;
use super::keepalive::admit_losses;
use super::parts::take_response;
use super::upgrade::is_websocket_handshake;
use super::{Proxy, connection, limit_headers};
use crate::authz::DecisionSource;
use crate::edge::Awaited;

/// Request id, five headers of limits, four of CORS.
const ADDED: usize = 10;

/// About the connection to the upstream, which is not the client's (RFC 9110 section 7.6.1). Trailers
/// are not passed on, and neither are a client's credentials for a proxy, so nobody could meet the
/// challenge.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "proxy-authenticate",
    "proxy-authentication-info",
];

const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// A bit for each length that a name of interest has: most others have another.
const LENGTHS: u32 = lengths(&HOP_BY_HOP) | lengths(&FRAMING);

/// What `Connection` cannot take away, for it is meant for everybody (RFC 9110 section 7.6.1): an
/// answer without it would be framed, read or kept in another way. With it, all `content-*`.
const FOR_EVERYBODY: [&str; 4] = ["transfer-encoding", "cache-control", "set-cookie", "vary"];

/// An answer that somebody else could read in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FaultyFraming {
    /// Bytes that only the upstream and its neighbours can decode, or a list of codings.
    #[error("the answer's Transfer-Encoding is not chunked alone")]
    Coding,
    /// RFC 9112 section 6.1.
    #[error("the answer is HTTP/1.0 and has a Transfer-Encoding")]
    OldCoding,
    /// RFC 9110 section 8.6.
    #[error("the answer's Content-Length is not one number")]
    Length,
}

/// Makes an answer fit for a client of the version `client`.
pub fn make_ours(answer: &mut Parts, client: Version) -> Result<(), FaultyFraming> {
    let found = Found::look(&answer.headers)?;
    if found.is_coded && answer.version != Version::HTTP_11 {
        return Err(FaultyFraming::OldCoding);
    }
    // RFC 9110 section 2.5: the version is the sender's own.
    answer.version = Version::HTTP_11;
    let (status, headers) = (answer.status, &mut answer.headers);
    let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
    if found.hops != 0 {
        remove_hops(headers, found.hops, is_switch);
    }
    if is_switch {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    let has_no_body = status.is_informational() || status == StatusCode::NO_CONTENT;
    if found.is_coded && (has_no_body || client < Version::HTTP_11) {
        headers.remove(TRANSFER_ENCODING);
    }
    match found.length {
        Some(_) if has_no_body || found.is_coded => {
            headers.remove(CONTENT_LENGTH);
        }
        Some(length) if found.lengths > 1 => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        _ => {}
    }
    Ok(())
}

/// What one look over all headers tells; asking for each by its name costs more.
#[derive(Debug, Default)]
struct Found {
    /// A bit for each of `HOP_BY_HOP`.
    hops: u8,
    is_coded: bool,
    length: Option<u64>,
    lengths: usize,
}

impl Found {
    fn look(headers: &HeaderMap) -> Result<Self, FaultyFraming> {
        let mut found = Self::default();
        for (name, value) in headers {
            if !may_matter(name) {
                continue;
            }
            if *name == CONTENT_LENGTH {
                found.take_lengths(value)?;
            } else if *name == TRANSFER_ENCODING {
                if found.is_coded || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                    return Err(FaultyFraming::Coding);
                }
                found.is_coded = true;
            } else if let Some(at) = HOP_BY_HOP.iter().position(|hop| *hop == name.as_str()) {
                found.hops |= 1 << at;
            }
        }
        Ok(found)
    }

    /// The same number more than once is that number.
    fn take_lengths(&mut self, value: &HeaderValue) -> Result<(), FaultyFraming> {
        for one in value.as_bytes().split(|byte| *byte == b',') {
            let length = number(one.trim_ascii()).ok_or(FaultyFraming::Length)?;
            if self.length.is_some_and(|known| known != length) {
                return Err(FaultyFraming::Length);
            }
            self.length = Some(length);
            self.lengths += 1;
        }
        Ok(())
    }
}

fn may_matter(name: &HeaderName) -> bool {
    LENGTHS.checked_shr(u32::try_from(name.as_str().len()).unwrap_or(u32::MAX)).unwrap_or(0) & 1
        == 1
}

const fn lengths(mut names: &[&str]) -> u32 {
    let mut lengths = 0;
    while let [first, rest @ ..] = names {
        lengths |= 1 << first.len();
        names = rest;
    }
    lengths
}

fn number(digits: &[u8]) -> Option<u64> {
    // `parse` would take a sign.
    let digits = Some(digits).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn remove_hops(headers: &mut HeaderMap, hops: u8, is_switch: bool) {
    let options = headers.get_all(CONNECTION).iter().filter(|value| names_headers(value));
    let options: Vec<_> = options.cloned().collect();
    for (at, name) in HOP_BY_HOP.iter().enumerate() {
        if hops & (1 << at) != 0 && !(is_switch && UPGRADE == *name) {
            headers.remove(*name);
        }
    }
    for option in options.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        let name = option.trim_ascii().to_ascii_lowercase();
        if let Ok(name) = std::str::from_utf8(&name)
            && !is_for_everybody(name)
            && name != UPGRADE.as_str()
        {
            headers.remove(name);
        }
    }
}

/// Whether it may say more than most servers do.
fn names_headers(connection: &HeaderValue) -> bool {
    let is = |word: &[u8]| connection.as_bytes().eq_ignore_ascii_case(word);
    !(is(b"keep-alive") || is(b"close") || is(b"upgrade"))
}

fn is_for_everybody(name: &str) -> bool {
    name.starts_with("content-") || FOR_EVERYBODY.contains(&name)
}

impl Proxy {
    /// The head of an answer has come, an interim one too.
    pub(super) fn edit_response(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> pingora::Result<()> {
        ctx.attempts.hear();
        let is_handshake = is_websocket_handshake(session.req_header());
        let is_body_done = session.as_downstream_mut().is_body_done();
        let connection = connection(session)?;
        match response.status {
            StatusCode::SWITCHING_PROTOCOLS if is_handshake => {
                connection.awaits(Awaited::Tunnel);
                self.end_with_token(session, connection, ctx);
            }
            StatusCode::SWITCHING_PROTOCOLS => {
                return Err(Error::new(ErrorType::InvalidHTTPHeader).into_up());
            }
            StatusCode::CONTINUE if !is_body_done => connection.awaits(Awaited::Body),
            _ => connection.progresses(),
        }
        self.pass_on(session, response, ctx)
    }

    /// Makes the upstream's answer one of ours, and adds what ours have.
    fn pass_on(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &Context,
    ) -> pingora::Result<()> {
        let mut parts = take_response(response);
        let client = session.req_header().version;
        make_ours(&mut parts, client).map_err(|fault| {
            Error::because(ErrorType::InvalidHTTPHeader, "an answer", fault).into_up()
        })?;
        if !parts.status.is_informational() || parts.status == StatusCode::SWITCHING_PROTOCOLS {
            self.add_ours(&mut parts.headers, ctx);
            ctx.carried.mark(&self.credentials, &mut parts);
            admit_losses(session)?;
        }
        // Only its end tells such a client where an answer of unknown length ends.
        if client < Version::HTTP_11 && !parts.headers.contains_key(CONTENT_LENGTH) {
            session.set_keepalive(None);
        }
        *response = ResponseHeader::from(parts);
        Ok(())
    }

    fn add_ours(&self, headers: &mut HeaderMap, ctx: &Context) {
        headers.reserve(ADDED);
        headers.insert(X_REQUEST_ID, ctx.request_id.clone());
        self.cors.overrule(ctx.origin.as_ref(), headers);
        let Some(admission) = ctx.admission() else { return };
        limit_headers::write(&self.limiter, admission.standings(), headers);
        if let Some(doubtful @ (DecisionSource::Stale | DecisionSource::Nobody)) =
            admission.decided()
        {
            let word = HeaderValue::from_static(decision_word(doubtful));
            headers.insert("x-authorization-decision", word);
        }
    }
}

#[cfg(test)]
mod tests;
