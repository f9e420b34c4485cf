//! Why a request has no credential that counts.

/// One variant per reason that a client can be told; the text is the cause for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    /// No `Authorization: Bearer` header, nor anything in another place that is looked at.
    #[error("no bearer token")]
    Missing,
    /// Only a cookie, which a browser adds to what any page makes it send.
    #[error("only a cookie, and another site may have made the browser send it")]
    UnknownOrigin,
    /// More than one credential; taking either would let the other party see a different request.
    #[error("more than one credential")]
    Conflicting,
    /// Not a token that any issuer of ours could have made.
    #[error("malformed token")]
    MalformedToken,
    /// A token that only introspection can tell anything about, and no issuer has it configured.
    #[error("opaque token, and introspection is not configured")]
    NotIntrospected,
    /// The signature does not verify with the key that the token names.
    #[error("bad signature")]
    BadSignature,
    /// The issuer publishes no key of that name.
    #[error("unknown key")]
    UnknownKey,
    /// Not an algorithm of this issuer, or not one of the named key.
    #[error("algorithm not allowed")]
    AlgorithmNotAllowed,
    /// Not issued by a configured issuer.
    #[error("wrong issuer")]
    WrongIssuer,
    /// Not meant for any of the configured audiences.
    #[error("wrong audience")]
    WrongAudience,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `nbf` or `iat` lies in the future by more than the skew.
    #[error("not yet valid")]
    NotYetValid,
    /// An ID token, a logout token, or one bound to a proof that the request does not carry.
    #[error("wrong kind of token")]
    WrongTokenKind,
    /// Introspection says that the token is not active.
    #[error("inactive token")]
    Inactive,
    /// The issuer's keys could not be loaded, so nothing can be said about the token.
    #[error("keys unavailable")]
    KeysUnavailable,
    /// Introspection gave no usable answer, so nothing can be said about the token.
    #[error("introspection unavailable")]
    IntrospectionUnavailable,
}
