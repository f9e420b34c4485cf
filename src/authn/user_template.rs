//! How subjects become `OpenFGA` users, so that no two issuers can name the same user.

use super::TokenError;

/// `OpenFGA`'s limit on a user, in characters; ours are ASCII.
const MAX_USER_BYTES: usize = 512;

/// What the template `user:acme|{sub}` says: a legal `OpenFGA` user that ends with the subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UserTemplate {
    prefix: Box<str>,
}

/// Why a user template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The placeholder is missing, repeated or not at the end.
    #[error("user template {0:?} must end with {{sub}}, once")]
    Placeholder(String),
    /// The part before the placeholder is not `type:` or `type:prefix` of legal characters.
    #[error("user template {0:?} must start with an OpenFGA type and a colon")]
    NotAUser(String),
}

impl UserTemplate {
    /// Parses a template.
    pub(super) fn parse(template: &str) -> Result<Self, TemplateError> {
        let prefix = template
            .strip_suffix("{sub}")
            .filter(|prefix| !prefix.contains(['{', '}']))
            .ok_or_else(|| TemplateError::Placeholder(template.to_owned()))?;
        let is_user = prefix.split_once(':').is_some_and(|(kind, id)| {
            !kind.is_empty() && kind.bytes().chain(id.bytes()).all(is_legal_byte)
        });
        if !is_user || prefix.len() >= MAX_USER_BYTES {
            return Err(TemplateError::NotAUser(template.to_owned()));
        }
        Ok(Self { prefix: prefix.into() })
    }

    /// The user of this subject. One that lies inside the name space of a longer template among
    /// `others` belongs to that template's issuer, so it is refused here.
    pub(super) fn user(
        &self,
        subject: &str,
        others: &[UserTemplate],
    ) -> Result<String, TokenError> {
        let user = format!("{}{subject}", self.prefix);
        let is_foreign = others.iter().any(|other| {
            other.prefix.len() > self.prefix.len() && user.starts_with(&*other.prefix)
        });
        if subject.is_empty()
            || user.len() > MAX_USER_BYTES
            || is_foreign
            || !subject.bytes().all(is_legal_byte)
        {
            return Err(TokenError::MalformedToken);
        }
        Ok(user)
    }
}

impl Default for UserTemplate {
    fn default() -> Self {
        Self { prefix: "user:".into() }
    }
}

/// Visible ASCII without what means something in an `OpenFGA` tuple. `@` and `|` mean nothing there
/// and occur in subjects of other providers.
fn is_legal_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b':' | b'#' | b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn template(text: &str) -> UserTemplate {
        UserTemplate::parse(text).expect("template")
    }

    #[test]
    fn the_default_template_is_the_user_type() {
        assert_eq!(template("user:{sub}"), UserTemplate::default());
        assert_eq!(UserTemplate::default().user("281", &[]), Ok("user:281".to_owned()));
    }

    #[test]
    fn templates_without_a_final_subject_or_a_type_are_refused() {
        for text in ["user:", "user:{sub}x", "user:{sub}{sub}", "user:{id}|{sub}", ""] {
            assert!(
                matches!(UserTemplate::parse(text), Err(TemplateError::Placeholder(_))),
                "{text}"
            );
        }
        for text in ["{sub}", "user{sub}", ":{sub}", "a:b:{sub}", "user:a b{sub}", "user:#{sub}"] {
            assert!(matches!(UserTemplate::parse(text), Err(TemplateError::NotAUser(_))), "{text}");
        }
    }

    #[test]
    fn subjects_that_are_no_openfga_id_are_refused() {
        let user = |subject: &str| UserTemplate::default().user(subject, &[]);
        for subject in ["", "*", "a*", "a:b", "a#b", "a b", "a\tb", "a\0", "ä", "a\u{7f}", " a"] {
            assert_eq!(user(subject), Err(TokenError::MalformedToken), "{subject:?}");
        }
        for subject in ["281", "auth0|abc", "anne@example.com", "a/b", "{sub}", "a,b"] {
            assert_eq!(user(subject), Ok(format!("user:{subject}")));
        }
        assert!(user(&"a".repeat(507)).is_ok());
        assert_eq!(user(&"a".repeat(508)), Err(TokenError::MalformedToken));
    }

    #[test]
    fn the_first_issuer_cannot_name_a_user_of_the_second() {
        let templates = [UserTemplate::default(), template("user:acme|{sub}")];
        assert_eq!(templates[0].user("acme|7", &templates), Err(TokenError::MalformedToken));
        assert_eq!(templates[0].user("acme", &templates), Ok("user:acme".to_owned()));
        assert_eq!(templates[1].user("7", &templates), Ok("user:acme|7".to_owned()));
    }

    proptest! {
        #[test]
        fn users_of_two_issuers_never_meet(
            prefixes in ("[ab]{0,3}", "[ab]{0,3}"),
            subjects in ("[ab]{1,4}", "[ab]{1,4}"),
        ) {
            prop_assume!(prefixes.0 != prefixes.1);
            let templates = [
                template(&format!("user:{}{{sub}}", prefixes.0)),
                template(&format!("user:{}{{sub}}", prefixes.1)),
            ];
            let first = templates[0].user(&subjects.0, &templates);
            let second = templates[1].user(&subjects.1, &templates);
            prop_assert!(first.is_err() || second.is_err() || first != second);
        }
    }
}
