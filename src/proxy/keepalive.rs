//! What an answer may promise about its connection.

use http::header::TRANSFER_ENCODING;
use pingora_proxy::Session;

use super::connection;

/// Ends the connection with the answer that is about to begin, if more than its request has been read:
/// that is lost, and RFC 9112 section 9.6 wants it said.
pub(super) fn admit_losses(session: &mut Session) -> pingora::Result<()> {
    let Some(h1) = session.as_http1() else { return Ok(()) };
    let request = h1.get_headers_raw_bytes().len() + h1.body_bytes_read();
    let is_chunked = session.req_header().headers.contains_key(TRANSFER_ENCODING);
    if connection(session)?.has_read_beyond(request, is_chunked) {
        session.set_keepalive(None);
    }
    Ok(())
}
