//! What the members of a token mean, and whether each is what is wanted.

use serde::Serialize;

use crate::authn::claims::Claims;
use crate::authn::json::{Object, Value};
use crate::authn::roles::BARE_ROLES;
use crate::authn::{Algorithm, Audiences, Issuer, Shape, TokenError};
use crate::clock::Now;

/// Header parameters that would change what is signed, or how it is read.
const EXTENSIONS: [&str; 5] = ["crit", "b64", "zip", "enc", "cty"];

/// What claims stand for that nothing in particular is wanted of.
const MEANINGS: [(&str, &str); 16] = [
    ("jti", "the token's own name"),
    ("client_id", "the client that it was issued to"),
    ("azp", "the client that it was issued to"),
    ("scope", "what it was granted for; rules may ask for scopes"),
    ("scp", "what it was granted for; rules may ask for scopes"),
    ("sid", "the login session"),
    ("act", "who acts for the subject"),
    ("username", "a name for people"),
    ("preferred_username", "a name for people"),
    ("email", "a name for people"),
    ("auth_time", "when the subject logged in"),
    ("amr", "how the subject logged in"),
    ("acr", "how surely the subject logged in"),
    ("typ", "the kind of token, as some issuers write it"),
    ("token_use", "the kind of token, as some issuers write it"),
    (BARE_ROLES, "roles in the project of the client, whichever that is"),
];

/// Where a token says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenPart {
    /// Of a JWT, before its claims.
    Header,
    /// Of a JWT, or in the issuer's answer about an opaque token.
    Claim,
    /// Whether the issuer's key made it.
    Signature,
}

/// One thing that a token says.
#[derive(Debug, Serialize)]
pub struct Member {
    /// Where.
    pub part: TokenPart,
    /// By which name.
    pub name: String,
    /// `null` when it is absent.
    pub found: serde_json::Value,
    /// What it stands for.
    pub meaning: String,
    /// What is accepted; absent where anything is.
    pub wanted: Option<String>,
    /// Whether it is what is wanted; absent where nothing is, or nobody can say.
    pub fits: Option<bool>,
}

/// Looks at one token.
pub(super) struct Look<'a> {
    issuer: Option<&'a Issuer>,
    issuers: Vec<&'a str>,
    now: Now,
    pub(super) members: Vec<Member>,
}

/// What is wanted of a member, and whether it is that.
struct Wanted(String, Option<bool>);

impl<'a> Look<'a> {
    pub(super) fn new(issuer: Option<&'a Issuer>, issuers: Vec<&'a str>, now: Now) -> Self {
        Self { issuer, issuers, now, members: Vec::new() }
    }

    pub(super) fn at_header(&mut self, header: &Object<'_>) {
        let text = |name: &str| header.get(name).and_then(Value::as_str);
        let accepted = Algorithm::ALL.into_iter().map(Algorithm::name);
        let accepted =
            accepted.filter(|name| self.issuer.is_none_or(|i| i.accepts_algorithm(name)));
        let accepted: Vec<_> = accepted.collect();
        let fits = text("alg").is_some_and(|alg| accepted.contains(&alg));
        let algorithm = Wanted(format!("one of {}", accepted.join(", ")), Some(fits));
        let kids = self.issuer.map(|issuer| issuer.keys.kids()).unwrap_or_default();
        let kid = match (self.issuer, kids.is_empty()) {
            (None, _) => Wanted("a key of the issuer's, which is none of ours".to_owned(), None),
            (Some(_), true) => {
                Wanted("a key of the issuer's, which could not be had".to_owned(), None)
            }
            (Some(_), false) => {
                let is_there = text("kid").is_none_or(|kid| kids.iter().any(|one| one == kid));
                Wanted(format!("one of the issuer's keys: {}", kids.join(", ")), Some(is_there))
            }
        };
        let is_kind = text("typ").is_none_or(|typ| {
            ["JWT", "at+jwt", "application/at+jwt"]
                .iter()
                .any(|kind| typ.eq_ignore_ascii_case(kind))
        });
        let is_kind = is_kind && header.get("typ").is_none_or(|typ| typ.as_str().is_some());
        let typed = Wanted("JWT, at+jwt or nothing".to_owned(), Some(is_kind));
        for (name, meaning, wanted) in [
            ("alg", "how it is signed", algorithm),
            ("kid", "the key that signed it", kid),
            ("typ", "the kind of token", typed),
        ] {
            let found = header.get(name).map(serde_json::Value::from).unwrap_or_default();
            self.note(TokenPart::Header, name, found, meaning, Some(wanted));
        }
        for (name, value) in
            header.iter().filter(|(name, _)| !is_named(name, &["alg", "kid", "typ"]))
        {
            let (meaning, wanted) = if is_named(name, &EXTENSIONS) {
                let fits = name == "cty" && value.as_str().is_some_and(|cty| !names_a_jwt(cty));
                ("changes how it is read", Some(Wanted("nothing".to_owned(), Some(fits))))
            } else {
                ("not looked at", None)
            };
            self.note(TokenPart::Header, name, value.into(), meaning, wanted);
        }
    }

