//! `cors`: which pages of others may call, and what they may see.

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::problems::Problems;
use crate::config::values::shown;
use crate::proxy::cors::{Cors, Origins};
use crate::span::Span;

/// Cross-origin requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CorsSection {
    allowed_origins: Vec<String>,
    allowed_headers: Vec<String>,
    exposed_headers: Vec<String>,
    allow_credentials: bool,
    max_age: Span,
}

impl CorsSection {
    pub(super) fn read(&self, problems: &mut Problems) -> Option<Cors> {
        let origins = Origins::parse(&self.allowed_origins).map_err(|errors| {
            for (text, error) in errors {
                problems.add("cors.allowed_origins", format!("{} {error}", shown(text)));
            }
        });
        let allowed_headers = names("cors.allowed_headers", &self.allowed_headers, problems);
        let exposed_headers = names("cors.exposed_headers", &self.exposed_headers, problems);
        let origins = origins.ok()?;
        Some(Cors {
            allowed_headers: allowed_headers?,
            exposed_headers: exposed_headers?,
            allow_credentials: self.allow_credentials && !matches!(origins, Origins::Any),
            max_age: HeaderValue::from(self.max_age.0.as_secs()),
            origins,
        })
    }
}

/// The names of headers, as one value.
fn names(key: &str, names: &[String], problems: &mut Problems) -> Option<HeaderValue> {
    let mut are_names = true;
    for name in names {
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let parsed = parsed.map_err(|_| format!("{name:?} is not a header name"));
        are_names &= problems.take(key, parsed).is_some();
    }
    are_names.then_some(())?;
    problems.take(key, HeaderValue::from_str(&names.join(", ")))
}

#[cfg(test)]
mod tests {
    use crate::config::testing::problems;

    #[test]
    fn an_origin_that_no_browser_sends_is_told() {
        let told = problems(
            "cors: {allowed_origins: 'https://app.example.com/, *, https://*.com, https://u:geheim@x'}",
        );
        assert_eq!(
            told.lines().collect::<Vec<_>>(),
            [
                "cors.allowed_origins: \"https://app.example.com/\" never matches: browsers send \
                 https://app.example.com",
                "cors.allowed_origins: \"*\" allows every origin and stands alone",
                "cors.allowed_origins: \"https://*.com\" has a * in a place where it has no meaning: \
                 write https://*.example.com, with two labels or more behind it",
                "cors.allowed_origins: the value (not shown) is not an origin like \
                 https://app.example.com",
            ]
        );
        assert_eq!(
            problems("cors: {allowed_origins: 'https://*.example.com, http://localhost:5173'}"),
            ""
        );
        assert_eq!(problems("cors: {allowed_origins: '*'}"), "");
    }

    #[test]
    fn an_origin_error_hides_no_other() {
        let told = problems(
            "cors: {allowed_origins: x, allowed_headers: 'a b, c d', exposed_headers: 'e f'}",
        );
        let keys: Vec<_> = told.lines().filter_map(|line| line.split(": ").next()).collect();
        let expected = [
            "cors.allowed_origins",
            "cors.allowed_headers",
            "cors.allowed_headers",
            "cors.exposed_headers",
        ];
        assert_eq!(keys, expected, "{told}");
    }
}
