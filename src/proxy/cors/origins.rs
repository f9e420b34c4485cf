//! Which origins may read answers (RFC 6454).

use http::HeaderValue;
use url::{Host, Url};

/// Why a value is no origin that a browser will ever send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// No scheme and host, or more than those and a port.
    #[error("is not an origin like https://app.example.com")]
    NotAnOrigin,
    /// Another spelling of one.
    #[error("never matches: browsers send {0}")]
    NeverSent(String),
    /// Not the whole first label, or too little behind it.
    #[error(
        "has a * in a place where it has no meaning: write https://*.example.com, with two labels or \
         more behind it"
    )]
    MisplacedStar,
    /// Any, and some.
    #[error("allows every origin and stands alone")]
    StarBesideOthers,
}

/// Which origins may read answers.
#[derive(Clone, Debug)]
pub enum Origins {
    /// Every one; never together with credentials.
    Any,
    /// These.
    Listed(Vec<Origin>),
}

impl Origins {
    /// Reads all of them, or tells what is wrong with each.
    pub fn parse(texts: &[String]) -> Result<Self, Vec<(&str, OriginError)>> {
        if let [only] = texts
            && only == "*"
        {
            return Ok(Self::Any);
        }
        let (mut origins, mut errors) = (Vec::new(), Vec::new());
        for text in texts {
            match Origin::parse(text) {
                Ok(origin) => origins.push(origin),
                Err(error) => errors.push((text.as_str(), error)),
            }
        }
        if errors.is_empty() { Ok(Self::Listed(origins)) } else { Err(errors) }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        matches!(self, Self::Listed(origins) if origins.is_empty())
    }

    /// What a request of `origin` finds in Access-Control-Allow-Origin.
    pub fn find(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match self {
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Listed(origins) => {
                origins.iter().any(|allowed| allowed.matches(origin)).then(|| origin.clone())
            }
        }
    }
}

/// One origin, or those of all names below a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This one.
    Exact(HeaderValue),
    /// `https://` and `.example.com:8443`, with one or more labels between them.
    Below {
        /// The scheme and what separates it.
        scheme: Box<str>,
        /// From the dot behind the labels to the end.
        suffix: Box<str>,
    },
}

impl Origin {
    fn parse(text: &str) -> Result<Self, OriginError> {
        if text == "*" {
            return Err(OriginError::StarBesideOthers);
        }
        if let Some((scheme, domain)) = text.split_once("://*.") {
            let (scheme, suffix) = (format!("{scheme}://"), format!(".{domain}"));
            let beneath = format!("{scheme}{domain}");
            let has_labels = Url::parse(&beneath).is_ok_and(
                |url| matches!(url.host(), Some(Host::Domain(name)) if name.trim_matches('.').contains('.')),
            );
            if domain.contains('*') || !has_labels {
                return Err(OriginError::MisplacedStar);
            }
            return match serialized(&beneath) {
                Some(sent) if sent == beneath => {
                    Ok(Self::Below { scheme: scheme.into(), suffix: suffix.into() })
                }
                Some(sent) => Err(OriginError::NeverSent(sent.replacen("://", "://*.", 1))),
                None => Err(OriginError::NotAnOrigin),
            };
        }
        if text.contains('*') {
            return Err(OriginError::MisplacedStar);
        }
        match serialized(text) {
            Some(sent) if sent == text => {
                HeaderValue::from_str(text).map(Self::Exact).map_err(|_| OriginError::NotAnOrigin)
            }
            Some(sent) => Err(OriginError::NeverSent(sent)),
            None => Err(OriginError::NotAnOrigin),
        }
    }

    fn matches(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Exact(exact) => exact == origin,
            Self::Below { scheme, suffix } => origin
                .as_bytes()
                .strip_prefix(scheme.as_bytes())
                .and_then(|rest| rest.strip_suffix(suffix.as_bytes()))
                .is_some_and(are_labels),
        }
    }
}

