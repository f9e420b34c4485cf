//! The one table of refusals: every way in which a request is turned away, with the status and the
//! word by which the body, the log and the metrics call it.

use std::sync::Arc;

use super::caller::Caller;
use super::policy::BoundRule;
use super::standings::Standings;
use crate::authn::TokenError;

/// Seconds after which an outage is worth another try: by then a circuit breaker has sent its probe,
/// and an issuer without keys has been asked again.
const OUTAGE_RETRY_SECS: u32 = 1;

macro_rules! reasons {
    ($(#[doc = $when:literal] $name:ident = $status:literal $word:literal $title:literal;)*) => {
        /// Why a request was turned away.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = $when] $name,)*
        }

        impl Reason {
            /// Every reason, in the order of the README's table.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// HTTP status code.
            pub const fn status(self) -> u16 {
                match self { $(Reason::$name => $status,)* }
            }

            /// The stable word.
            pub const fn word(self) -> &'static str {
                match self { $(Reason::$name => $word,)* }
            }

            /// The README's third column.
            #[cfg(test)]
            const fn when(self) -> &'static str {
                match self { $(Reason::$name => $when,)* }
            }

            /// `title` of the problem document.
            pub const fn title(self) -> &'static str {
                match self { $(Reason::$name => $title,)* }
            }
        }
    };
}

reasons! {
    /// The path has more than one reading, or none.
    BadPath = 400 "bad_path" "The request path is ambiguous or malformed";
    /// A path parameter cannot be part of an OpenFGA object.
    BadObject = 400 "bad_object" "A path parameter is not a legal object id";
    /// The message has more than one reading, or none.
    BadRequest = 400 "bad_request" "The request is ambiguous or malformed";
    /// More than one credential.
    ConflictingCredentials = 400 "conflicting_credentials" "More than one credential was sent";
    /// No credential.
    MissingToken = 401 "missing_token" "A bearer token is required";
    /// Not a token that this gateway can read.
    MalformedToken = 401 "malformed_token" "The token is malformed";
    /// The signature does not verify.
    BadSignature = 401 "bad_signature" "The token's signature is invalid";
    /// The issuer has no such key.
    UnknownKey = 401 "unknown_key" "The token was signed with an unknown key";
    /// An algorithm that the issuer may not use, or that does not fit the key.
    AlgorithmNotAllowed = 401 "algorithm_not_allowed" "The token's algorithm is not allowed";
    /// Nobody whose tokens are accepted.
    WrongIssuer = 401 "wrong_issuer" "The token's issuer is not accepted";
    /// A token for somebody else.
    WrongAudience = 401 "wrong_audience" "The token is meant for another audience";
    /// Past its time.
    Expired = 401 "expired" "The token has expired";
    /// Before its time.
    NotYetValid = 401 "not_yet_valid" "The token is not valid yet";
    /// An ID token, a logout token, or one bound to a proof that was not given.
    WrongTokenKind = 401 "wrong_token_kind" "The token is not an access token";
    /// Introspection says no.
    Inactive = 401 "inactive" "The token is not active";
    /// No rule covers the request.
    NoRule = 403 "no_rule" "No rule allows this request";
    /// OpenFGA says no.
    Denied = 403 "denied" "Access is denied";
    /// None of the roles that the rule asks for.
    MissingRole = 403 "missing_role" "A required role is missing";
    /// Not all the scopes that the rule asks for.
    MissingScope = 403 "missing_scope" "A required scope is missing";
    /// Served to direct private peers only.
    PrivateOnly = 403 "private_only" "This is served on the private network only";
    /// The path has a rule, the method has none.
    MethodNotAllowed = 405 "method_not_allowed" "The method is not allowed here";
    /// Head or body took too long to arrive.
    SlowRequest = 408 "slow_request" "The request took too long to arrive";
    /// More body than allowed.
    BodyTooLarge = 413 "body_too_large" "The request body is too large";
    /// More target than allowed.
    UriTooLong = 414 "uri_too_long" "The request target is too long";
    /// The address has used up its limit.
    ClientLimited = 429 "client_limited" "Too many requests from this address";
    /// The address has sent too many tokens that were refused: `limits.failed_authentications`.
    TooManyFailures = 429 "too_many_failures" "Too many refused tokens from this address";
    /// The principal has used up its limit.
    PrincipalLimited = 429 "principal_limited" "Too many requests";
    /// More headers than allowed.
    HeadersTooLarge = 431 "headers_too_large" "The request headers are too large";
    /// A fault of the gateway itself: a line "panic" in its log.
    InternalError = 500 "internal_error" "The gateway has failed";
    /// The upstream could not be reached or broke off.
    UpstreamFailed = 502 "upstream_failed" "The upstream failed";
    /// Nobody can verify tokens at the moment.
    KeysUnavailable = 503 "keys_unavailable" "Tokens cannot be verified at the moment";
    /// The introspection endpoint does not answer, or nothing that can be read.
    IntrospectionUnavailable = 503 "introspection_unavailable" "Tokens cannot be verified at the moment";
    /// OpenFGA does not answer, or refuses the question.
    AuthorizationUnavailable = 503 "authorization_unavailable" "Permissions cannot be decided at the moment";
    /// Too many tokens of one address, or too many decisions, are waited for at once.
    Overloaded = 503 "overloaded" "The gateway has too much to do at the moment";
    /// The gateway is shutting down.
    Draining = 503 "draining" "The gateway is shutting down";
    /// The upstream took too long.
    UpstreamTimeout = 504 "upstream_timeout" "The upstream took too long";
    /// Our own name came back in Via.
    Loop = 508 "loop" "The request has passed this gateway before";
}

