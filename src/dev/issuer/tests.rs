use std::time::Duration;

use reqwest::Client;

use super::*;
use crate::clock::{Clock, ManualClock, SystemClock};

async fn issuer() -> Issuer {
    started(Settings::default(), Arc::new(SystemClock)).await
}

async fn started(settings: Settings, clock: SharedClock) -> Issuer {
    Issuer::start(SocketAddr::from(([127, 0, 0, 1], 0)), settings, clock).await.unwrap()
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

async fn introspect(issuer: &Issuer, token: &str) -> Value {
    let form = [("token", token)];
    let encode = |s: &str| url::form_urlencoded::byte_serialize(s.as_bytes()).collect::<String>();
    let Settings { client_id, client_secret, .. } = issuer.settings();
    let request = client()
        .post(format!("{}/oauth/v2/introspect", issuer.url()))
        .basic_auth(encode(client_id), Some(encode(client_secret)))
        .form(&form);
    request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
}

#[tokio::test]
async fn discovery_leads_to_keys_that_a_verifier_can_use() {
    let issuer = issuer().await;
    let url = format!("{}/.well-known/openid-configuration", issuer.url());
    let found: Value = client().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(found["issuer"], issuer.url());

    let answer = client().get(found["jwks_uri"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "max-age=300, must-revalidate");
    assert_eq!(answer.headers()["content-type"], "application/json");
    let keys: jsonwebtoken::jwk::JwkSet = answer.json().await.unwrap();

    let token = issuer.token("ann").sign().unwrap();
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("JWT"));
    let key = keys.find(&header.kid.unwrap()).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    let mut validation = jsonwebtoken::Validation::new(header.alg);
    validation.set_audience(&[&issuer.settings().project]);
    validation.set_issuer(&[issuer.url()]);
    let claims = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap().claims;
    assert_eq!(claims["sub"], "ann");
    assert!(claims["aud"].is_array() && claims["jti"].is_string());
    assert!(claims.get("azp").is_none());
    assert_eq!(issuer.hits(), Hits { discovery: 1, keys: 1, ..Hits::default() });
}

#[tokio::test]
async fn an_opaque_token_is_active_only_for_its_audience_and_until_it_expires() {
    let clock = Arc::new(ManualClock::starting_at(SystemClock.now().unix_millis()));
    let issuer = started(Settings::default(), clock.clone()).await;
    let ours = issuer.token("ann").opaque().unwrap();
    let theirs = issuer.token("ann").audience(["other"]).opaque().unwrap();

    let answer = introspect(&issuer, &ours).await;
    assert_eq!((&answer["active"], &answer["sub"]), (&json!(true), &json!("ann")));
    assert_eq!(introspect(&issuer, &theirs).await, json!({"active": false}));
    assert_eq!(introspect(&issuer, "made-up").await, json!({"active": false}));

    clock.advance(Duration::from_hours(13));
    assert_eq!(introspect(&issuer, &ours).await, json!({"active": false}));
}

#[tokio::test]
async fn a_personal_access_token_is_active_whatever_its_audience() {
    let issuer = issuer().await;
    let token = issuer.token("robot").audience(["other"]).personal_access_token().unwrap();
    let answer = introspect(&issuer, &token).await;
    assert_eq!(answer["active"], true);
    assert_eq!(answer["aud"], json!(["123456789@authgateway", "212345678900000001"]));
}

#[tokio::test]
async fn a_revoked_token_is_inactive_as_jwt_and_as_opaque() {
    let issuer = issuer().await;
    for token in [issuer.token("ann").sign().unwrap(), issuer.token("ann").opaque().unwrap()] {
        assert_eq!(introspect(&issuer, &token).await["active"], true);
        issuer.revoke(&token);
        assert_eq!(introspect(&issuer, &token).await, json!({"active": false}));
    }
}

#[tokio::test]
async fn a_wrong_client_learns_nothing_about_a_token() {
    let issuer = issuer().await;
    let token = issuer.token("ann").opaque().unwrap();
    let request = client().post(format!("{}/oauth/v2/introspect", issuer.url()));
    let answer = request.basic_auth("who", Some("what")).form(&[("token", token)]).send().await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"error": "invalid_client"}));
}