/// Browsers send names in lower case, and other alphabets as punycode.
fn are_labels(text: &[u8]) -> bool {
    let is_label = |label: &[u8]| {
        !label.is_empty()
            && label.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    text.split(|byte| *byte == b'.').all(is_label)
}

/// The origin of a URL as browsers send it; `None` where it has none, or a secret in it.
fn serialized(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    let host = url.host_str().filter(|host| !host.is_empty() && !has_credentials)?;
    match url.scheme() {
        "http" | "https" => Some(url.origin().ascii_serialization()),
        // No page has these, a page of an application or an extension has a scheme of its own.
        "ws" | "wss" | "ftp" | "file" | "blob" => None,
        scheme => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            Some(format!("{scheme}://{host}{port}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(texts: &[&str]) -> Result<Origins, Vec<OriginError>> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        Origins::parse(&texts).map_err(|errors| errors.into_iter().map(|(_, e)| e).collect())
    }

    fn allows(pattern: &str, origin: &str) -> bool {
        origins(&[pattern]).unwrap().find(&origin.parse().unwrap()).is_some()
    }

    #[test]
    fn only_the_exact_origin_is_allowed() {
        let ours = "https://app.example";
        assert!(allows(ours, ours));
        for other in
            ["https://app.example.evil", "http://app.example", "null", "https://APP.example"]
        {
            assert!(!allows(ours, other), "{other}");
        }
        for own in ["http://localhost:5173", "https://[::1]:8443", "capacitor://localhost"] {
            assert!(allows(own, own), "{own}");
        }
    }

    #[test]
    fn a_star_stands_for_one_or_more_labels() {
        let ours = "https://*.example.com";
        for origin in
            ["https://a.example.com", "https://a.b.example.com", "https://x-1.example.com"]
        {
            assert!(allows(ours, origin), "{origin}");
        }
        for origin in [
            "https://example.com",
            "https://.example.com",
            "https://a..example.com",
            "https://evilexample.com",
            "https://a.example.com.evil",
            "https://a.example.com:8443",
            "http://a.example.com",
            "https://evil.com/a.example.com",
            "https://evil.com#a.example.com",
            "https://u@a.example.com",
            "https://A.example.com",
            "null",
        ] {
            assert!(!allows(ours, origin), "{origin}");
        }
        assert!(allows("http://*.example.com:8080", "http://a.example.com:8080"));
        assert!(!allows("http://*.example.com:8080", "http://a.example.com"));
    }

    #[test]
    fn what_can_never_match_is_an_error() {
        let sent = |text: &str| OriginError::NeverSent(text.to_owned());
        let cases = [
            ("https://app.example/", sent("https://app.example")),
            ("https://app.example/path", sent("https://app.example")),
            ("https://App.example", sent("https://app.example")),
            ("HTTPS://app.example", sent("https://app.example")),
            ("https://app.example:443", sent("https://app.example")),
            ("http://app.example:080", sent("http://app.example")),
            ("https://app.example?x", sent("https://app.example")),
            ("https://bücher.example", sent("https://xn--bcher-kva.example")),
            ("https://*.example.com/", sent("https://*.example.com")),
            ("https://*.Example.com:443", sent("https://*.example.com")),
            ("https://u:p@app.example", OriginError::NotAnOrigin),
            ("https://*.u:p@app.example", OriginError::NotAnOrigin),
            ("app.example", OriginError::NotAnOrigin),
            ("null", OriginError::NotAnOrigin),
            ("", OriginError::NotAnOrigin),
            ("wss://app.example", OriginError::NotAnOrigin),
            ("file:///", OriginError::NotAnOrigin),
            ("*.example.com", OriginError::MisplacedStar),
            ("https://*", OriginError::MisplacedStar),
            ("https://*.com", OriginError::MisplacedStar),
            ("https://*.com.", OriginError::MisplacedStar),
            ("https://*.", OriginError::MisplacedStar),
            ("https://*.192.0.2.1", OriginError::MisplacedStar),
            ("https://*example.com", OriginError::MisplacedStar),
            ("https://a.*.example.com", OriginError::MisplacedStar),
            ("https://*.*.example.com", OriginError::MisplacedStar),
            ("https://app.example:*", OriginError::MisplacedStar),
        ];
        for (text, error) in cases {
            assert_eq!(origins(&[text]).unwrap_err(), [error], "{text}");
        }
    }

    #[test]
    fn any_origin_stands_alone() {
        assert!(allows("*", "null"));
        let told = origins(&["https://app.example", "*"]).unwrap_err();
        assert_eq!(told, [OriginError::StarBesideOthers]);
        assert!(origins(&[]).unwrap().is_empty());
    }
}
