//! Who calls: the evidence that a credential was verified.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};

use super::TokenError;
use super::block::block_bytes;
use super::claims::Claims;
use super::json::Value;
use super::roles::{BARE_ROLES, Ours, Roles};
use super::settings::Audiences;
use super::text_list::TextList;
use super::user_template::UserTemplate;

/// Longest value of a header that is made from a claim.
const MAX_CLAIM_HEADER_BYTES: usize = 1024;

/// What a header value takes beside its text once it is shared with a request.
const SHARED_VALUE_BYTES: usize = 32;

/// More than one principal may hold: several times what an introspection answer has room for.
pub(super) const MAX_HELD_BYTES: usize = 256 * 1024;

/// The verified caller. Only verification makes one.
#[derive(Clone)]
pub struct Principal {
    issuer_index: usize,
    issuer: Arc<str>,
    subject: Box<str>,
    user: Box<str>,
    id_header: HeaderValue,
    roles: TextList,
    doubted_roles: TextList,
    scopes: TextList,
    audiences: TextList,
    client_id: Option<Box<str>>,
    session_id: Option<Box<str>>,
    issued_at: Option<u64>,
    is_delegated: bool,
    claim_headers: Box<[(HeaderName, HeaderValue)]>,
}

/// What an issuer's principals have in common.
#[derive(Debug)]
pub(super) struct Realm {
    pub(super) index: usize,
    pub(super) issuer: Arc<str>,
    /// Of all issuers, in their order.
    pub(super) templates: Arc<[UserTemplate]>,
    pub(super) claim_headers: Vec<(HeaderName, String)>,
    /// Whom its tokens have to be meant for.
    pub(super) audiences: Audiences,
    /// Whose roles count.
    pub(super) ours: Ours,
}

impl Realm {
    /// The subject of a token, and who that is to `OpenFGA`.
    pub(super) fn user<'a>(&self, claims: &'a Claims<'_>) -> Result<(&'a str, String), TokenError> {
        let subject = claims.text("sub")?.ok_or(TokenError::MalformedToken)?;
        let template = self.templates.get(self.index).ok_or(TokenError::WrongIssuer)?;
        Ok((subject, template.user(subject, &self.templates)?))
    }
}

impl Principal {
    pub(super) fn new(realm: &Realm, claims: &Claims<'_>) -> Result<Self, TokenError> {
        let (subject, user) = realm.user(claims)?;
        // Names without the type stay unique: a subject never has the colon of another type.
        let id = user.strip_prefix("user:").unwrap_or(&user);
        let id_header = HeaderValue::from_str(id).map_err(|_| TokenError::MalformedToken)?;
        let roles = Roles::read(claims, &realm.ours);
        let claim_headers = claim_headers(&realm.claim_headers, claims, &roles);
        let client_id = claims.get("client_id").or_else(|| claims.get("azp"));
        let principal = Self {
            issuer_index: realm.index,
            issuer: Arc::clone(&realm.issuer),
            subject: subject.into(),
            id_header,
            user: user.into(),
            roles: TextList::from(&*roles.believed),
            doubted_roles: TextList::from(&*roles.doubted),
            scopes: TextList::from(&*claims.scopes()?),
            audiences: TextList::from(&*claims.audiences()?),
            client_id: client_id.and_then(Value::as_str).map(Box::from),
            session_id: claims.text("sid")?.map(Box::from),
            issued_at: claims.issued_at()?,
            is_delegated: claims.get("act").is_some(),
            claim_headers,
        };
        let fits = principal.held_bytes() <= MAX_HELD_BYTES;
        fits.then_some(principal).ok_or(TokenError::MalformedToken)
    }

    /// Bytes that it takes outside of itself, and that would be free without it.
    pub fn held_bytes(&self) -> usize {
        let lists = [&self.roles, &self.doubted_roles, &self.scopes, &self.audiences];
        let texts = [Some(&self.subject), Some(&self.user), self.client_id.as_ref()];
        let texts = texts.into_iter().chain([self.session_id.as_ref()]).flatten();
        let values = self.claim_headers.iter().map(|(_, value)| value).chain([&self.id_header]);
        lists.into_iter().map(TextList::held_bytes).sum::<usize>()
            + texts.map(|text| block_bytes(text.len())).sum::<usize>()
            + values.map(|value| block_bytes(value.len()) + SHARED_VALUE_BYTES).sum::<usize>()
            + size_of_val(&*self.claim_headers)
    }

    /// Position of the issuer in the configuration.
    pub fn issuer_index(&self) -> usize {
        self.issuer_index
    }

    /// The issuer's URL, exactly as in `iss`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `sub` claim. Unique within the issuer only; [`Principal::user`] is unique.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The `OpenFGA` user, for example `user:281`; the name by which caches, limits and revocations
    /// know the principal.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The value of `X-User-ID`: [`Principal::user`] without the type `user:`.
    pub fn id_header(&self) -> &HeaderValue {
        &self.id_header
    }

