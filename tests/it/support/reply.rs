//! What a client got, and what every refusal has in common.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::http1;

/// A response that has been read to its end.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        self.header(name).parse().unwrap_or_else(|_| panic!("{name} is no number: {self:?}"))
    }

    #[track_caller]
    pub fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Empty when the body is no problem document.
    pub fn reason(&self) -> String {
        let body = serde_json::from_slice::<Value>(&self.body).unwrap_or(Value::Null);
        body["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// Everything that holds for every refusal.
    #[track_caller]
    pub fn refused(&self, status: u16, reason: &str) -> &Self {
        assert_eq!((self.status, self.reason().as_str()), (status, reason), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let body = self.json();
        let mut members = body.as_object().unwrap().keys().collect::<Vec<_>>();
        members.retain(|member| *member != "detail");
        members.sort();
        assert_eq!(members, ["reason", "request_id", "status", "title", "type"], "{self:?}");
        assert_eq!(body["status"], status);
        assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{self:?}");
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert_ne!(self.header("x-request-id"), "", "{self:?}");
        self.has_common_headers();
        match status {
            401 => assert!(self.header("www-authenticate").starts_with("Bearer"), "{self:?}"),
            405 => assert_ne!(self.header("allow"), "", "{self:?}"),
            429 | 503 => assert!(self.number("retry-after") >= 1, "{self:?}"),
            _ => {}
        }
        self
    }

    /// A refusal whose detail has these words.
    #[track_caller]
    pub fn explained(&self, status: u16, reason: &str, words: &str) -> &Self {
        self.refused(status, reason);
        let detail = self.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains(words), "{self:?}");
        self
    }

    #[track_caller]
    pub fn refused_for_one_of(&self, status: u16, reasons: &[&str]) {
        let reason = self.reason();
        assert!(reasons.contains(&reason.as_str()), "{reason}, not one of {reasons:?}: {self:?}");
        self.refused(status, &reason);
    }

    /// On every response that the gateway makes itself.
    #[track_caller]
    pub fn has_common_headers(&self) {
        let vary = self.headers.get_all("vary").iter();
        let vary = vary.map(|v| v.to_str().unwrap().to_ascii_lowercase()).collect::<Vec<_>>();
        assert!(vary.join(",").contains("origin"), "{self:?}");
        assert_eq!(self.header("x-content-type-options"), "nosniff", "{self:?}");
    }
}

impl From<http1::Response> for Reply {
    fn from(response: http1::Response) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in &response.head.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        Self { status: response.status(), headers, body: response.body.into() }
    }
}
