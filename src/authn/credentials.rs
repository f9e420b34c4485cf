//! Where the one token of a request is looked for. Browsers cannot set Authorization on a WebSocket
//! or an `EventSource`, so a cookie, a parameter or a subprotocol may carry it.
//!
//! Everything that some application could take for the carrier of a token is one: it is compared
//! with the others, and taken out before the request goes on. So nobody behind the gateway sees
//! another caller than the one who was admitted.

mod cookie;
mod query;
pub(super) mod spelling;
mod subprotocol;

pub use subprotocol::{NotAProtocol, Protocol};

use std::borrow::Cow;
use std::str::FromStr;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::TokenError;
use super::bearer::{self, Offered};
use spelling::reads_as;

/// A place in which a token is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `Authorization: Bearer`.
    Authorization,
    /// The cookie of this name.
    Cookie(Box<str>),
    /// The parameter of this name in the query.
    Query(Box<str>),
    /// A subprotocol of a WebSocket handshake: a prefix, then the token as base64url.
    WebSocketProtocol,
}

/// Why a text is no [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// None of the four forms.
    #[error("is not authorization, cookie:NAME, query:NAME or websocket_protocol")]
    Unknown,
    /// RFC 6265 section 4.1.1.
    #[error("does not name a cookie: letters, digits and !#$%&'*+-.^_`|~")]
    CookieName,
    /// Whatever has to be encoded in a query has several spellings.
    #[error("does not name a parameter: letters, digits and -._~")]
    ParameterName,
}

/// Why sources do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// No token would ever be found.
    #[error("is empty; name at least one place in which tokens are looked for")]
    Empty,
    /// Applications could not tell the two apart.
    #[error("{0:?} is listed twice; spellings that applications take for one another are one")]
    Repeated(Box<str>),
    /// The answer would name a token.
    #[error("must not begin like a subprotocol that carries a token")]
    CompanionLikeToken,
}

/// The places in which a token is looked for.
#[derive(Clone, Debug)]
pub struct Credentials {
    sources: Vec<Source>,
    prefix: Protocol,
    companion: Protocol,
}

/// What is known of whoever sent a request, beside what the request says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sender {
    /// Asks for a WebSocket; only then does a subprotocol count.
    pub is_handshake: bool,
    /// Other pages cannot have made the browser send the request, or it changes nothing: a cookie
    /// counts.
    pub is_vouched_for: bool,
}

/// What was taken out of a request's headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Together with a token, the companion was offered: the answer may name it.
    pub companion: bool,
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        match text.split_once(':') {
            None if text == "authorization" => Ok(Self::Authorization),
            None if text == "websocket_protocol" => Ok(Self::WebSocketProtocol),
            Some(("cookie", name)) if subprotocol::is_token(name) => Ok(Self::Cookie(name.into())),
            Some(("cookie", _)) => Err(SourceError::CookieName),
            Some(("query", name)) if is_unreserved(name) => Ok(Self::Query(name.into())),
            Some(("query", _)) => Err(SourceError::ParameterName),
            _ => Err(SourceError::Unknown),
        }
    }
}

impl Source {
    /// Whether some application would take the one for the other.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cookie(one), Self::Cookie(other)) | (Self::Query(one), Self::Query(other)) => {
                reads_as(one.as_bytes(), other)
            }
            _ => self == other,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Authorization => "authorization",
            Self::Cookie(name) | Self::Query(name) => name,
            Self::WebSocketProtocol => "websocket_protocol",
        }
    }
}

impl Credentials {
    /// Looks in these places. `prefix` begins the subprotocol that carries a token, `companion` is
    /// the one that a page may offer beside it.
    pub fn new(
        sources: Vec<Source>,
        prefix: Protocol,
        companion: Protocol,
    ) -> Result<Self, CredentialsError> {
        if sources.is_empty() {
            return Err(CredentialsError::Empty);
        }
        for (at, source) in sources.iter().enumerate() {
            if sources.iter().take(at).any(|earlier| source.is_like(earlier)) {
                return Err(CredentialsError::Repeated(source.name().into()));
            }
        }
        if prefix.token_in(companion.header().as_bytes()).is_some() {
            return Err(CredentialsError::CompanionLikeToken);
        }
        Ok(Self { sources, prefix, companion })
    }

    /// Whether Authorization is all that is looked at.
    pub fn is_plain(&self) -> bool {
        matches!(*self.sources, [Source::Authorization])
    }

    /// What a handshake may be answered with where the application chooses nothing.
    pub fn companion(&self) -> &Protocol {
        &self.companion
    }

