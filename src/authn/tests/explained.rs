//! What the log says of refused tokens.

use super::*;

impl World {
    async fn explained(&self, token: &str) -> String {
        let bearer = Bearer::parse(token.as_bytes()).expect("bearer");
        let refusal =
            self.authenticator.verify(bearer, self.clock.now()).await.expect_err("refused");
        self.authenticator.explain(bearer, refusal, self.clock.now()).unwrap_or_default()
    }
}

#[tokio::test]
async fn a_claim_that_does_not_do_is_told_beside_what_would() {
    let world = World::new(|_| ()).await;
    for (name, value, expected) in [
        (
            "iss",
            json!("https://issuer.example/"),
            "token says iss 'https://issuer.example/'; accepted: 'https://issuer.example'",
        ),
        ("aud", json!(["a", "b"]), "token says aud 'a', 'b'; accepted: 'gateway'"),
        ("aud", json!([]), "token says aud nothing; accepted: 'gateway'"),
        (
            "exp",
            json!(START_SECS - 75),
            "token says it expired 75 s ago: exp 1789999925, now 1790000000",
        ),
        (
            "nbf",
            json!(START_SECS + 90),
            "token says it starts in 90 s: nbf 1790000090, iat 1790000000, now 1790000000",
        ),
        ("nonce", json!("n"), "token shows its kind in its claims: 'nonce'"),
        ("cnf", json!({"jkt": "x"}), "token shows its kind in its claims: 'cnf'"),
        ("sub", json!("*"), "token has a missing or malformed claim: 'sub'"),
        ("exp", json!("soon"), "token has a missing or malformed claim: 'exp'"),
        ("aud", json!({}), "token has a missing or malformed claim: 'aud'"),
        ("iss", json!(1), "token has a missing or malformed claim: 'iss'"),
        ("iss", Value::Null, "token has a missing or malformed claim: 'iss'"),
        ("iss", json!([ISSUER]), "token has a missing or malformed claim: 'iss'"),
    ] {
        let token = P256.token(&changed(|claims| claims[name] = value));
        assert_eq!(world.explained(&token).await, expected);
    }
    let of_nobody = changed(|claims| _ = claims.as_object_mut().expect("object").remove("iss"));
    assert_eq!(world.explained(&P256.token(&of_nobody)).await, "token says no iss");
    let endless = changed(|claims| _ = claims.as_object_mut().expect("object").remove("exp"));
    let told = world.explained(&P256.token(&endless)).await;
    assert_eq!(told, "token has a missing or malformed claim: 'exp'");
}

#[tokio::test]
async fn a_key_that_does_not_do_is_told_beside_the_issuers() {
    let world = World::new(|issuer| {
        issuer.algorithms = vec![Algorithm::ES256, Algorithm::ES384, Algorithm::PS256];
    })
    .await;
    let by = |signer: &Signer, header: Value| {
        signer.sign(&header.to_string(), claims().to_string().as_bytes())
    };
    for (token, expected) in [
        (
            by(&P256, json!({"alg": "ES256", "kid": "new"})),
            "token says kid 'new', alg 'ES256'; the issuer's keys: 'rsa', 'p256', 'p384', 'ed25519'",
        ),
        (
            by(&super::super::testing::p256("other"), P256.header()),
            "token says kid 'p256', alg 'ES256'; the issuer's keys: 'rsa', 'p256', 'p384', 'ed25519'; \
             no key verifies it",
        ),
        (
            by(&RSA, RSA.header()),
            "token says alg 'RS256', kid 'rsa'; accepted: 'PS256', 'ES256', 'ES384'",
        ),
        (
            forged(r#"{"alg":"none"}"#),
            "token says alg 'none', kid nothing; accepted: 'PS256', 'ES256', 'ES384'",
        ),
        (
            by(&P256, json!({"alg": "ES256", "kid": "p384"})),
            "token says alg 'ES256', kid 'p384'; the key is for: 'ES384'",
        ),
        (
            by(&P256, json!({"alg": "ES256", "kid": "p256", "typ": "dpop+jwt"})),
            "token says typ 'dpop+jwt'; accepted: 'JWT', 'at+jwt'",
        ),
        (
            by(&P256, json!({"alg": "ES256", "kid": "p256", "crit": ["exp"]})),
            "token has a header that is malformed or asks for an extension",
        ),
        (
            P256.sign(&P256.header().to_string(), b"[]"),
            "token has a payload that is no JSON object with unique names",
        ),
        (
            by(&P256, json!({"alg": "ES256", "kid": "a\nb"})),
            "token has a header that is malformed or asks for an extension",
        ),
        (format!("{}.e30.AAAA", encode(r#"{"alg""#)), "token has a header that cannot be read"),
        ("a.b".to_owned(), "token has dots, but is no JWT"),
    ] {
        assert_eq!(world.explained(&token).await, expected);
    }
}

/// Whatever it says, the line stays short and is one line.
#[tokio::test]
async fn an_explanation_holds_no_token_and_is_bounded() {
    let world = World::new(|_| ()).await;
    let long = "\u{202e}\r\nx".repeat(300);
    let audiences: Vec<_> = (0..500).map(|number| format!("{number}\n")).collect();
    for token in [
        P256.token(&changed(|claims| claims["iss"] = json!(long))),
        P256.token(&changed(|claims| claims["aud"] = json!(audiences))),
        P256.sign(&json!({"alg": long, "kid": long}).to_string(), b"{}"),
        P256.sign(
            &json!({"alg": "ES256", "kid": "k".repeat(256)}).to_string(),
            claims().to_string().as_bytes(),
        ),
        P256.sign(&json!({"alg": "ES256", "typ": long}).to_string(), b"{}"),
    ] {
        let told = world.explained(&token).await;
        assert!((20..2_500).contains(&told.len()), "{} bytes: {told}", told.len());
        assert!(!told.chars().any(char::is_control), "{told}");
        for part in token.split('.') {
            assert!(!told.contains(part), "{told}");
        }
    }
}
