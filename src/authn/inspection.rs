//! One token, looked at from all sides: what it says, what was wanted, and the verdict that a request
//! with it would get. For operators; requests go through [`Authenticator::verify`], and so does this.
//!
//! Holds no part of the token itself, its signature least of all.

mod members;

pub use members::{Member, TokenPart};

use super::claims::Claims;
use super::jwt::{self, Jws};
use super::{Authenticator, Bearer, Issuer, Principal, Shape, TokenError};
use crate::clock::Now;
use members::Look;

/// What was found out about a token.
#[derive(Debug)]
pub struct Inspection {
    /// How it is verified; `None` when it is of neither shape.
    pub shape: Option<Shape>,
    /// What it says, in the order in which one reads it.
    pub members: Vec<Member>,
    /// Whom it stands for, or why nobody.
    pub verdict: Result<Principal, TokenError>,
    /// What would do, or why nobody could say.
    pub detail: Option<String>,
}

impl Authenticator {
    /// Verifies a token and tells all about it. Loads the keys of its issuer first.
    pub async fn inspect(&self, bearer: Bearer<'_>, now: Now) -> Inspection {
        match bearer.shape() {
            Ok(Shape::Jwt) => self.inspect_jwt(bearer, now).await,
            Ok(Shape::Opaque) => self.inspect_opaque(bearer, now).await,
            Err(error) => Inspection {
                shape: None,
                members: Vec::new(),
                verdict: Err(error),
                detail: self.explain(bearer, error, now),
            },
        }
    }

    async fn inspect_jwt(&self, bearer: Bearer<'_>, now: Now) -> Inspection {
        let token = bearer.token();
        let peeked = jwt::peek(token);
        let claims = peeked.as_ref().and_then(|(_, payload)| Claims::parse(payload).ok());
        let url = claims.as_ref().and_then(|claims| claims.text("iss").ok()?);
        let issuer = url.and_then(|url| self.issuer(url));
        let fault = match issuer {
            Some(issuer) => issuer.keys.load().await.err().map(|fault| fault.to_string()),
            None => None,
        };
        let issuers = self.issuers.iter().map(|issuer| &*issuer.realm.issuer).collect();
        let mut look = Look::new(issuer, issuers, now);
        if let Some((header, _)) = &peeked {
            look.at_header(header);
        }
        if let Some(claims) = &claims {
            look.at_claims(claims, Shape::Jwt);
        }
        if let (Some(issuer), Ok(jws)) = (issuer, Jws::parse(token)) {
            look.at_signature(issuer.keys.verify(&jws, now).await.map(drop));
        }
        let verdict = self.verify(bearer, now).await.map(|verified| verified.principal);
        let detail = match (&verdict, fault) {
            (Err(TokenError::KeysUnavailable), Some(fault)) => Some(fault),
            (Err(error), _) => self.explain(bearer, *error, now),
            (Ok(_), _) => None,
        };
        Inspection { shape: Some(Shape::Jwt), members: look.members, verdict, detail }
    }

    async fn inspect_opaque(&self, bearer: Bearer<'_>, now: Now) -> Inspection {
        let mut inspection = Inspection {
            shape: Some(Shape::Opaque),
            members: Vec::new(),
            verdict: Err(TokenError::NotIntrospected),
            detail: Some(
                "only its issuer can read it: introspection needs the client of an API application \
                 (ZITADEL_CLIENT_ID and ZITADEL_CLIENT_SECRET, or ZITADEL_KEY_FILE)"
                    .to_owned(),
            ),
        };
        let introspecting = self.issuers.iter().find(|issuer| issuer.introspection.is_some());
        let Some((issuer, introspection)) = introspecting.zip(self.introspection()) else {
            return inspection;
        };
        match introspection.ask_once(bearer.token()).await {
            Err(fault) => {
                inspection.verdict = Err(TokenError::IntrospectionUnavailable);
                inspection.detail = Some(fault);
            }
            Ok(claims) => {
                let mut look = Look::new(Some(issuer), vec![&issuer.realm.issuer], now);
                look.at_claims(&claims, Shape::Opaque);
                inspection.members = look.members;
                let verdict = introspection.read(&claims).map(|proven| proven.principal);
                let explained = |error| introspection.explain(&claims, error, now);
                inspection.detail = verdict.as_ref().err().and_then(|error| explained(*error));
                inspection.verdict = verdict;
            }
        }
        inspection
    }
}

impl Issuer {
    fn accepts_algorithm(&self, name: &str) -> bool {
        name.parse().is_ok_and(|algorithm| self.algorithms.contains(algorithm))
    }
}
