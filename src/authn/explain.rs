//! What the log tells of a refused token beside the reason: what the token says, and what would do.
//!
//! Never a part of the token itself. Before its signature is verified, what a token says is its
//! bearer's word; so it is quoted and cut.

use super::claims::Claims;
use super::json::{Object, Value};
use super::jwt::{self, Jws};
use super::principal::Realm;
use super::roles::BARE_ROLES;
use super::{Algorithm, Authenticator, Bearer, Issuer, Principal, Shape, TokenError};
use crate::clock::Now;

/// Characters that are told of what a token says.
const MAX_SAID: usize = 100;
/// Characters that are told of what is accepted; the configuration's own words.
const MAX_ACCEPTED: usize = 500;

type Header = Object<'static>;

impl Authenticator {
    /// How a token that got `refusal` differs from one that would do; `None` where the reason says
    /// it all.
    pub fn explain(&self, bearer: Bearer<'_>, refusal: TokenError, now: Now) -> Option<String> {
        match bearer.shape() {
            Ok(Shape::Jwt) => self.explain_jwt(bearer.token(), refusal, now),
            // Only its issuer knows what it says.
            Ok(Shape::Opaque) => self.introspection()?.explanation(bearer.token(), refusal),
            Err(_) => Some("token has dots, but is no JWT".to_owned()),
        }
    }

    fn explain_jwt(&self, token: &str, refusal: TokenError, now: Now) -> Option<String> {
        let Some((header, payload)) = jwt::peek(token) else {
            return Some("token has a header that cannot be read".to_owned());
        };
        let claims = Claims::parse(&payload);
        let issuer = claims.as_ref().ok().and_then(|claims| {
            let url = claims.text("iss").ok()??;
            self.issuer(url)
        });
        match (refusal, claims) {
            (TokenError::UnknownKey | TokenError::KeysUnavailable, _) => {
                Some(explain_key(&header, issuer))
            }
            (TokenError::BadSignature, _) => {
                Some(format!("{}; no key verifies it", explain_key(&header, issuer)))
            }
            (TokenError::AlgorithmNotAllowed, _) => Some(explain_algorithm(&header, issuer)),
            (TokenError::WrongTokenKind, _) if Jws::parse(token).is_err() => {
                Some(format!("token says typ {}; accepted: 'JWT', 'at+jwt'", said(&header, "typ")))
            }
            (TokenError::MalformedToken, _) if Jws::parse(token).is_err() => {
                Some("token has a header that is malformed or asks for an extension".to_owned())
            }
            (_, Err(_)) => {
                Some("token has a payload that is no JSON object with unique names".to_owned())
            }
            (TokenError::WrongIssuer, Ok(claims)) => {
                explain_issuer(&claims, self.issuers.iter().map(|issuer| &*issuer.realm.issuer))
            }
            (_, Ok(claims)) => match issuer {
                Some(issuer) => explain_claims(&claims, refusal, &issuer.realm, now)
                    .or_else(|| explain_malformed(&claims, refusal, &["exp"], &issuer.realm)),
                None if claims.get("iss").is_some() => Some(malformed("iss")),
                None => Some("token says no iss".to_owned()),
            },
        }
    }

    pub(super) fn issuer(&self, url: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| *issuer.realm.issuer == *url)
    }
}

impl Principal {
    /// Why none of the `wanted` roles counts although the token has one of them; `None` where it
    /// has none.
    pub fn explain_missing_role(&self, wanted: &[impl AsRef<str>]) -> Option<String> {
        let is_doubted = |role: &&str| self.doubted_roles().any(|doubted| doubted == *role);
        let role = wanted.iter().map(AsRef::as_ref).find(is_doubted)?;
        let role = quoted([role], MAX_SAID);
        let client = quoted(self.client_id(), MAX_SAID);
        Some(format!("token has role {role} in {BARE_ROLES} only, and says client_id {client}"))
    }

    /// How the token's audience differs from the `wanted` one.
    pub fn explain_audience(&self, wanted: &[impl AsRef<str>]) -> String {
        let said = quoted(self.audiences(), MAX_SAID);
        let accepted = quoted(wanted.iter().map(AsRef::as_ref), MAX_ACCEPTED);
        format!("token says aud {said}; the rule accepts: {accepted}")
    }
}

/// What an introspection answer says, for a refusal that it got.
pub(super) fn explain_answer(
    claims: &Claims<'_>,
    refusal: TokenError,
    realm: &Realm,
    now: Now,
) -> Option<String> {
    match refusal {
        TokenError::WrongIssuer => explain_issuer(claims, [&*realm.issuer]),
        _ => explain_claims(claims, refusal, realm, now)
            .or_else(|| explain_malformed(claims, refusal, &[], realm)),
    }
}

fn explain_key(header: &Header, issuer: Option<&Issuer>) -> String {
    let kids = issuer.map(|issuer| issuer.keys.kids()).unwrap_or_default();
    let (kid, alg) = (said(header, "kid"), said(header, "alg"));
    let known = quoted(kids.iter().map(String::as_str), MAX_ACCEPTED);
    format!("token says kid {kid}, alg {alg}; the issuer's keys: {known}")
}

