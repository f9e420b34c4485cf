//! Compact JWS (RFC 7515) with the profile of RFC 8725: one signature, no extensions, no keys
//! from the token itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::TokenError;
use super::algorithm::Algorithm;
use super::json::{self, Object, Value};
use super::kid;

/// Longest protected header, encoded. Generous for an embedded `x5c` chain that is then ignored.
const MAX_HEADER_BYTES: usize = 8 * 1024;
const MAX_HEADER_DEPTH: usize = 6;

/// Extensions that change what is signed or how the payload is read. `crit` is among them because
/// we understand no extension, so that whatever it lists must be refused (RFC 7515 section 4.1.11).
const REFUSED_PARAMETERS: [&str; 4] = ["crit", "b64", "zip", "enc"];

/// A parsed token whose signature was not verified yet.
pub(super) struct Jws<'a> {
    pub(super) header: Header,
    payload: Vec<u8>,
    signing_input: &'a str,
    signature: Vec<u8>,
}

/// What we use of the protected header. `jku`, `jwk`, `x5u` and `x5c` are not even read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// `typ` is `at+jwt` (RFC 9068): the token says that it is an access token.
    pub(super) is_declared_access_token: bool,
}

impl<'a> Jws<'a> {
    /// Parses three non-empty canonical base64url parts, the first a header that we can honour.
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
        let (signing_input, signature) =
            token.rsplit_once('.').ok_or(TokenError::MalformedToken)?;
        let (header, payload) = signing_input.split_once('.').ok_or(TokenError::MalformedToken)?;
        if header.len() > MAX_HEADER_BYTES || payload.is_empty() || signature.is_empty() {
            return Err(TokenError::MalformedToken);
        }
        let header = Header::parse(&decode(header)?)?;
        let payload = decode(payload)?;
        let signature = decode(signature)?;
        if !header.algorithm.fits_signature(signature.len()) {
            return Err(TokenError::BadSignature);
        }
        Ok(Self { header, payload, signing_input, signature })
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What was signed.
    pub(super) fn message(&self) -> &[u8] {
        self.signing_input.as_bytes()
    }

    /// Decoded; of a length that the algorithm makes.
    pub(super) fn signature(&self) -> &Vec<u8> {
        &self.signature
    }
}

/// Header and payload of a token, whatever else is wrong with it; for the log.
pub(super) fn peek(token: &str) -> Option<(Object<'static>, Vec<u8>)> {
    let (signing_input, _) = token.rsplit_once('.')?;
    let (header, payload) = signing_input.split_once('.')?;
    if header.len() > MAX_HEADER_BYTES {
        return None;
    }
    let header = decode(header).ok()?;
    let header = json::parse_object(&header, MAX_HEADER_DEPTH).ok()?.into_owned();
    Some((header, decode(payload).ok()?))
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, TokenError> {
        let object =
            json::parse_object(bytes, MAX_HEADER_DEPTH).map_err(|_| TokenError::MalformedToken)?;
        if REFUSED_PARAMETERS.iter().any(|name| object.contains_key(name)) || is_nested(&object) {
            return Err(TokenError::MalformedToken);
        }
        let algorithm = match object.get("alg") {
            Some(Value::Text(name)) => name.parse().map_err(|_| TokenError::AlgorithmNotAllowed)?,
            _ => return Err(TokenError::MalformedToken),
        };
        Ok(Self {
            algorithm,
            kid: kid::parse(object.get("kid")).map_err(|_| TokenError::MalformedToken)?,
            is_declared_access_token: parse_typ(object.get("typ"))?,
        })
    }
}

/// A JWT inside the JWT (RFC 7519 section 5.2): the claims would be those of nobody.
fn is_nested(header: &Object<'_>) -> bool {
    header.get("cty").is_some_and(|cty| {
        cty.as_str().is_none_or(|cty| {
            cty.eq_ignore_ascii_case("JWT") || cty.eq_ignore_ascii_case("application/jwt")
        })
    })
}

/// Whether the token declares itself an access token. ZITADEL's say `JWT`, as its ID tokens do.
fn parse_typ(typ: Option<&Value<'_>>) -> Result<bool, TokenError> {
    let typ = match typ {
        None => return Ok(false),
        Some(Value::Text(typ)) => typ,
        Some(_) => return Err(TokenError::MalformedToken),
    };
    if typ.eq_ignore_ascii_case("JWT") {
        Ok(false)
    } else if typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt") {
        Ok(true)
    } else {
        Err(TokenError::WrongTokenKind)
    }
}

/// Refuses padding, white space, the other alphabet and non-zero trailing bits: each would give
/// one token many spellings.
fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::MalformedToken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(header: &str, expected: Result<(Algorithm, Option<&str>, bool), TokenError>) {
        let parsed = Header::parse(header.as_bytes());
        let expected = expected.map(|(algorithm, kid, is_declared_access_token)| Header {
            algorithm,
            kid: kid.map(str::to_owned),
            is_declared_access_token,
        });
        assert_eq!(parsed, expected, "{header}");
    }

    #[test]
    fn the_three_spellings_of_an_access_token_are_accepted() {
        check(r#"{"alg":"RS256"}"#, Ok((Algorithm::RS256, None, false)));
        check(r#"{"alg":"ES256","kid":"1","typ":"JWT"}"#, Ok((Algorithm::ES256, Some("1"), false)));
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"] {
            let header = format!(r#"{{"alg":"EdDSA","typ":"{typ}"}}"#);
            check(&header, Ok((Algorithm::EdDSA, None, true)));
        }
    }

    #[test]
    fn other_kinds_of_jwt_are_refused() {
        for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE", "", "at+jwt "] {
            let header = format!(r#"{{"alg":"RS256","typ":"{typ}"}}"#);
            check(&header, Err(TokenError::WrongTokenKind));
        }
        check(r#"{"alg":"RS256","typ":1}"#, Err(TokenError::MalformedToken));
    }

    #[test]
    fn keys_in_the_header_are_ignored() {
        check(
            r#"{"alg":"RS256","jku":"http://x","x5u":"http://x","x5c":["a"],"jwk":{"k":[1]}}"#,
            Ok((Algorithm::RS256, None, false)),
        );
    }

    proptest! {
        #[test]
        fn parsing_any_text_never_panics(text in "\\PC{0,80}") {
            let _ = Jws::parse(&text);
        }

        #[test]
        fn parsing_any_header_bytes_never_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let _ = Header::parse(&bytes);
        }
    }
}
