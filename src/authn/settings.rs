//! What an issuer is configured to be.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use url::Url;

use super::algorithm::Algorithm;
use super::client_key::ClientKey;
use super::user_template::{TemplateError, UserTemplate};
use crate::secret::Secret;

/// Whose tokens are accepted by their `aud`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audiences {
    /// Any token of the issuer, those for other applications too.
    Any,
    /// Tokens that name at least one of these.
    List(Vec<String>),
}

impl Audiences {
    /// Those that are named.
    pub(super) fn list(&self) -> &[String] {
        match self {
            Self::Any => &[],
            Self::List(list) => list,
        }
    }
}

/// One issuer.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// Compared with `iss` byte by byte.
    pub url: String,
    /// Where the discovery document lies when not below `url`, for example at an address inside
    /// the cluster. Endpoints with the issuer's origin are then called at this one's, with the
    /// issuer's authority as `Host`.
    pub discovery_url: Option<Url>,
    /// Whose tokens are accepted.
    pub audiences: Audiences,
    /// Clients of our own projects, whose roles are believed where a token does not name the
    /// project that they are in.
    pub clients: Vec<String>,
    /// Signature algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// How far this clock may be behind the issuer's, for `nbf` and `iat`.
    pub skew: Duration,
    /// `OpenFGA` user with `{sub}` at its end; `user:{sub}` when absent.
    pub user_template: Option<String>,
    /// How opaque tokens are verified; without it they are refused.
    pub introspection: Option<IntrospectionSettings>,
    /// Claims that the upstream sees as headers.
    pub claim_headers: Vec<(HeaderName, String)>,
    /// Age at which keys are fetched again.
    pub soft_ttl: Duration,
    /// Age at which keys that could not be fetched again are no longer believed.
    pub hard_ttl: Duration,
}

impl IssuerSettings {
    /// An issuer with the defaults and any audience.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            discovery_url: None,
            audiences: Audiences::Any,
            clients: Vec::new(),
            algorithms: Algorithm::ALL.to_vec(),
            skew: Duration::from_secs(30),
            user_template: None,
            introspection: None,
            claim_headers: Vec::new(),
            soft_ttl: Duration::from_mins(5),
            hard_ttl: Duration::from_hours(24),
        }
    }
}

/// RFC 7662 introspection as a client of the issuer.
#[derive(Clone, Debug)]
pub struct IntrospectionSettings {
    /// The API application's client id.
    pub client_id: String,
    /// What proves that we are it.
    pub credential: ClientCredential,
    /// Deadline of one call.
    pub timeout: Duration,
    /// Longest time that an active answer is believed.
    pub ttl: Duration,
    /// Time that an inactive answer is believed.
    pub negative_ttl: Duration,
}

/// What proves that we are the client.
#[derive(Clone, Debug)]
pub enum ClientCredential {
    /// `client_secret_basic`
    Secret(Secret),
    /// `private_key_jwt`
    Key(Arc<ClientKey>),
}

impl IntrospectionSettings {
    /// A client with a secret and the default times.
    pub fn new(client_id: impl Into<String>, client_secret: Secret) -> Self {
        Self::with(client_id.into(), ClientCredential::Secret(client_secret))
    }

    /// A client with a key and the default times.
    pub fn with_key(key: ClientKey) -> Self {
        Self::with(key.client_id().to_owned(), ClientCredential::Key(Arc::new(key)))
    }

    fn with(client_id: String, credential: ClientCredential) -> Self {
        Self {
            client_id,
            credential,
            timeout: Duration::from_secs(1),
            ttl: Duration::from_secs(30),
            negative_ttl: Duration::from_secs(5),
        }
    }
}

/// Why issuers cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Nobody could ever be authenticated.
    #[error("no issuer is configured")]
    NoIssuer,
    /// Not an http or https URL without credentials, query and fragment.
    #[error("issuer {0:?} is not an http(s) URL without credentials, query and fragment")]
    IssuerUrl(String),
    /// The same `iss` twice.
    #[error("issuer {0:?} is configured twice")]
    RepeatedIssuer(String),
    /// The template of this issuer is unusable.
    #[error("issuer {issuer:?}: {error}")]
    UserTemplate {
        /// The issuer's URL.
        issuer: String,
        /// What is wrong with it.
        error: TemplateError,
    },
    /// Two issuers would share their users.
    #[error("issuer {0:?} needs a user template of its own")]
    SharedUserTemplate(String),
    /// A list of audiences that no token can satisfy, or that an empty one would.
    #[error("issuer {0:?}: audiences must be non-empty texts")]
    EmptyAudience(String),
    /// A client that every token without one would be of.
    #[error("issuer {0:?}: clients must be non-empty texts")]
    EmptyClient(String),
    /// No token could be accepted.
    #[error("issuer {0:?}: no algorithm is allowed")]
    NoAlgorithm(String),
    /// Opaque tokens do not name their issuer, so they could be sent to the wrong one.
    #[error("issuer {0:?}: only one issuer may have introspection")]
    SeveralIntrospections(String),
    /// Introspection without a client id or a secret.
    #[error("issuer {0:?}: introspection needs a client id and a secret")]
    IntrospectionClient(String),
    /// A life of keys that ends before their refresh.
    #[error("issuer {0:?}: the hard limit of keys must be longer than their refresh interval")]
    KeyLife(String),
    /// The HTTP client could not be built.
    #[error("failed to build the HTTP client")]
    HttpClient(#[from] reqwest::Error),
}

/// Something that makes an issuer unusable.
#[derive(Debug)]
pub struct IssuerFault {
    /// Its position.
    pub issuer: usize,
    /// The key that is wrong, in the words of the configuration.
    pub field: &'static str,
    /// What is wrong.
    pub error: SettingsError,
}