    pub(super) fn at_claims(&mut self, claims: &Claims<'_>, shape: Shape) {
        let checked = ["active", "iss", "sub", "aud", "exp", "nbf", "iat", "token_type"];
        if shape == Shape::Opaque {
            let fits = claims.get("active") == Some(&Value::Bool(true));
            let wanted = Wanted("true".to_owned(), Some(fits));
            self.claim(claims, "active", "whether the issuer stands by it", Some(wanted));
        }
        let wanted = self.issuer_wanted(claims, shape);
        self.claim(claims, "iss", "who issued it", Some(wanted));
        let (meaning, wanted) = self.subject_wanted(claims);
        self.claim(claims, "sub", &meaning, Some(wanted));
        let wanted = self.audience_wanted(claims);
        self.claim(claims, "aud", "whom it is meant for", wanted);
        self.times(claims, shape);
        if let Some(kind) = claims.get("token_type") {
            let fits = kind.as_str().map(|kind| {
                ["Bearer", "access_token"].iter().any(|one| one.eq_ignore_ascii_case(kind))
            });
            let wanted = (shape == Shape::Opaque).then(|| Wanted("Bearer".to_owned(), fits));
            self.claim(claims, "token_type", "how it is shown", wanted);
        }
        let signs: Vec<_> = claims.signs_of_another_kind().collect();
        let is_other = match shape {
            Shape::Jwt => claims.check_access_token(false).is_err(),
            Shape::Opaque => claims.check_unbound().is_err(),
        };
        for (name, _) in claims.iter().filter(|(name, _)| !is_named(name, &checked)) {
            let known =
                MEANINGS.iter().find(|(known, _)| *known == name).map(|(_, meaning)| *meaning);
            let meaning = match known {
                Some(meaning) => meaning.to_owned(),
                None => project_roles(name).unwrap_or_else(|| "not looked at".to_owned()),
            };
            let tells = is_other && signs.contains(&name);
            let wanted = || {
                Wanted("another kind of token: only access tokens count".to_owned(), Some(false))
            };
            self.claim(claims, name, &meaning, tells.then(wanted));
        }
    }

    pub(super) fn at_signature(&mut self, verified: Result<(), TokenError>) {
        let (found, fits) = match verified {
            Ok(()) => ("verifies".to_owned(), Some(true)),
            Err(error @ TokenError::KeysUnavailable) => (error.to_string(), None),
            Err(error) => (error.to_string(), Some(false)),
        };
        let wanted = Wanted("made with a key of the issuer's".to_owned(), fits);
        self.note(
            TokenPart::Signature,
            "signature",
            found.into(),
            "whether the issuer made it",
            Some(wanted),
        );
    }

    fn issuer_wanted(&self, claims: &Claims<'_>, shape: Shape) -> Wanted {
        let found = claims.get("iss");
        let is_ours = found.and_then(Value::as_str).is_some_and(|iss| self.issuers.contains(&iss));
        let may_lack = shape == Shape::Opaque && found.is_none();
        Wanted(format!("exactly {}", self.issuers.join(" or ")), Some(is_ours || may_lack))
    }