fn explain_algorithm(header: &Header, issuer: Option<&Issuer>) -> String {
    let (kid, alg) = (said(header, "kid"), said(header, "alg"));
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(|name| name.parse().ok());
    let accepted = |of: &str, fits: &dyn Fn(Algorithm) -> bool| {
        let names = Algorithm::ALL.into_iter().filter(|one| fits(*one)).map(Algorithm::name);
        format!("token says alg {alg}, kid {kid}; {of}: {}", quoted(names, MAX_ACCEPTED))
    };
    let Some(issuer) = issuer else {
        return accepted("known", &|_| true);
    };
    match algorithm {
        Some(one) if issuer.algorithms.contains(one) => {
            let kid = header.get("kid").and_then(Value::as_str);
            let fitting = issuer.keys.algorithms_of(kid);
            accepted("the key is for", &|one| fitting.contains(one))
        }
        _ => accepted("accepted", &|one| issuer.algorithms.contains(one)),
    }
}

fn explain_issuer<'a>(
    claims: &Claims<'_>,
    accepted: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let said = quoted(claims.text("iss").ok()?, MAX_SAID);
    Some(format!("token says iss {said}; accepted: {}", quoted(accepted, MAX_ACCEPTED)))
}

fn explain_claims(
    claims: &Claims<'_>,
    refusal: TokenError,
    realm: &Realm,
    now: Now,
) -> Option<String> {
    match refusal {
        TokenError::WrongAudience => {
            let said = quoted(claims.audiences().ok()?, MAX_SAID);
            let accepted = realm.audiences.list().iter().map(String::as_str);
            Some(format!("token says aud {said}; accepted: {}", quoted(accepted, MAX_ACCEPTED)))
        }
        TokenError::Expired => {
            let exp = claims.date("exp").ok()??;
            let ago = secs(now.unix_millis().checked_sub(exp)?);
            let (exp, now) = (secs(exp), secs(now.unix_millis()));
            Some(format!("token says it expired {ago} s ago: exp {exp}, now {now}"))
        }
        TokenError::NotYetValid => {
            let starts = ["nbf", "iat"].map(|name| claims.date(name).ok().flatten().map(secs));
            let now = secs(now.unix_millis());
            let ahead = starts.into_iter().flatten().max()?.checked_sub(now)?;
            let [nbf, iat] = starts.map(|date| date.map_or("none".to_owned(), |d| d.to_string()));
            Some(format!("token says it starts in {ahead} s: nbf {nbf}, iat {iat}, now {now}"))
        }
        TokenError::WrongTokenKind => {
            let signs = quoted(claims.signs_of_another_kind(), MAX_SAID);
            Some(format!("token shows its kind in its claims: {signs}"))
        }
        _ => None,
    }
}

/// Names the claim for which a token is malformed.
fn explain_malformed(
    claims: &Claims<'_>,
    refusal: TokenError,
    required: &[&'static str],
    realm: &Realm,
) -> Option<String> {
    if refusal != TokenError::MalformedToken {
        return None;
    }
    let is_missing = |name: &&&'static str| claims.get(name).is_none();
    let odd = required.iter().find(is_missing).copied().or_else(|| {
        let checks = [
            ("iss", claims.text("iss").is_err()),
            ("exp", claims.date("exp").is_err()),
            ("nbf", claims.date("nbf").is_err()),
            ("iat", claims.date("iat").is_err()),
            ("aud", claims.audiences().is_err()),
            ("scope", claims.scopes().is_err()),
            ("sid", claims.text("sid").is_err()),
            ("token_type", claims.text("token_type").is_err()),
            ("sub", realm.user(claims).is_err()),
        ];
        checks.into_iter().find_map(|(name, is_odd)| is_odd.then_some(name))
    });
    let Some(odd) = odd else {
        return Some("token claims more than is kept of one".to_owned());
    };
    Some(malformed(odd))
}

fn malformed(claim: &str) -> String {
    format!("token has a missing or malformed claim: '{claim}'")
}

fn said(header: &Header, name: &str) -> String {
    quoted(header.get(name).and_then(Value::as_str), MAX_SAID)
}

fn secs(millis: u64) -> u64 {
    millis / 1_000
}

/// Texts in quotes, of which `left` characters at most are taken; what is no printable character
/// comes out escaped.
fn quoted<'a>(texts: impl IntoIterator<Item = &'a str>, mut left: usize) -> String {
    let mut parts = Vec::new();
    for text in texts {
        if left == 0 {
            parts.push("…".to_owned());
            break;
        }
        let end = text.char_indices().nth(left).map_or(text.len(), |(at, _)| at);
        let shown = text.get(..end).unwrap_or_default();
        let more = if end < text.len() { "…" } else { "" };
        parts.push(format!("'{}{more}'", shown.escape_debug()));
        left = left.saturating_sub(shown.chars().count().max(1));
    }
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_says_is_cut_and_cannot_pose_as_something_else() {
        assert_eq!(quoted(["a", "b"], 100), "'a', 'b'");
        assert_eq!(quoted([], 100), "nothing");
        assert_eq!(quoted(["x'; accepted: 'y"], 100), r"'x\'; accepted: \'y'");
        assert_eq!(quoted(["ä".repeat(101).as_str()], 100), format!("'{}…'", "ä".repeat(100)));
        assert_eq!(quoted(vec![""; 5_000], 3), "'', '', '', …");
        let odd = quoted(["\n\u{1b}[31m\u{0}\u{7f}\u{9b}\u{202e}\u{2028}"], 100);
        assert!(odd.is_ascii() && !odd.chars().any(char::is_control), "{odd}");
    }
}