/// Everything because of which issuers cannot be used, one by one or together.
pub fn faults(issuers: &[IssuerSettings]) -> Vec<IssuerFault> {
    let mut faults = Vec::new();
    let mut templates: Vec<UserTemplate> = Vec::new();
    let mut introspects = false;
    for (at, issuer) in issuers.iter().enumerate() {
        let url = || issuer.url.clone();
        let mut add = |field, error| faults.push(IssuerFault { issuer: at, field, error });
        faults_of_one(issuer, &mut add);
        if issuers.iter().take(at).any(|other| other.url == issuer.url) {
            add("url", SettingsError::RepeatedIssuer(url()));
        }
        match user_template(issuer) {
            Err(error) => add("user", error),
            Ok(template) if templates.contains(&template) => {
                add("user", SettingsError::SharedUserTemplate(url()));
            }
            Ok(template) => templates.push(template),
        }
        if introspects && issuer.introspection.is_some() {
            add("introspection", SettingsError::SeveralIntrospections(url()));
        }
        introspects |= issuer.introspection.is_some();
    }
    faults
}

fn faults_of_one(issuer: &IssuerSettings, add: &mut impl FnMut(&'static str, SettingsError)) {
    let url = || issuer.url.clone();
    if let Err(error) = parse_issuer(&issuer.url) {
        add("url", error);
    }
    if let Audiences::List(audiences) = &issuer.audiences
        && (audiences.is_empty() || audiences.iter().any(String::is_empty))
    {
        add("audience", SettingsError::EmptyAudience(url()));
    }
    if issuer.clients.iter().any(String::is_empty) {
        add("clients", SettingsError::EmptyClient(url()));
    }
    if issuer.algorithms.is_empty() {
        add("algorithms", SettingsError::NoAlgorithm(url()));
    }
    if issuer.soft_ttl.is_zero() || issuer.hard_ttl <= issuer.soft_ttl {
        add("keep_keys", SettingsError::KeyLife(url()));
    }
    let is_blank = |client: &IntrospectionSettings| {
        let lacks_secret =
            matches!(&client.credential, ClientCredential::Secret(secret) if secret.is_empty());
        client.client_id.is_empty() || lacks_secret
    };
    if issuer.introspection.as_ref().is_some_and(is_blank) {
        add("introspection", SettingsError::IntrospectionClient(url()));
    }
}

/// The templates of issuers that can be used, in their order.
pub(super) fn validate(issuers: &[IssuerSettings]) -> Result<Arc<[UserTemplate]>, SettingsError> {
    if issuers.is_empty() {
        return Err(SettingsError::NoIssuer);
    }
    match faults(issuers).into_iter().next() {
        Some(fault) => Err(fault.error),
        None => issuers.iter().map(user_template).collect(),
    }
}

fn user_template(issuer: &IssuerSettings) -> Result<UserTemplate, SettingsError> {
    match &issuer.user_template {
        None => Ok(UserTemplate::default()),
        Some(text) => UserTemplate::parse(text)
            .map_err(|error| SettingsError::UserTemplate { issuer: issuer.url.clone(), error }),
    }
}

/// Parses an issuer identifier (`OpenID` Connect Discovery section 2; plain http for development).
pub(super) fn parse_issuer(text: &str) -> Result<Url, SettingsError> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    url.ok_or_else(|| SettingsError::IssuerUrl(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(issuers: &[IssuerSettings], expected: &str) {
        let error = validate(issuers).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }

    fn changed(change: impl FnOnce(&mut IssuerSettings)) -> Vec<IssuerSettings> {
        let mut issuer = IssuerSettings::new("https://a.example");
        change(&mut issuer);
        vec![issuer]
    }

    #[test]
    fn one_issuer_with_defaults_is_valid() {
        assert_eq!(validate(&changed(|_| ())).expect("valid").len(), 1);
    }

    #[test]
    fn unusable_issuers_are_refused() {
        check(&[], "no issuer");
        for url in ["", "a.example", "ftp://a", "https://u@a", "https://a?b", "https://a#b"] {
            check(&changed(|i| i.url = url.into()), "is not an http(s) URL");
        }
        check(&changed(|i| i.audiences = Audiences::List(vec![])), "audiences");
        check(&changed(|i| i.audiences = Audiences::List(vec![String::new()])), "audiences");
        check(&changed(|i| i.clients = vec![String::new()]), "clients must be non-empty");
        check(&changed(|i| i.algorithms.clear()), "no algorithm");
        check(&changed(|i| i.hard_ttl = i.soft_ttl), "hard limit");
        check(&changed(|i| i.user_template = Some("user:x".into())), "{sub}");
        let client = IntrospectionSettings::new("id", Secret::default());
        check(&changed(|i| i.introspection = Some(client)), "needs a client id and a secret");
    }

    #[test]
    fn two_issuers_need_different_names_and_templates() {
        let a = IssuerSettings::new("https://a.example");
        let mut b = IssuerSettings::new("https://b.example");
        check(&[a.clone(), a.clone()], "configured twice");
        check(&[a.clone(), b.clone()], "template of its own");
        b.user_template = Some("user:b|{sub}".into());
        assert!(validate(&[a.clone(), b.clone()]).is_ok());
        let client = IntrospectionSettings::new("id", Secret::new("secret"));
        let with = |mut issuer: IssuerSettings| {
            issuer.introspection = Some(client.clone());
            issuer
        };
        check(&[with(a), with(b)], "only one issuer may have introspection");
    }
}