    /// Finds the request's one token. The same token in two places is one.
    pub fn find<'a>(
        &self,
        headers: &'a HeaderMap,
        query: Option<&'a str>,
        sender: Sender,
    ) -> Result<Offered<'a>, TokenError> {
        if self.is_plain() {
            return bearer::find(headers, query);
        }
        let mut found = Found::default();
        for source in &self.sources {
            self.look_in(source, headers, query, sender, &mut found)?;
        }
        let token = found.token.ok_or(TokenError::Missing)?;
        if found.is_conflicting || self.sees_a_stranger(headers, query) {
            return Err(TokenError::Conflicting);
        }
        if found.is_in_cookies_alone && !sender.is_vouched_for {
            return Err(TokenError::UnknownOrigin);
        }
        Ok(Offered::new(token))
    }

    fn look_in<'a>(
        &self,
        source: &Source,
        headers: &'a HeaderMap,
        query: Option<&'a str>,
        sender: Sender,
        found: &mut Found<'a>,
    ) -> Result<(), TokenError> {
        match source {
            Source::Authorization => {
                if let Some(token) = bearer::in_authorization(headers)? {
                    found.add(token.into(), source);
                }
            }
            Source::Cookie(name) => {
                for token in cookie::values(headers, name) {
                    found.add(token.into(), source);
                }
            }
            Source::Query(name) => {
                for token in query.into_iter().flat_map(|query| query::values(query, name)) {
                    found.add(token, source);
                }
            }
            Source::WebSocketProtocol if sender.is_handshake => {
                let offered = subprotocol::offered(headers);
                for token in offered.filter_map(|one| self.prefix.token_in(one)) {
                    found.add(token, source);
                }
            }
            Source::WebSocketProtocol => {}
        }
        Ok(())
    }

    /// Whether there is a credential that is not looked at, but may be by whoever comes next.
    fn sees_a_stranger(&self, headers: &HeaderMap, query: Option<&str>) -> bool {
        let is_read = self.sources.contains(&Source::Authorization)
            && matches!(bearer::in_authorization(headers), Ok(Some(_)));
        if headers.contains_key(AUTHORIZATION) && !is_read {
            return true;
        }
        let is_usual = |source: &Source| match source {
            Source::Query(name) => reads_as(name.as_bytes(), bearer::ACCESS_TOKEN),
            _ => false,
        };
        query.is_some_and(bearer::names_access_token) && !self.sources.iter().any(is_usual)
    }

    /// Whether a subprotocol with a token is all that is offered: browsers fail a handshake whose
    /// answer names none of the offered ones, and an answer must not name a token.
    pub fn offers_a_token_alone(&self, headers: &HeaderMap) -> bool {
        if !self.sources.contains(&Source::WebSocketProtocol) {
            return false;
        }
        let mut offered = subprotocol::offered(headers).peekable();
        offered.peek().is_some() && offered.all(|one| self.prefix.token_in(one).is_some())
    }

    /// Takes whatever carries a token out of the headers, Authorization aside. The companion goes
    /// with the token: it speaks to the gateway.
    pub fn take_out(&self, headers: &mut HeaderMap) -> Taken {
        let mut taken = Taken::default();
        for source in &self.sources {
            match source {
                Source::Cookie(name) => cookie::take_out(headers, name),
                Source::WebSocketProtocol => {
                    taken.companion = subprotocol::take_out(headers, &self.prefix, &self.companion);
                }
                Source::Authorization | Source::Query(_) => {}
            }
        }
        taken
    }

    /// The query without its tokens; `None` if there are none in it.
    pub fn query_without_token(&self, query: &str) -> Option<String> {
        let names = self.sources.iter().filter_map(|source| match source {
            Source::Query(name) => Some(&**name),
            _ => None,
        });
        names.fold(None, |rest, name| {
            query::without(rest.as_deref().unwrap_or(query), name).or(rest)
        })
    }
}

/// The tokens of a request, which have to be one.
struct Found<'a> {
    token: Option<Cow<'a, [u8]>>,
    is_conflicting: bool,
    is_in_cookies_alone: bool,
}

impl Default for Found<'_> {
    fn default() -> Self {
        Self { token: None, is_conflicting: false, is_in_cookies_alone: true }
    }
}

impl<'a> Found<'a> {
    fn add(&mut self, token: Cow<'a, [u8]>, source: &Source) {
        self.is_in_cookies_alone &= matches!(source, Source::Cookie(_));
        match &self.token {
            Some(first) => self.is_conflicting |= *first != token,
            None => self.token = Some(token),
        }
    }
}

/// RFC 3986 section 2.3.
fn is_unreserved(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_legal)
}

#[cfg(test)]
mod tests;
