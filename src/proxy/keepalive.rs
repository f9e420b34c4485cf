//! What an answer may promise about its connection.

use pingora_proxy::Session;

use super::connection;

/// Ends the connection with the answer that is about to begin, if more than its request has been read:
/// that is lost, and RFC 9112 section 9.6 wants it said.
pub(super) fn admit_losses(session: &mut Session) -> pingora::Result<()> {
    let Some(h1) = session.as_http1() else { return Ok(()) };
    let request = h1.get_headers_raw_bytes().len() + h1.body_bytes_read();
    if connection(session)?.has_read_beyond(request) {
        session.set_keepalive(None);
    }
    Ok(())
}
