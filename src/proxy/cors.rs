//! Cross-origin requests (the Fetch standard): preflights, and the headers that let scripts read.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method};

/// Who may read answers across origins.
#[derive(Debug, Clone)]
pub struct Cors {
    /// Exact origins.
    pub origins: Vec<HeaderValue>,
    /// Any origin at all; never together with credentials.
    pub any_origin: bool,
    /// Value of Access-Control-Allow-Headers.
    pub allowed_headers: HeaderValue,
    /// Value of Access-Control-Expose-Headers.
    pub exposed_headers: HeaderValue,
    /// Whether browsers may send cookies.
    pub allow_credentials: bool,
    /// Value of Access-Control-Max-Age, in seconds.
    pub max_age: HeaderValue,
}

/// The method that a preflight asks about.
pub fn preflight_method(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if *method != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    Method::from_bytes(headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

impl Cors {
    /// Whether any origin is configured; without one the application answers for itself.
    pub fn is_configured(&self) -> bool {
        self.any_origin || !self.origins.is_empty()
    }

    /// The value of Access-Control-Allow-Origin for a request.
    pub fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        if self.any_origin {
            return Some(HeaderValue::from_static("*"));
        }
        self.origins.iter().find(|allowed| *allowed == origin).cloned()
    }

    /// Writes the headers of an ordinary response, in place of whatever the upstream said.
    pub fn apply(&self, origin: Option<&HeaderValue>, response: &mut HeaderMap) {
        if !self.is_configured() {
            return;
        }
        add_vary_origin(response);
        response.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
        let Some(origin) = origin else {
            response.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
            return;
        };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed_headers.clone());
        if self.allow_credentials {
            response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// Writes what an answered preflight has on top of [`Cors::apply`].
    pub fn apply_preflight(&self, method: &Method, response: &mut HeaderMap) {
        if let Ok(method) = HeaderValue::from_str(method.as_str()) {
            response.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
        }
        response.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.allowed_headers.clone());
        response.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
    }
}

/// Caches must not serve one origin's answer to another.
pub fn add_vary_origin(response: &mut HeaderMap) {
    let has = response.get_all(VARY).iter().any(|value| {
        value.to_str().is_ok_and(|text| {
            text.split(',').any(|name| {
                let name = name.trim();
                name == "*" || name.eq_ignore_ascii_case("origin")
            })
        })
    });
    if !has {
        response.append(VARY, HeaderValue::from_static("Origin"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str]) -> Cors {
        Cors {
            origins: origins.iter().map(|origin| origin.parse().unwrap()).collect(),
            any_origin: false,
            allowed_headers: HeaderValue::from_static("Authorization"),
            exposed_headers: HeaderValue::from_static("Retry-After"),
            allow_credentials: true,
            max_age: HeaderValue::from_static("600"),
        }
    }

    fn from_origin(origin: &str) -> HeaderMap {
        HeaderMap::from_iter([(ORIGIN, origin.parse().unwrap())])
    }

    #[test]
    fn only_the_exact_origin_is_allowed() {
        let cors = cors(&["https://app.example"]);
        assert!(cors.allowed_origin(&from_origin("https://app.example")).is_some());
        for other in
            ["https://app.example.evil", "http://app.example", "null", "https://APP.example"]
        {
            assert!(cors.allowed_origin(&from_origin(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn the_upstream_cannot_open_what_is_closed_here() {
        let mut response = HeaderMap::new();
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        cors(&["https://app.example"]).apply(None, &mut response);
        assert!(!response.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert!(!response.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        assert_eq!(response.get(VARY).unwrap(), "Origin");
    }

    #[test]
    fn an_application_that_is_asked_nothing_keeps_its_own_headers() {
        let mut response = HeaderMap::new();
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        cors(&[]).apply(None, &mut response);
        assert!(response.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    }
}