#[tokio::test]
async fn a_service_account_gets_a_token_for_its_credentials() {
    let issuer = issuer().await;
    let (id, secret) = issuer.settings().service_accounts[0].clone();
    let request = client().post(format!("{}/oauth/v2/token", issuer.url())).form(&[
        ("grant_type", "client_credentials"),
        ("client_id", &id),
        ("client_secret", &secret),
    ]);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(introspect(&issuer, token).await["sub"], id.as_str());

    let userinfo = client().get(format!("{}/oidc/v1/userinfo", issuer.url())).bearer_auth(token);
    let userinfo: Value = userinfo.send().await.unwrap().json().await.unwrap();
    assert_eq!(userinfo["sub"], id.as_str());
}

#[tokio::test]
async fn keys_are_published_before_they_sign_and_can_be_removed() {
    let issuer = issuer().await;
    let first = issuer.active_kid().unwrap();
    let old = issuer.token("ann").sign().unwrap();
    let second = issuer.publish_key(Algorithm::EdDsa).unwrap();
    assert_eq!(issuer.active_kid().as_ref(), Some(&first));
    assert_eq!(issuer.key_set()["keys"].as_array().unwrap().len(), 2);

    assert!(issuer.activate_key(&second));
    let new = issuer.token("ann").sign().unwrap();
    assert_eq!(introspect(&issuer, &old).await["active"], true);
    assert!(issuer.remove_key(&first));
    assert_eq!(introspect(&issuer, &old).await["active"], false);
    assert_eq!(introspect(&issuer, &new).await["active"], true);
}

#[tokio::test]
async fn an_issuer_that_is_down_refuses_and_comes_back_on_its_port() {
    let issuer = issuer().await;
    let client = client();
    let keys = format!("{}/oauth/v2/keys", issuer.url());
    assert!(client.get(&keys).send().await.is_ok());

    issuer.down().await;
    assert!(client.get(&keys).send().await.unwrap_err().is_connect());
    issuer.up().await.unwrap();
    assert_eq!(client.get(&keys).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn faults_show_on_the_endpoints_that_they_concern() {
    let issuer = issuer().await;
    let keys = format!("{}/oauth/v2/keys", issuer.url());
    let discovery = format!("{}/.well-known/openid-configuration", issuer.url());
    let read = async |url: &str| client().get(url).send().await.unwrap();

    issuer.set_fault(Fault::Status(500));
    assert_eq!(read(&keys).await.status(), 500);
    issuer.set_fault(Fault::Html);
    assert!(read(&keys).await.text().await.unwrap().starts_with("<!doctype"));
    issuer.set_fault(Fault::EmptyKeySet);
    assert_eq!(read(&keys).await.json::<Value>().await.unwrap(), json!({"keys": []}));
    issuer.set_fault(Fault::WrongIssuer);
    assert_ne!(read(&discovery).await.json::<Value>().await.unwrap()["issuer"], issuer.url());

    issuer.set_fault(Fault::Hang);
    let before = issuer.hits().keys;
    let waiting = tokio::spawn({
        let keys = keys.clone();
        async move { client().get(keys).send().await.unwrap().status() }
    });
    while issuer.hits().keys == before {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    issuer.set_fault(Fault::None);
    assert_eq!(waiting.await.unwrap(), 200);
}

#[tokio::test]
async fn introspection_tells_of_the_roles_in_the_project_of_whoever_asks() {
    let issuer = issuer().await;
    let project = &issuer.settings().project;
    let (bare, ours) = (
        "urn:zitadel:iam:org:project:roles",
        format!("urn:zitadel:iam:org:project:{project}:roles"),
    );
    let token = issuer.token("ann").for_client_of("999", "theirs").roles(["admin"]);
    let answer = introspect(&issuer, &token.opaque().unwrap()).await;
    assert_eq!(answer["client_id"], "theirs");
    assert!(!answer.to_string().contains(":roles"), "{answer}");
    let answer = introspect(&issuer, &token.roles_in(project, ["viewer"]).opaque().unwrap()).await;
    assert!(answer[bare] == answer[&ours] && answer[bare].get("viewer").is_some(), "{answer}");
    assert!(!answer.to_string().contains("admin"), "{answer}");
}
