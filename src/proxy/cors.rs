//! Cross-origin requests (the Fetch standard): preflights, and the headers that let scripts read.

mod origins;
#[cfg(test)]
mod tests;

pub use origins::{Origin, OriginError, Origins};

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// More names than any application exposes.
const MAX_EXPOSED: usize = 128;

/// Who may read answers across origins.
#[derive(Debug, Clone)]
pub struct Cors {
    /// Whose pages.
    pub origins: Origins,
    /// Value of Access-Control-Allow-Headers.
    pub allowed_headers: HeaderValue,
    /// Value of Access-Control-Expose-Headers, where the application has nothing to add.
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
    pub const fn is_configured(&self) -> bool {
        !self.origins.is_empty()
    }

    /// The value of Access-Control-Allow-Origin for a request.
    pub fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        self.origins.find(headers.get(ORIGIN)?)
    }

    /// Writes the headers of an ordinary answer of our own.
    pub fn apply(&self, origin: Option<&HeaderValue>, response: &mut HeaderMap) {
        self.write(origin, self.exposed_headers.clone(), response);
    }

    /// Writes the headers of an upstream's answer. Who may read it is not for the application to say,
    /// so its own words go; what there is to read is, so the headers that it exposes stay exposed.
    pub fn overrule(&self, origin: Option<&HeaderValue>, response: &mut HeaderMap) {
        let mut exposed = self.exposed_headers.clone();
        if self.is_configured() && response.keys().any(is_of_cors) {
            exposed = self.joined(response);
            let said: Vec<_> = response.keys().filter(|name| is_of_cors(name)).cloned().collect();
            for name in said {
                response.remove(name);
            }
        }
        self.write(origin, exposed, response);
    }

    fn write(&self, origin: Option<&HeaderValue>, exposed: HeaderValue, response: &mut HeaderMap) {
        if !self.is_configured() {
            return;
        }
        add_vary_origin(response);
        let Some(origin) = origin else { return };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if !exposed.is_empty() {
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
        if self.allow_credentials {
            response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// Our names, and those of the application that are not among them. Its `*` stays beside them:
    /// browsers honour it where no credentials were sent, and otherwise take it for a name.
    fn joined(&self, response: &HeaderMap) -> HeaderValue {
        let lines = std::iter::once(&self.exposed_headers)
            .chain(response.get_all(ACCESS_CONTROL_EXPOSE_HEADERS));
        let mut names: Vec<&str> = Vec::new();
        for name in lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')) {
            let name = name.trim();
            let is_known = names.iter().any(|known| known.eq_ignore_ascii_case(name));
            if !name.is_empty() && !is_known && names.len() < MAX_EXPOSED {
                names.push(name);
            }
        }
        HeaderValue::from_str(&names.join(", ")).unwrap_or_else(|_| self.exposed_headers.clone())
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

fn is_of_cors(name: &HeaderName) -> bool {
    name.as_str().starts_with("access-control-")
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
