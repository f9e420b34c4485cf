//! The endpoints at ZITADEL's paths, in ZITADEL's shapes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Form, Request, State as Shared};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::State;
use super::fault::Fault;
use super::token::TokenBuilder;
use crate::dev::issuer::clients::{Credentials, credentials};

type Issuer = Shared<Arc<State>>;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/oauth/v2/keys", get(keys))
        .route("/oauth/v2/introspect", post(introspect))
        .route("/oauth/v2/token", post(token))
        .route("/oidc/v1/userinfo", get(userinfo).post(userinfo))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), count_and_fail))
        .with_state(state)
}

/// Counts before anything can fail: a call that hangs is a call.
async fn count_and_fail(Shared(state): Issuer, request: Request, next: Next) -> Response {
    let counter = match request.uri().path() {
        "/.well-known/openid-configuration" => Some(&state.counters.discovery),
        "/oauth/v2/keys" => Some(&state.counters.keys),
        "/oauth/v2/introspect" => Some(&state.counters.introspection),
        _ => None,
    };
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::SeqCst);
    }
    match state.fault.after_hanging().await {
        Fault::Status(status) => StatusCode::from_u16(status)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response(),
        Fault::Html => Html("<!doctype html><title>Sign in</title>").into_response(),
        Fault::None | Fault::Hang | Fault::EmptyKeySet | Fault::WrongIssuer => {
            next.run(request).await
        }
    }
}

async fn discovery(Shared(state): Issuer) -> Json<Value> {
    let url = state.url();
    let issuer = match state.fault.after_hanging().await {
        Fault::WrongIssuer => format!("{url}.example"),
        _ => url.to_owned(),
    };
    let client_auth =
        json!(["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]);
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{url}/oauth/v2/authorize"),
        "token_endpoint": format!("{url}/oauth/v2/token"),
        "introspection_endpoint": format!("{url}/oauth/v2/introspect"),
        "userinfo_endpoint": format!("{url}/oidc/v1/userinfo"),
        "revocation_endpoint": format!("{url}/oauth/v2/revoke"),
        "end_session_endpoint": format!("{url}/oidc/v1/end_session"),
        "device_authorization_endpoint": format!("{url}/oauth/v2/device_authorization"),
        "jwks_uri": format!("{url}/oauth/v2/keys"),
        "scopes_supported": ["openid", "profile", "email", "phone", "address", "offline_access"],
        "response_types_supported": ["code", "id_token", "id_token token"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "grant_types_supported": ["authorization_code", "implicit", "refresh_token",
            "client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "urn:ietf:params:oauth:grant-type:device_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "RS256", "RS384", "RS512", "ES256",
            "ES384", "ES512"],
        "request_object_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": client_auth.clone(),
        "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
        "revocation_endpoint_auth_methods_supported": client_auth,
        "revocation_endpoint_auth_signing_alg_values_supported": ["RS256"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
        "introspection_endpoint_auth_signing_alg_values_supported": ["RS256"],
        "claims_supported": ["sub", "aud", "exp", "iat", "iss", "auth_time", "nonce", "acr", "amr",
            "c_hash", "at_hash", "act", "scopes", "client_id", "azp", "preferred_username", "name",
            "family_name", "given_name", "locale", "email", "email_verified", "phone_number",
            "phone_number_verified"],
        "code_challenge_methods_supported": ["S256"],
        "ui_locales_supported": ["en", "de"],
        "request_parameter_supported": true,
        "request_uri_parameter_supported": false,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
    }))
}

async fn keys(Shared(state): Issuer) -> Response {
    let keys = match state.fault.after_hanging().await {
        Fault::EmptyKeySet => Vec::new(),
        _ => state.keys.read().public_jwks(),
    };
    // `OIDC.JWKSCacheControlMaxAge` is five minutes unless an instance changes it.
    ([(CACHE_CONTROL, "max-age=300, must-revalidate")], Json(json!({ "keys": keys })))
        .into_response()
}

#[derive(Deserialize)]
struct IntrospectionForm {
    token: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
}

async fn introspect(
    Shared(state): Issuer,
    headers: HeaderMap,
    Form(form): Form<IntrospectionForm>,
) -> Response {
    let secret = credentials(&headers, form.client_id.zip(form.client_secret));
    let client = match (secret, form.client_assertion) {
        (Some(client), None) => Some(client).filter(|c| state.is_api_client(c)).map(|c| c.id),
        (None, Some(assertion)) => {
            state.asserted(form.client_assertion_type.as_deref(), &assertion)
        }
        // RFC 6749 section 2.3: one way of proving it, and no other beside it.
        _ => None,
    };
    let Some(client) = client else { return invalid_client() };
    let answer = state.introspect(&form.token, &client);
    Json(answer.map_or_else(|| json!({"active": false}), Value::Object)).into_response()
}

#[derive(Deserialize)]
struct TokenForm {
    grant_type: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
}

/// Client credentials of a service account. Its token is a JWT, as the account can be set to in
/// ZITADEL.
async fn token(Shared(state): Issuer, headers: HeaderMap, Form(form): Form<TokenForm>) -> Response {
    if form.grant_type != "client_credentials" {
        return oauth_error(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    let client = credentials(&headers, form.client_id.zip(form.client_secret));
    let Some(Credentials { id, .. }) = client.filter(|c| state.is_service_account(c)) else {
        return invalid_client();
    };
    let mut token = TokenBuilder::access(&state, &id).claim("client_id", id);
    if let Some(scope) = form.scope {
        token = token.claim("scope", scope);
    }
    match token.sign() {
        Ok(token) => {
            let answer =
                json!({"access_token": token, "token_type": "Bearer", "expires_in": 43_199});
            ([(CACHE_CONTROL, "no-store")], Json(answer)).into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "cannot sign a token");
            oauth_error(StatusCode::INTERNAL_SERVER_ERROR, "server_error")
        }
    }
}

async fn userinfo(Shared(state): Issuer, headers: HeaderMap) -> Response {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let claims = bearer.and_then(|token| state.introspect(token, &state.settings.client_id));
    match claims.and_then(|claims| claims.get("sub").cloned()) {
        Some(subject) => {
            Json(json!({"sub": subject, "preferred_username": subject})).into_response()
        }
        None => oauth_error(StatusCode::UNAUTHORIZED, "access_denied"),
    }
}

fn invalid_client() -> Response {
    let mut response = oauth_error(StatusCode::UNAUTHORIZED, "invalid_client");
    let challenge = axum::http::HeaderValue::from_static("Basic");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

fn oauth_error(status: StatusCode, error: &str) -> Response {
    let body = json!({"error": error}).to_string();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