    /// Project roles, sorted: `{role}` in a project of ours, `{project}:{role}` in a named one.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter()
    }

    /// Roles that the token has in [`BARE_ROLES`] only, without anything that shows them to be of a
    /// project of ours.
    pub fn doubted_roles(&self) -> impl Iterator<Item = &str> {
        self.doubted_roles.iter()
    }

    /// Granted scopes, in the token's order.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter()
    }

    /// Whom the token is meant for, in the token's order.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.audiences.iter()
    }

    /// Whether the principal has at least one of these roles.
    pub fn has_any_role(&self, roles: &[impl AsRef<str>]) -> bool {
        roles.iter().any(|role| self.roles.contains(role.as_ref()))
    }

    /// Whether the token was granted every one of these scopes.
    pub fn has_all_scopes(&self, scopes: &[impl AsRef<str>]) -> bool {
        scopes.iter().all(|scope| self.scopes.contains(scope.as_ref()))
    }

    /// Whether the token is meant for at least one of these audiences.
    pub fn has_any_audience(&self, audiences: &[impl AsRef<str>]) -> bool {
        audiences.iter().any(|audience| self.audiences.contains(audience.as_ref()))
    }

    /// The client that the token was issued to (`client_id`, else `azp`).
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// The login session (`sid`), where the token names one.
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// `iat` in milliseconds since the epoch.
    pub fn issued_at_millis(&self) -> Option<u64> {
        self.issued_at
    }

    /// Whether somebody else acts for the subject (`act`, RFC 8693 section 4.1).
    pub fn is_delegated(&self) -> bool {
        self.is_delegated
    }

    /// The configured claims that the token has, as headers for the upstream.
    pub fn claim_headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.claim_headers
    }

    /// A principal out of nothing, for specifications of other modules.
    #[cfg(test)]
    pub(crate) fn for_specification(claims: &serde_json::Value) -> Self {
        let claims = claims.to_string();
        let claims = Claims::parse(claims.as_bytes()).expect("claims");
        Self::new(&Realm::for_specification(), &claims).expect("principal")
    }
}