    fn subject_wanted(&self, claims: &Claims<'_>) -> (String, Wanted) {
        let user = self.issuer.map(|issuer| issuer.realm.user(claims).map(|(_, user)| user));
        let meaning = match &user {
            Some(Ok(user)) => format!("who calls: {user} to OpenFGA"),
            _ => "who calls".to_owned(),
        };
        (meaning, Wanted("a legal OpenFGA id".to_owned(), user.map(|user| user.is_ok())))
    }

    fn audience_wanted(&self, claims: &Claims<'_>) -> Option<Wanted> {
        let issuer = self.issuer?;
        let fits = claims.check_audience(&issuer.audiences).is_ok();
        let wanted = match &issuer.audiences {
            Audiences::Any => "anybody (issuers[].audience is any)".to_owned(),
            Audiences::List(list) => format!("one of {}", list.join(", ")),
        };
        Some(Wanted(wanted, Some(fits)))
    }

    fn times(&mut self, claims: &Claims<'_>, shape: Shape) {
        let now = self.now;
        let expiry = claims.expiry(now);
        let is_needed = shape == Shape::Jwt;
        let fits = matches!(expiry, Ok(Some(_))) || (!is_needed && expiry == Ok(None));
        let wanted = Wanted(format!("after now, {}", now.unix_secs()), Some(fits));
        let meaning = format!("when it ends{}", self.distance(claims, "exp"));
        self.claim(claims, "exp", &meaning, Some(wanted));
        let skew = self.issuer.map_or(0, |issuer| issuer.skew.as_secs());
        let latest = now.unix_secs().saturating_add(skew);
        for (name, meaning) in [("nbf", "when it begins"), ("iat", "when it was issued")] {
            let date = claims.date(name);
            let fits =
                date.is_ok_and(|date| date.is_none_or(|date| date <= latest.saturating_mul(1_000)));
            let wanted = format!("not after now, {}, and {skew} s of skew", now.unix_secs());
            let meaning = format!("{meaning}{}", self.distance(claims, name));
            self.claim(claims, name, &meaning, Some(Wanted(wanted, Some(fits))));
        }
    }

    /// How far a date is from now.
    fn distance(&self, claims: &Claims<'_>, name: &str) -> String {
        let Ok(Some(date)) = claims.date(name) else { return String::new() };
        let now = self.now.unix_millis();
        if date > now {
            format!(", in {}", span(date - now))
        } else {
            format!(", {} ago", span(now - date))
        }
    }

    fn claim(&mut self, claims: &Claims<'_>, name: &str, meaning: &str, wanted: Option<Wanted>) {
        let found = claims.get(name).map(serde_json::Value::from).unwrap_or_default();
        self.note(TokenPart::Claim, name, found, meaning, wanted);
    }

    fn note(
        &mut self,
        part: TokenPart,
        name: &str,
        found: serde_json::Value,
        meaning: &str,
        wanted: Option<Wanted>,
    ) {
        let (wanted, fits) = match wanted {
            Some(Wanted(wanted, fits)) => (Some(wanted), fits),
            None => (None, None),
        };
        let (name, meaning) = (name.to_owned(), meaning.to_owned());
        self.members.push(Member { part, name, found, meaning, wanted, fits });
    }
}

fn is_named(name: &str, names: &[&str]) -> bool {
    names.contains(&name)
}

fn names_a_jwt(cty: &str) -> bool {
    ["JWT", "application/jwt"].iter().any(|one| one.eq_ignore_ascii_case(cty))
}

fn project_roles(claim: &str) -> Option<String> {
    let id = claim.strip_prefix("urn:zitadel:iam:org:project:")?.strip_suffix(":roles")?;
    Some(format!("roles in project {id}"))
}

/// In the largest unit that does not hide much.
fn span(millis: u64) -> String {
    let secs = millis / 1_000;
    match secs {
        0..120 => format!("{secs} s"),
        120..7_200 => format!("{} min", secs / 60),
        7_200..172_800 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}
