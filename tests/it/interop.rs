//! An issuer that nobody here wrote: npm's `oidc-provider`.

use std::process::Command;

use auth_gateway::dev::issuer::new_client_key;
use serde_json::{Value, json};

use crate::support::gateway::Gateway;
use crate::support::process::{Process, free_port, root, tool, tools};
use crate::support::world::{story_rules, with};
use crate::support::{World, story};

struct Provider {
    url: String,
    /// Of the client "gateway-key", in ZITADEL's form.
    key_file: Value,
    _process: Process,
}

impl Provider {
    async fn start() -> Self {
        let port = free_port();
        let folder = tools().join("oidc-provider");
        assert!(
            folder.join("node_modules/oidc-provider").is_dir(),
            "oidc-provider is missing: run scripts/install-tools test"
        );
        let mut command = Command::new(tool("node"));
        command.arg(root().join("tests/it/data/oidc_provider.mjs"));
        let (key_file, public) = new_client_key("1", "gateway-key").unwrap();
        command.arg(port.to_string()).arg(folder).arg(public.jwk().to_string());
        let process = Process::spawn("oidc-provider", &mut command);
        process.ready(async || process.output().stdout().iter().any(|l| l == "listening")).await;
        Self { url: format!("http://127.0.0.1:{port}"), key_file, _process: process }
    }

    async fn token(&self, client: &str) -> String {
        let request = reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .post(format!("{}/token", self.url))
            .basic_auth(client, Some(format!("secret+of+{client}")))
            .form(&[("grant_type", "client_credentials"), ("scope", "orders.read")]);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        let answer = answer.json::<Value>().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }
}

#[test]
fn the_provider_issues_both_kinds_of_token() {
    story(async {
        let provider = Provider::start().await;
        let jwt = provider.token("jwt").await;
        let header = jsonwebtoken::decode_header(&jwt).unwrap();
        assert_eq!(header.typ.as_deref(), Some("at+jwt"));
        let claims = crate::support::attack::Parts::of(&jwt).claims;
        assert_eq!((&claims["aud"], &claims["sub"]), (&json!("gateway"), &json!("jwt")));
        assert!(!provider.token("opaque").await.contains('.'));
    });
}

#[test]
fn tokens_of_another_provider_are_accepted() {
    story(async {
        let world = World::build();
        let (services, provider) = tokio::join!(world.services(), Provider::start());
        services
            .openfga
            .write(&services.store, "user:jwt", "viewer", "feature:report_viewer")
            .await;
        let opaque = json!([{"path": "/opaque/*path", "method": "GET", "feature": "authenticated",
            "scopes": ["orders.read"]}]);
        let plan = world
            .plan(&services)
            .rules(&with(story_rules(), opaque))
            .env("ZITADEL_ISSUER_URL", &provider.url)
            .env("ZITADEL_AUDIENCE", "gateway")
            .env("ZITADEL_CLIENT_ID", "gateway")
            .env("ZITADEL_CLIENT_SECRET", "secret of gateway");
        let gateway = Gateway::start(&plan).await;
        let get = |path: &str| gateway.get(path);

        let jwt = provider.token("jwt").await;
        get("/api/report").bearer(&jwt).send().await.is(200);
        assert_eq!(services.upstream.only_request().headers_named("x-user-id"), ["jwt"]);
        get("/scoped/orders").bearer(&jwt).send().await.is(200);
        let token = provider.token("opaque").await;
        get("/opaque/page").bearer(&token).send().await.is(200);
        let seen = services.upstream.take_requests();
        assert_eq!(seen.last().unwrap().headers_named("x-user-id"), ["robot"]);

        let truncated = &token[..token.len() - 1];
        get("/opaque/page").bearer(truncated).send().await.refused(401, "inactive");
        // RFC 7662 leaves the subject out for clients that act for nobody; they are no principal.
        let nameless = get("/opaque/page").bearer(provider.token("nameless").await).send().await;
        nameless.refused(401, "malformed_token");
        let others = services.issuer.token("ann");
        get("/api/report").bearer(others).send().await.refused(401, "wrong_issuer");
        services.upstream.saw_nothing();
    });
}

/// This provider takes each proof once, as RFC 7523 allows; ZITADEL takes one until it ends.
#[test]
fn a_key_proves_to_another_provider_who_asks() {
    story(async {
        let world = World::build().without_redis();
        let (services, provider) = tokio::join!(world.services(), Provider::start());
        let folder = tempfile::tempdir().unwrap();
        let key_file = folder.path().join("key.json");
        std::fs::write(&key_file, provider.key_file.to_string()).unwrap();
        let plan = world
            .plan(&services)
            .env("ZITADEL_ISSUER_URL", &provider.url)
            .env("ZITADEL_AUDIENCE", "gateway")
            .env("ZITADEL_KEY_FILE", key_file.to_str().unwrap())
            .without_env("ZITADEL_CLIENT_ID")
            .without_env("ZITADEL_CLIENT_SECRET");
        let gateway = Gateway::start(&plan).await;
        for _ in 0..4 {
            let token = provider.token("opaque").await;
            gateway.get("/me/page").bearer(&token).send().await.is(200);
        }
        assert_eq!(services.upstream.take_requests().len(), 4);
        let token = provider.token("opaque").await;
        let truncated = &token[..token.len() - 1];
        gateway.get("/me/page").bearer(truncated).send().await.refused(401, "inactive");
        services.upstream.saw_nothing();
        assert_eq!(gateway.count_messages("introspection failed"), 0);
    });
}
