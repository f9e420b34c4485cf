//! What the log tells of a refused token beside the reason: what the token says, and what would do.

use super::claims::Claims;
use super::jwt::Jws;
use super::roles::BARE_ROLES;
use super::{Audiences, Authenticator, Bearer, Issuer, Principal, Refusal};
use crate::clock::Now;

/// Characters that are told of what a token says.
const MAX_SAID: usize = 100;
/// Characters that are told of what is accepted; the configuration's own words.
const MAX_ACCEPTED: usize = 500;

impl Authenticator {
    /// How a token that got `refusal` differs from one that would do; `None` where the reason says
    /// it all. Never a part of the token itself, and nothing is verified: its claims are the
    /// client's word.
    pub fn explain(&self, bearer: Bearer<'_>, refusal: Refusal, now: Now) -> Option<String> {
        let explained = match refusal {
            Refusal::WrongIssuer => Self::explain_issuer,
            Refusal::WrongAudience => Self::explain_audience,
            Refusal::Expired => explain_expiry,
            Refusal::NotYetValid => explain_start,
            _ => return None,
        };
        // Opaque tokens say nothing themselves.
        let claims = Claims::parse(Jws::parse(bearer.token()).ok()?.payload()).ok()?;
        explained(self, &claims, now)
    }

    fn explain_issuer(&self, claims: &Claims, _: Now) -> Option<String> {
        let said = quoted(claims.text("iss").ok()?, MAX_SAID);
        let accepted =
            quoted(self.issuers.iter().map(|issuer| &*issuer.realm.issuer), MAX_ACCEPTED);
        Some(format!("token says iss {said}; accepted: {accepted}"))
    }

    fn explain_audience(&self, claims: &Claims, _: Now) -> Option<String> {
        let issuer = self.issuer(claims.text("iss").ok()??)?;
        let Audiences::List(accepted) = &issuer.audiences else { return None };
        let said = quoted(claims.audiences().ok()?, MAX_SAID);
        let accepted = quoted(accepted.iter().map(String::as_str), MAX_ACCEPTED);
        Some(format!("token says aud {said}; accepted: {accepted}"))
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
}

fn explain_expiry(_: &Authenticator, claims: &Claims, now: Now) -> Option<String> {
    let ago = now.unix_millis().checked_sub(claims.date("exp").ok()??)? / 1_000;
    Some(format!("token says it expired {ago} s ago"))
}

fn explain_start(_: &Authenticator, claims: &Claims, now: Now) -> Option<String> {
    let starts = [claims.date("nbf").ok()?, claims.date("iat").ok()?];
    let ahead = starts.into_iter().flatten().max()?.checked_sub(now.unix_millis())? / 1_000;
    Some(format!("token says it starts in {ahead} s"))
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
