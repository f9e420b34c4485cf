//! What a token says, read strictly: a claim of the wrong type makes the token malformed, it is
//! never taken as absent.

use std::time::Duration;

use super::TokenError;
use super::json::{self, Object, Value};
use super::settings::Audiences;
use crate::clock::{Now, millis};

const MAX_CLAIMS_DEPTH: usize = 16;

/// Last second of the year 9999; what lies beyond is no date but an attack on arithmetic.
const MAX_NUMERIC_DATE: u64 = 253_402_300_799;

/// Claims that only ID tokens carry (`OpenID` Connect Core sections 2 and 3.3.2.11).
const ID_TOKEN_CLAIMS: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];

/// The events of a logout token, and the key that its bearer has to prove.
const BINDING_CLAIMS: [&str; 2] = ["events", "cnf"];

/// Claims about the login. Beside `azp` and without `jti` or a scope they tell ZITADEL's ID tokens
/// that were issued without nonce and access token; other providers' access tokens with `azp` have
/// one of the latter two.
const LOGIN_CLAIMS: [&str; 3] = ["auth_time", "amr", "sid"];

/// The claims of a JWT or of an introspection response.
pub(super) struct Claims<'a>(Object<'a>);

impl<'a> Claims<'a> {
    /// Parses an object with unique names.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, TokenError> {
        let object =
            json::parse_object(bytes, MAX_CLAIMS_DEPTH).map_err(|_| TokenError::MalformedToken)?;
        Ok(Self(object))
    }

    /// Without the bytes that they were read from.
    pub(super) fn into_owned(self) -> Claims<'static> {
        Claims(self.0.into_owned())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.0.iter()
    }

    /// A claim that must be text when it is there.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, TokenError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(TokenError::MalformedToken),
        }
    }

    /// `exp` in milliseconds since the epoch, when it has not passed. It gets no skew: a token dies
    /// when its issuer says so.
    pub(super) fn expiry(&self, now: Now) -> Result<Option<u64>, TokenError> {
        let expiry = self.date("exp")?;
        match expiry {
            Some(expiry) if expiry <= now.unix_millis() => Err(TokenError::Expired),
            _ => Ok(expiry),
        }
    }

    /// Checks `nbf` and `iat` against a clock that may be behind the issuer's by `skew`.
    pub(super) fn check_started(&self, now: Now, skew: Duration) -> Result<(), TokenError> {
        let skew = millis(skew);
        let latest = now.unix_millis().saturating_add(skew);
        for name in ["nbf", "iat"] {
            if self.date(name)?.is_some_and(|start| start > latest) {
                return Err(TokenError::NotYetValid);
            }
        }
        Ok(())
    }

    pub(super) fn issued_at(&self) -> Result<Option<u64>, TokenError> {
        self.date("iat")
    }

    /// Whom the token is meant for.
    pub(super) fn audiences(&self) -> Result<Vec<&str>, TokenError> {
        match self.0.get("aud") {
            None => Ok(Vec::new()),
            Some(Value::Text(audience)) => Ok(vec![audience]),
            Some(Value::Array(audiences)) => texts(audiences).ok_or(TokenError::MalformedToken),
            Some(_) => Err(TokenError::MalformedToken),
        }
    }

    pub(super) fn check_audience(&self, allowed: &Audiences) -> Result<(), TokenError> {
        let audiences = self.audiences()?;
        match allowed {
            Audiences::Any => Ok(()),
            Audiences::List(allowed) => {
                let is_ours = |audience: &&str| allowed.iter().any(|allowed| allowed == audience);
                audiences.iter().any(is_ours).then_some(()).ok_or(TokenError::WrongAudience)
            }
        }
    }

    /// Refuses what no access token carries: the events of a logout token, a proof-of-possession
    /// key (RFC 7800) whose proof we do not check.
    pub(super) fn check_unbound(&self) -> Result<(), TokenError> {
        let is_other = BINDING_CLAIMS.iter().any(|name| self.0.contains_key(name));
        if is_other { Err(TokenError::WrongTokenKind) } else { Ok(()) }
    }

    /// Refuses ID tokens and the other JWTs that providers sign with the same keys.
    pub(super) fn check_access_token(&self, is_declared: bool) -> Result<(), TokenError> {
        self.check_unbound()?;
        let has = |name: &&str| self.0.contains_key(name);
        let is_undeclared_id_token = !is_declared
            && has(&"azp")
            && LOGIN_CLAIMS.iter().any(has)
            && !["jti", "scope", "scp"].iter().any(has);
        if ID_TOKEN_CLAIMS.iter().any(has) || is_undeclared_id_token || self.names_another_kind() {
            return Err(TokenError::WrongTokenKind);
        }
        Ok(())
    }

    /// Keycloak writes the kind into `typ`, Amazon Cognito into `token_use`.
    fn names_another_kind(&self) -> bool {
        let says = |name: &str, kinds: &[&str]| {
            self.0.get(name).and_then(Value::as_str).is_some_and(|kind| kinds.contains(&kind))
        };
        says("typ", &["ID", "Refresh", "Offline", "Logout"]) || says("token_use", &["id"])
    }

    /// The claims that tell tokens of other kinds from plain access tokens.
    pub(super) fn signs_of_another_kind(&self) -> impl Iterator<Item = &'static str> {
        let telling = ["typ", "token_use", "token_type", "azp"];
        let all = BINDING_CLAIMS.into_iter().chain(ID_TOKEN_CLAIMS).chain(telling);
        all.chain(LOGIN_CLAIMS).filter(|name| self.0.contains_key(name))
    }

    /// Scopes from `scope` (RFC 8693 section 4.2) or `scp`, as text or as a list.
    pub(super) fn scopes(&self) -> Result<Vec<&str>, TokenError> {
        let mut scopes = Vec::new();
        for name in ["scope", "scp"] {
            match self.0.get(name) {
                None => {}
                Some(Value::Text(text)) => scopes.extend(text.split_ascii_whitespace()),
                Some(Value::Array(list)) => {
                    scopes.extend(texts(list).ok_or(TokenError::MalformedToken)?);
                }
                Some(_) => return Err(TokenError::MalformedToken),
            }
        }
        Ok(scopes)
    }

    /// RFC 7519 section 2 `NumericDate`, in milliseconds. Fractions are legal, text is not.
    pub(super) fn date(&self, name: &str) -> Result<Option<u64>, TokenError> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let Value::Number(number) = value else {
            return Err(TokenError::MalformedToken);
        };
        let millis = match (number.as_u64(), number.as_f64()) {
            (Some(secs), _) if secs <= MAX_NUMERIC_DATE => secs * 1_000,
            (None, Some(secs)) => fractional_date(secs).ok_or(TokenError::MalformedToken)?,
            _ => return Err(TokenError::MalformedToken),
        };
        Ok(Some(millis))
    }
}

