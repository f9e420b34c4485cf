//! What the log says of a token that was refused.

use super::policy::BoundRule;
use super::rejection::Reason;
use super::request::Request;
use crate::authn::TokenError;

/// `detail` is how the token differs from one that would do.
pub(super) fn tell(
    error: TokenError,
    detail: Option<&str>,
    bound: &BoundRule,
    request: &Request<'_>,
) {
    tracing::warn!(
        reason = Reason::from(error).word(),
        cause = %error,
        detail,
        client = %request.client.addr,
        rule = bound.rule.id(),
        request_id = request.request_id.to_str().ok(),
        hint = hint(error),
        "JWT validation failed"
    );
}

/// What an operator should look at first.
const fn hint(error: TokenError) -> Option<&'static str> {
    Some(match error {
        TokenError::NotIntrospected => {
            "an opaque token (personal access token?) needs ZITADEL_CLIENT_ID and \
             ZITADEL_CLIENT_SECRET, or ZITADEL_KEY_FILE"
        }
        TokenError::WrongIssuer => "check that ZITADEL_ISSUER_URL matches the token's iss exactly",
        TokenError::WrongAudience => "check ZITADEL_AUDIENCE",
        TokenError::NotYetValid => "compare this clock with the issuer's",
        TokenError::WrongTokenKind => "send an access token, not an ID token",
        TokenError::Inactive => {
            "expired, revoked, or issued without the scope that puts this project into its audience"
        }
        TokenError::KeysUnavailable => "check that the issuer can be reached",
        TokenError::IntrospectionUnavailable => "the line \"introspection failed\" has the cause",
        _ => return None,
    })
}