impl From<TokenError> for Reason {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Missing | TokenError::UnknownOrigin => Reason::MissingToken,
            TokenError::Conflicting => Reason::ConflictingCredentials,
            TokenError::MalformedToken | TokenError::NotIntrospected => Reason::MalformedToken,
            TokenError::BadSignature => Reason::BadSignature,
            TokenError::UnknownKey => Reason::UnknownKey,
            TokenError::AlgorithmNotAllowed => Reason::AlgorithmNotAllowed,
            TokenError::WrongIssuer => Reason::WrongIssuer,
            TokenError::WrongAudience => Reason::WrongAudience,
            TokenError::Expired => Reason::Expired,
            TokenError::NotYetValid => Reason::NotYetValid,
            TokenError::WrongTokenKind => Reason::WrongTokenKind,
            TokenError::Inactive => Reason::Inactive,
            TokenError::KeysUnavailable => Reason::KeysUnavailable,
            TokenError::IntrospectionUnavailable => Reason::IntrospectionUnavailable,
        }
    }
}

/// What a refusal tells the client beside its reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Advice {
    /// Nothing.
    #[default]
    None,
    /// The `Allow` header of a 405.
    Allow(Box<str>),
    /// `detail` of the problem document. Written in advance: it can quote neither the request nor
    /// anything of ours.
    Detail(&'static str),
}

impl Advice {
    /// What to change about a token, where its reason does not tell.
    pub(super) const fn about(error: TokenError) -> Self {
        match error {
            // No verdict on the cookie's token: it is not looked at, as if it had not been sent.
            TokenError::UnknownOrigin => Self::Detail(
                "a cookie counts here only beside an Origin that is the gateway's own or in \
                 cors.allowed_origins",
            ),
            _ => Self::None,
        }
    }
}

impl Reason {
    /// Seconds for `Retry-After`, where the reason alone tells; a limit's depend on how it stands.
    pub const fn retry_after_secs(self) -> Option<u32> {
        match self.status() {
            503 => Some(OUTAGE_RETRY_SECS),
            _ => None,
        }
    }
}

/// A request that goes no further, and what was known of it by then.
#[derive(Debug)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// What the client is told beside it.
    pub advice: Advice,
    /// The rule, when one was found.
    pub rule: Option<Arc<BoundRule>>,
    /// The caller, when one was verified.
    pub caller: Option<Arc<Caller>>,
    /// How its limits stand.
    pub standings: Standings,
}

impl Rejection {
    /// A refusal of a request of which nothing is known yet.
    pub fn early(reason: Reason) -> Self {
        Self {
            reason,
            advice: Advice::None,
            rule: None,
            caller: None,
            standings: Standings::default(),
        }
    }

    /// A refusal of the method; `allow` are those that would do.
    pub fn method(allow: &str) -> Self {
        Self { advice: Advice::Allow(allow.into()), ..Self::early(Reason::MethodNotAllowed) }
    }

    /// A refusal whose reason alone does not tell the client what to change.
    pub fn explained(reason: Reason, detail: &'static str) -> Self {
        Self { advice: Advice::Detail(detail), ..Self::early(reason) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_word_stands_for_two_reasons() {
        let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
    }

    #[test]
    fn the_readme_lists_exactly_this_table() {
        let readme = include_str!("../../README.md");
        for reason in Reason::ALL {
            let when = reason.when().trim().trim_end_matches('.');
            let row = format!("| {} | `{}` | {when} |", reason.status(), reason.word());
            assert!(readme.contains(&row), "README lacks {row}");
        }
        let rows = readme.lines().filter(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            cells.get(1).is_some_and(|c| c.len() == 3 && c.parse::<u16>().is_ok())
        });
        assert_eq!(rows.count(), Reason::ALL.len(), "README lists a refusal that does not exist");
    }
}
