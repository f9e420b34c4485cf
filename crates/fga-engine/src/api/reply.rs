//! Bodies in and out.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::EngineError;

/// Names the model that answered.
const MODEL_HEADER: HeaderName = HeaderName::from_static("openfga-authorization-model-id");

/// A JSON body, whatever the content type says: OpenFGA's clients differ there.
pub(super) struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|error| Failure(EngineError::validation(error.body_text())))?;
        let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
        match serde_json::from_slice(&body) {
            Ok(value) => Ok(Self(value)),
            Err(error) => Err(Failure(EngineError::validation(error.to_string()))),
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, "application/json")];
        match serde_json::to_string(&self.0) {
            Ok(body) => (headers, body).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// An error with OpenFGA's status and body.
pub(super) struct Failure(pub EngineError);

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(EngineError { code, message }) = self;
        let status = StatusCode::from_u16(code.http_status());
        let body = Json(json!({ "code": code.as_str(), "message": message }));
        (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body).into_response()
    }
}

/// An answer that names the model it was computed with.
pub(super) struct Answer<T> {
    pub model: String,
    pub body: T,
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        if let Ok(model) = HeaderValue::from_str(&self.model) {
            response.headers_mut().insert(MODEL_HEADER, model);
        }
        response
    }
}