#[cfg(test)]
impl Realm {
    fn for_specification() -> Self {
        Self {
            index: 0,
            issuer: "https://issuer.example".into(),
            templates: Arc::new([UserTemplate::default()]),
            claim_headers: Vec::new(),
            audiences: Audiences::Any,
            ours: Ours::new(&Audiences::Any, Vec::new(), None),
        }
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("issuer", &self.issuer)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

fn claim_headers(
    wanted: &[(HeaderName, String)],
    claims: &Claims<'_>,
    roles: &Roles,
) -> Box<[(HeaderName, HeaderValue)]> {
    let header = |(name, claim): &(HeaderName, String)| {
        // The upstream takes it for roles of ours, as a rule would.
        if claim == BARE_ROLES && !roles.doubted.is_empty() {
            return None;
        }
        let value = claim_value(claims.get(claim)?)?;
        Some((name.clone(), value))
    };
    wanted.iter().filter_map(header).collect()
}

/// Text that is safe in a header as it is; anything else as a byte sequence of RFC 9651
/// (`:base64:`). A leading colon is encoded too, so that the two cannot be confused, and a comma,
/// so that nobody splits the value.
fn claim_value(value: &Value<'_>) -> Option<HeaderValue> {
    let text = match value {
        Value::Null => return None,
        Value::Text(text) => text.to_string(),
        other => serde_json::to_string(other).ok()?,
    };
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b',')
        && !text.starts_with([' ', ':'])
        && !text.ends_with(' ');
    let text = if is_plain { text } else { format!(":{}:", STANDARD.encode(text)) };
    (text.len() <= MAX_CLAIM_HEADER_BYTES).then(|| HeaderValue::from_str(&text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use allocation_counter::measure;
    use serde_json::{Value, json};

    #[track_caller]
    fn check_header(claim: &Value, expected: Option<&str>) {
        let document = json!({"claim": claim}).to_string();
        let claims = Claims::parse(document.as_bytes()).expect("claims");
        let value = claim_value(claims.get("claim").expect("the claim"));
        assert_eq!(value.as_ref().and_then(|value| value.to_str().ok()), expected, "{claim}");
    }

    #[test]
    fn claims_become_headers_that_cannot_be_split_or_injected() {
        check_header(&json!("Anne Smith"), Some("Anne Smith"));
        check_header(&json!(42), Some("42"));
        check_header(&json!(true), Some("true"));
        check_header(&json!("Zoë"), Some(":Wm/Dqw==:"));
        check_header(&json!("a\r\nX-Evil: 1"), Some(":YQ0KWC1FdmlsOiAx:"));
        check_header(&json!("a,b"), Some(":YSxi:"));
        check_header(&json!(":YQ==:"), Some(":OllRPT06:"));
        check_header(&json!(" a"), Some(":IGE=:"));
        check_header(&json!(["a", "b"]), Some(":WyJhIiwiYiJd:"));
        check_header(&json!(null), None);
        check_header(&json!("a".repeat(1024)), Some(&"a".repeat(1024)));
        check_header(&json!("a".repeat(1025)), None);
        check_header(&json!("ä".repeat(500)), None);
    }

    #[test]
    fn requirements_compare_whole_names() {
        let principal = Principal::for_specification(&json!({
            "sub": "281", "scope": "read write", "aud": ["gateway"], "client_id": "app",
            "urn:zitadel:iam:org:project:roles": {"admin": {}},
        }));
        assert!(principal.has_any_role(&["x", "admin"]));
        assert!(!principal.has_any_role(&["adm", "Admin"]));
        assert!(principal.has_all_scopes(&["read", "write"]));
        assert!(!principal.has_all_scopes(&["read", "delete"]));
        assert!(principal.has_any_audience(&["gateway"]));
        assert!(!principal.has_any_audience(&["gate"]));
        assert_eq!(principal.client_id(), Some("app"));
        assert_eq!(principal.id_header(), "281");
        assert_eq!(principal.user(), "user:281");
    }

    #[test]
    fn a_principal_tells_what_it_holds() {
        let scopes: Vec<_> =
            (0..1_450).map(|n| format!("urn:zitadel:iam:org:project:id:{n:012}:aud")).collect();
        let claims = json!({
            "sub": "281234567890000000", "scope": scopes.join(" "), "aud": ["a", "b"],
            "client_id": "app", "sid": "V2_1", "email": "anne@example.com",
            "urn:zitadel:iam:org:project:roles": {"admin": {}, "editor": {}},
        });
        let claims = claims.to_string();
        let claims = Claims::parse(claims.as_bytes()).expect("claims");
        let realm = Realm {
            claim_headers: vec![(HeaderName::from_static("x-email"), "email".to_owned())],
            ..Realm::for_specification()
        };
        let mut principal = None;
        let held = measure(|| {
            let made = Principal::new(&realm, &claims).expect("principal");
            // As every request that it makes does.
            drop((made.id_header.clone(), made.claim_headers.clone()));
            principal = Some(made);
        });
        let told = principal.expect("made").held_bytes();
        let really = usize::try_from(held.bytes_current).expect("positive");
        // The rest is what the blocks are larger than what lies in them.
        assert!((really..really + really / 4).contains(&told), "{told} told, {really} held");
    }

    #[test]
    fn a_token_that_stands_for_more_than_it_has_room_for_is_refused() {
        // Each role is held with the name of its project.
        let project = "7".repeat(60);
        let roles: serde_json::Map<_, _> = (0..4_500).map(|n| (n.to_string(), json!({}))).collect();
        let claim = format!("urn:zitadel:iam:org:project:{project}:roles");
        let claims = json!({"sub": "281", claim: roles}).to_string();
        let claims = Claims::parse(claims.as_bytes()).expect("claims");
        let refused = Principal::new(&Realm::for_specification(), &claims).err();
        assert_eq!(refused, Some(TokenError::MalformedToken));
    }

    #[test]
    fn roles_that_are_not_believed_are_no_header_either() {
        let header = |audiences: Audiences| {
            let realm = Realm {
                index: 0,
                issuer: "https://issuer.example".into(),
                templates: Arc::new([UserTemplate::default()]),
                claim_headers: vec![(HeaderName::from_static("x-roles"), BARE_ROLES.to_owned())],
                ours: Ours::new(&audiences, Vec::new(), None),
                audiences,
            };
            let claims = json!({"sub": "281", BARE_ROLES: {"admin": {}},
                "urn:zitadel:iam:org:project:77:roles": {"admin": {}}});
            let claims = claims.to_string();
            let claims = Claims::parse(claims.as_bytes()).expect("claims");
            Principal::new(&realm, &claims).expect("principal").claim_headers().len()
        };
        assert_eq!(header(Audiences::List(vec!["77".into()])), 1);
        assert_eq!(header(Audiences::List(vec!["78".into()])), 0);
        assert_eq!(header(Audiences::Any), 1);
    }

    #[test]
    fn the_identity_of_a_further_issuer_carries_its_prefix() {
        let realm = Realm {
            index: 1,
            issuer: "https://acme.example".into(),
            templates: Arc::new([
                UserTemplate::default(),
                UserTemplate::parse("user:acme|{sub}").expect("template"),
            ]),
            claim_headers: Vec::new(),
            audiences: Audiences::Any,
            ours: Ours::new(&Audiences::Any, Vec::new(), None),
        };
        let claims = Claims::parse(br#"{"sub":"7"}"#).expect("claims");
        let principal = Principal::new(&realm, &claims).expect("principal");
        assert_eq!((principal.subject(), principal.user()), ("7", "user:acme|7"));
        assert_eq!(principal.id_header(), "acme|7");
    }
}
