//! Which requests ask for a WebSocket.

use pingora::http::RequestHeader;

/// Whether `request` asks for a WebSocket as RFC 6455 section 4.1 has it. Anything else with an
/// Upgrade header is an ordinary request: Pingora does not forward the header.
pub(super) fn is_websocket_handshake(request: &RequestHeader) -> bool {
    let names = |header: http::HeaderName, word: &str| {
        request.headers.get_all(header).iter().any(|value| {
            value
                .to_str()
                .is_ok_and(|text| text.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
        })
    };
    request.method == http::Method::GET
        && request.version == http::Version::HTTP_11
        && names(http::header::UPGRADE, "websocket")
        && names(http::header::CONNECTION, "upgrade")
        && request.headers.contains_key(http::header::SEC_WEBSOCKET_KEY)
}