fn fractional_date(secs: f64) -> Option<u64> {
    let millis = Duration::try_from_secs_f64(secs).ok()?.as_millis();
    u64::try_from(millis).ok().filter(|millis| *millis <= MAX_NUMERIC_DATE * 1_000)
}

fn texts<'a>(values: &'a [Value<'_>]) -> Option<Vec<&'a str>> {
    values.iter().map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claims(text: &str) -> Claims<'_> {
        Claims::parse(text.as_bytes()).expect("claims")
    }

    fn at(secs: u64) -> Now {
        Now::at(secs * 1_000, 1)
    }

    #[test]
    fn an_expiry_may_be_fractional_but_never_text_negative_or_absurd() {
        let expiry = |text: &str| claims(&format!(r#"{{"exp":{text}}}"#)).expiry(at(100));
        assert_eq!(expiry("101"), Ok(Some(101_000)));
        assert_eq!(expiry("101.25"), Ok(Some(101_250)));
        assert_eq!(expiry("1.5e2"), Ok(Some(150_000)));
        assert_eq!(claims("{}").expiry(at(100)), Ok(None));
        for text in ["100", "99.9", "0", "-0.0"] {
            assert_eq!(expiry(text), Err(TokenError::Expired), "{text}");
        }
        for text in
            ["\"101\"", "-1", "-0.5", "null", "true", "[101]", "9223372036854775808", "1e300"]
        {
            assert_eq!(expiry(text), Err(TokenError::MalformedToken), "{text}");
        }
    }

    #[test]
    fn a_start_beyond_the_skew_is_not_yet_valid() {
        let skew = Duration::from_secs(30);
        for name in ["nbf", "iat"] {
            let check = |value: &str| {
                claims(&format!(r#"{{"{name}":{value}}}"#)).check_started(at(100), skew)
            };
            assert_eq!(check("130"), Ok(()));
            assert_eq!(check("131"), Err(TokenError::NotYetValid));
            assert_eq!(check("\"1\""), Err(TokenError::MalformedToken));
        }
    }

    #[test]
    fn an_audience_matches_exactly_or_not_at_all() {
        let ours = Audiences::List(vec!["gateway".into()]);
        let check = |aud: &str| claims(&format!(r#"{{"aud":{aud}}}"#)).check_audience(&ours);
        assert_eq!(check(r#""gateway""#), Ok(()));
        assert_eq!(check(r#"["other","gateway"]"#), Ok(()));
        for aud in [r#""""#, "[]", r#"[""]"#, r#""Gateway""#, r#""gate""#, r#""gateway2""#] {
            assert_eq!(check(aud), Err(TokenError::WrongAudience), "{aud}");
        }
        for aud in ["1", "null", "{}", r#"[["gateway"]]"#, r#"["gateway",1]"#] {
            assert_eq!(check(aud), Err(TokenError::MalformedToken), "{aud}");
        }
        assert_eq!(claims("{}").check_audience(&ours), Err(TokenError::WrongAudience));
        assert_eq!(claims("{}").check_audience(&Audiences::Any), Ok(()));
    }

    #[test]
    fn token_kinds_are_told_apart() {
        let check = |text: &str| claims(text).check_access_token(false);
        for access in [
            r#"{"client_id":"c","jti":"1","aud":["c","p"]}"#,
            r#"{"azp":"c","jti":"1","sid":"s","typ":"Bearer","auth_time":1}"#,
            r#"{"azp":"c","scope":"openid","iat":1}"#,
            r#"{"azp":"c","roles":["a"]}"#,
            r#"{"token_use":"access","client_id":"c"}"#,
        ] {
            assert_eq!(check(access), Ok(()), "{access}");
        }
        for other in [
            r#"{"azp":"c","client_id":"c","amr":["pwd"],"auth_time":1,"sid":"s"}"#,
            r#"{"nonce":"n"}"#,
            r#"{"at_hash":"h"}"#,
            r#"{"c_hash":"h","jti":"1"}"#,
            r#"{"events":{}}"#,
            r#"{"cnf":{"jkt":"x"},"jti":"1"}"#,
            r#"{"typ":"ID","jti":"1"}"#,
            r#"{"token_use":"id"}"#,
        ] {
            assert_eq!(check(other), Err(TokenError::WrongTokenKind), "{other}");
        }
    }

    #[test]
    fn scopes_come_as_text_or_list() {
        assert_eq!(claims(r#"{"scope":"a  b"}"#).scopes(), Ok(vec!["a", "b"]));
        assert_eq!(claims(r#"{"scp":["a","b"]}"#).scopes(), Ok(vec!["a", "b"]));
        assert_eq!(claims(r#"{"scope":1}"#).scopes(), Err(TokenError::MalformedToken));
    }

    proptest! {
        #[test]
        fn any_number_is_a_date_or_malformed(number in any::<f64>()) {
            prop_assume!(number.is_finite());
            let text = serde_json::to_string(&number).expect("number");
            let date = claims(&format!(r#"{{"exp":{text}}}"#)).date("exp");
            let is_date = (0.0..=253_402_300_799.0).contains(&number);
            prop_assert_eq!(date.is_ok(), is_date);
        }
    }
}
