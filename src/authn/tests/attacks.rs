//! The table: what is sent, what it gets.

use jsonwebtoken::EncodingKey;

use super::*;

const MALFORMED: TokenError = TokenError::MalformedToken;
const ALGORITHM: TokenError = TokenError::AlgorithmNotAllowed;
const SIGNATURE: TokenError = TokenError::BadSignature;
const KIND: TokenError = TokenError::WrongTokenKind;

type Row = (String, String, TokenError);

fn row(name: impl Into<String>, token: impl Into<String>, refusal: TokenError) -> Row {
    (name.into(), token.into(), refusal)
}

/// A token of the honest key with this header.
fn signed(header: &str) -> String {
    P256.sign(header, claims().to_string().as_bytes())
}

/// A token of the honest key with this payload.
fn saying(payload: impl AsRef<[u8]>) -> String {
    P256.sign(&P256.header().to_string(), payload.as_ref())
}

/// The usual claims with some JSON text before the rest, so that values no library would write can
/// be tried.
fn with(text: &str, without: &str) -> String {
    let claims = changed(|claims| {
        claims.as_object_mut().expect("object").remove(without);
    });
    saying(format!("{{{text},{}", &claims.to_string()[1..]))
}

fn algorithms() -> Vec<Row> {
    let mut rows = Vec::new();
    let names = [
        "none",
        "None",
        "nOnE",
        "NONE",
        "",
        "HS256",
        "HS384",
        "HS512",
        "hs256",
        "ES512",
        "ES256K",
        "RSA1_5",
        "RSA-OAEP",
        "A128KW",
        "dir",
        "es256",
        "ES256 ",
        "EdDSA\u{0}",
        "Ed448",
    ];
    for name in names {
        let header = json!({"alg": name, "kid": "p256"}).to_string();
        rows.push(row(format!("alg {name:?}"), forged(&header), ALGORITHM));
    }
    for text in ["null", "[]", r#"["ES256"]"#, "{}", "1", "true"] {
        let header = format!(r#"{{"alg":{text},"kid":"p256"}}"#);
        rows.push(row(format!("alg {text}"), forged(&header), MALFORMED));
    }
    rows.push(row("alg absent", forged(r#"{"kid":"p256"}"#), MALFORMED));
    rows
}

fn confusions() -> Vec<Row> {
    let mut rows = Vec::new();
    let jwk = RSA.jwk().to_string();
    let modulus = RSA.jwk()["n"].as_str().expect("n").to_owned();
    let secrets = [jwk.clone(), modulus.clone(), format!("{modulus}\n"), format!(" {jwk}")];
    for secret in secrets.into_iter().chain([String::new(), "x".into()]) {
        let key = EncodingKey::from_secret(secret.as_bytes());
        let message = forged(r#"{"alg":"HS256","kid":"rsa"}"#);
        let message = message.rsplit_once('.').expect("parts").0;
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256)
                .expect("mac");
        let name = format!("HS256 with {} bytes of public key", secret.len());
        rows.push(row(name, format!("{message}.{signature}"), ALGORITHM));
    }
    let zeros = |bytes: usize| encode(vec![0; bytes]);
    let p256_order = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";
    let order: Vec<u8> = (0..32)
        .map(|at| u8::from_str_radix(&p256_order[at * 2..at * 2 + 2], 16).expect("hex"))
        .collect();
    let one = [vec![0; 31], vec![1]].concat();
    let parts = saying(claims().to_string());
    let message = parts.rsplit_once('.').expect("parts").0.to_owned();
    let signature = parts.rsplit_once('.').expect("parts").1.to_owned();
    let pairs = [
        ("r = s = 0", zeros(64)),
        ("r = n", encode([order.clone(), one.clone()].concat())),
        ("s = n", encode([one.clone(), order.clone()].concat())),
        ("r = s = n", encode([order.clone(), order].concat())),
        ("r = s = 1", encode([one.clone(), one].concat())),
        (
            "DER",
            encode(
                [&[0x30, 0x44, 0x02, 0x20], [1; 32].as_slice(), &[0x02, 0x20], &[1; 32]].concat(),
            ),
        ),
        ("too short", zeros(63)),
        ("too long", zeros(65)),
        ("trailing byte", format!("{signature}AA")),
        ("of another message", saying("{}").rsplit_once('.').expect("parts").1.to_owned()),
    ];
    for (name, signature) in pairs {
        rows.push(row(format!("ES256 {name}"), format!("{message}.{signature}"), SIGNATURE));
    }
    let by = |signer: &Signer, alg: &str, kid: &str| {
        let header = json!({"alg": alg, "kid": kid}).to_string();
        signer.sign(&header, claims().to_string().as_bytes())
    };
    rows.push(row("EdDSA header, P-256 key", by(&ED25519, "EdDSA", "p256"), ALGORITHM));
    rows.push(row("ES256 header, Ed25519 key", by(&P256, "ES256", "ed25519"), ALGORITHM));
    rows.push(row("ES384 header, P-256 key", by(&P384, "ES384", "p256"), ALGORITHM));
    rows.push(row("RS256 header, P-256 key", by(&RSA, "RS256", "p256"), ALGORITHM));
    rows.push(row("ES256 header, RSA key", by(&P256, "ES256", "rsa"), ALGORITHM));
    rows.push(row("PS256 header, RS256 signature", by(&RSA, "PS256", "rsa"), SIGNATURE));
    rows.push(row("RS512 header, RS256 signature", by(&RSA, "RS512", "rsa"), SIGNATURE));
    rows
}

fn headers() -> Vec<Row> {
    let mut rows = Vec::new();
    let stranger = super::super::testing::p256("p256");
    for (name, value) in [
        ("jwk", stranger.jwk()),
        ("jku", json!("http://127.0.0.1:9/jwks")),
        ("x5u", json!("http://127.0.0.1:9/cert")),
        ("x5c", json!(["MIIB"])),
    ] {
        let mut header = P256.header();
        header[name] = value;
        let token = stranger.sign(&header.to_string(), claims().to_string().as_bytes());
        rows.push(row(format!("embedded {name}"), token, SIGNATURE));
    }
    let kid = |kid: &str| format!(r#"{{"alg":"ES256","kid":{kid}}}"#);
    for text in ["1", "[]", "null", "{}", "true", r#""""#, r#""a\u0000b""#, r#""a\nb""#] {
        rows.push(row(format!("kid {text}"), signed(&kid(text)), MALFORMED));
    }
    let long = |bytes: usize| kid(&format!("\"{}\"", "k".repeat(bytes)));
    rows.push(row("kid of 257 bytes", signed(&long(257)), MALFORMED));
    rows.push(row("kid of 7 KiB", signed(&long(7_000)), MALFORMED));
    rows.push(row("kid of 1 MiB", signed(&long(1 << 20)), MALFORMED));
    for (name, value) in [
        ("crit", r#"["b64"]"#),
        ("crit", r#"["x"]"#),
        ("crit", "[]"),
        ("crit", r#"["exp"]"#),
        ("crit", "null"),
        ("b64", "false"),
        ("b64", "true"),
        ("zip", r#""DEF""#),
        ("enc", r#""A128GCM""#),
        ("cty", r#""JWT""#),
        ("cty", r#""jwt""#),
        ("cty", "1"),
        ("cty", r#""application/jwt""#),
        ("typ", "1"),
        ("typ", "null"),
    ] {
        let header = format!(r#"{{"alg":"ES256","kid":"p256","{name}":{value}}}"#);
        rows.push(row(format!("header {name}: {value}"), signed(&header), MALFORMED));
    }
    for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", "id_token", "JWE", "", "jwt "] {
        let header = json!({"alg": "ES256", "kid": "p256", "typ": typ}).to_string();
        rows.push(row(format!("typ {typ:?}"), signed(&header), KIND));
    }
    for text in [
        r#"{"alg":"none","alg":"ES256","kid":"p256"}"#,
        r#"{"alg":"ES256","\u0061lg":"none","kid":"p256"}"#,
        r#"{"alg":"ES256","kid":"p256","kid":"rsa"}"#,
        r#"{"alg":"ES256","kid":"p256"} {}"#,
        r#"{"alg":"ES256","kid":"p256""#,
        "[]",
        r#"["ES256"]"#,
        "{}",
    ] {
        rows.push(row(format!("header {text}"), signed(text), MALFORMED));
    }
    for depth in [7, 128] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let header = format!(r#"{{"alg":"ES256","kid":"p256","x":{nested}}}"#);
        rows.push(row(format!("header {depth} deep"), signed(&header), MALFORMED));
    }
    let deep = format!(r#"{{"alg":"ES256","x":{}"#, "[".repeat(100_000));
    rows.push(row("header 100,000 deep", signed(&deep), MALFORMED));
    rows
}

fn shapes() -> Vec<Row> {
    let token = saying(claims().to_string());
    let [header, payload, signature]: [&str; 3] =
        token.split('.').collect::<Vec<_>>().try_into().expect("parts");
    let mut rows: Vec<Row> = [
        ("one dot", format!("{header}.{payload}")),
        ("four parts", format!("{token}.{signature}")),
        ("JWE of five parts", format!("{header}.{payload}.{signature}.{payload}.{signature}")),
        ("empty header", format!(".{payload}.{signature}")),
        ("empty payload", format!("{header}..{signature}")),
        ("empty signature", format!("{header}.{payload}.")),
        ("10,000 dots", ".".repeat(10_000)),
        ("a million dots", ".".repeat(1_000_000)),
        ("only dots", "..".to_owned()),
        ("17 KiB", format!("{token}{}", "A".repeat(17 << 10))),
        ("1 MiB", format!("{token}{}", "A".repeat(1 << 20))),
        ("padded header", format!("{header}=.{payload}.{signature}")),
        ("padded signature", format!("{token}==")),
        ("space inside", format!("{header}. {payload}.{signature}")),
        ("line break inside", format!("{header}.\n{payload}.{signature}")),
        ("plus in signature", format!("{header}.{payload}.+{}", &signature[1..])),
        ("slash in signature", format!("{header}.{payload}./{}", &signature[1..])),
        ("tilde in payload", format!("{header}.~{payload}.{signature}")),
        ("trailing bits", trailing_bits(&token)),
        ("JSON serialisation", json!({"payload": payload, "signatures": []}).to_string()),
        ("quoted", format!("\"{token}\"")),
        ("comma list", format!("{token},{token}")),
        ("header is text", format!("{}.{payload}.{signature}", encode("hello"))),
        ("header is no UTF-8", format!("{}.{payload}.{signature}", encode(b"{\"alg\":\"\xff\"}"))),
    ]
    .into_iter()
    .map(|(name, token)| row(name, token, MALFORMED))
    .collect();
    rows.push(row("cut signature", &token[..token.len() - 6], SIGNATURE));
    rows.push(row(
        "payload of another",
        {
            let other = encode(changed(|claims| claims["sub"] = json!("1")).to_string());
            format!("{header}.{other}.{signature}")
        },
        SIGNATURE,
    ));
    rows
}

/// The same signature bytes, spelled with a non-zero unused bit.
fn trailing_bits(token: &str) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = token.split_at(token.len() - 1);
    let at = alphabet.iter().position(|byte| *byte == last.as_bytes()[0]).expect("base64url");
    format!("{start}{}", char::from(alphabet[at | 1]))
}

fn times() -> Vec<Row> {
    let mut rows = Vec::new();
    for text in [
        r#""1790003600""#,
        "null",
        "true",
        "[1790003600]",
        "-1",
        "-0.5",
        "9223372036854775808",
        "18446744073709551616",
        "253402300800",
        "1e300",
        "1e400",
        "NaN",
        "Infinity",
        r#""NaN""#,
        "0x7fffffff",
        "{}",
    ] {
        rows.push(row(format!("exp {text}"), with(&format!(r#""exp":{text}"#), "exp"), MALFORMED));
    }
    for text in ["0", "1", "1790000000", "1789999999.999", "1e9"] {
        let token = with(&format!(r#""exp":{text}"#), "exp");
        rows.push(row(format!("exp {text}"), token, TokenError::Expired));
    }
    rows.push(row("exp missing", with(r#""x":1"#, "exp"), MALFORMED));
    for name in ["nbf", "iat"] {
        for text in [r#""0""#, "null", "-1", "1e300", "[]"] {
            let token = with(&format!(r#""{name}":{text}"#), name);
            rows.push(row(format!("{name} {text}"), token, MALFORMED));
        }
        let token = with(&format!(r#""{name}":1790000031"#), name);
        rows.push(row(format!("{name} in the future"), token, TokenError::NotYetValid));
    }
    rows
}

fn claim_values() -> Vec<Row> {
    let mut rows = Vec::new();
    for text in
        [r#""""#, "[]", r#"[""]"#, r#""gatewa""#, r#""gateway2""#, r#""GATEWAY""#, r#"["77"]"#]
    {
        let token = with(&format!(r#""aud":{text}"#), "aud");
        rows.push(row(format!("aud {text}"), token, TokenError::WrongAudience));
    }
    rows.push(row("aud missing", with(r#""x":1"#, "aud"), TokenError::WrongAudience));
    for text in ["1", "null", "{}", r#"[["gateway"]]"#, r#"{"gateway":1}"#, r#"["gateway",null]"#] {
        let token = with(&format!(r#""aud":{text}"#), "aud");
        rows.push(row(format!("aud {text}"), token, MALFORMED));
    }
    for url in [
        "https://issuer.example/",
        "https://ISSUER.example",
        "HTTPS://issuer.example",
        "http://issuer.example",
        "https://issuer.example:443",
        "https://\u{456}ssuer.example",
        "https://issuer.example.evil",
        "https://evil/https://issuer.example",
        "",
        " https://issuer.example",
    ] {
        let token = with(&format!("\"iss\":{}", json!(url)), "iss");
        rows.push(row(format!("iss {url:?}"), token, TokenError::WrongIssuer));
    }
    for text in ["1", "null", r#"["https://issuer.example"]"#] {
        rows.push(row(format!("iss {text}"), with(&format!(r#""iss":{text}"#), "iss"), MALFORMED));
    }
    rows.push(row("iss missing", with(r#""x":1"#, "iss"), MALFORMED));
    let long = format!("\"{}\"", "s".repeat(508));
    for text in [
        r#""""#,
        "1",
        "null",
        "[]",
        r#""*""#,
        r#""a#member""#,
        r#""a:b""#,
        r#""a b""#,
        r#""a\nb""#,
        r#""a\u0000""#,
        r#""\u00e9""#,
        r#""a\u200b""#,
        &long,
    ] {
        let token = with(&format!(r#""sub":{text}"#), "sub");
        rows.push(row(format!("sub {}", &text[..text.len().min(20)]), token, MALFORMED));
    }
    rows.push(row("sub missing", with(r#""x":1"#, "sub"), MALFORMED));
    for (name, text) in [
        ("nonce", r#""n""#),
        ("at_hash", r#""h""#),
        ("c_hash", r#""h""#),
        ("s_hash", r#""h""#),
        ("typ", r#""ID""#),
        ("typ", r#""Refresh""#),
        ("typ", r#""Logout""#),
        ("token_use", r#""id""#),
        ("events", r#"{"http://schemas.openid.net/event/backchannel-logout":{}}"#),
        ("cnf", r#"{"jkt":"x"}"#),
        ("cnf", r#"{"x5t#S256":"x"}"#),
        ("cnf", "null"),
    ] {
        let token = with(&format!(r#""{name}":{text}"#), "x");
        rows.push(row(format!("{name} {text}"), token, KIND));
    }
    let id_token = with(r#""azp":"gateway","amr":["pwd"],"auth_time":1,"sid":"V1_1""#, "jti");
    rows.push(row("ZITADEL's ID token", id_token, KIND));
    for (name, text) in [("scope", "1"), ("scp", "{}"), ("scope", "[1]"), ("sid", "1")] {
        let token = with(&format!(r#""{name}":{text}"#), "x");
        rows.push(row(format!("{name} {text}"), token, MALFORMED));
    }
    rows
}

fn payloads() -> Vec<Row> {
    let mut rows = Vec::new();
    for name in ["exp", "aud", "sub", "iss", "nbf", "x"] {
        let twice = format!(r#""{name}":1,"{name}":1"#);
        rows.push(row(format!("{name} twice"), with(&twice, name), MALFORMED));
    }
    let hidden = r#""urn:zitadel:iam:org:project:roles":{"a":{},"a":{}}"#;
    rows.push(row("a nested name twice", with(hidden, "x"), MALFORMED));
    for payload in ["", "null", "[]", "1", "\"x\"", "{", "{}}", "{\"sub\":}", "{'sub':1}"] {
        let token = saying(payload);
        rows.push(row(format!("payload {payload:?}"), token, MALFORMED));
    }
    rows.push(row("payload no UTF-8", saying(b"{\"sub\":\"\xff\xfe\"}"), MALFORMED));
    rows.push(row("lone surrogate", with(r#""x":"\ud800""#, "x"), MALFORMED));
    let deep = format!(r#""x":{}{}"#, "[".repeat(17), "]".repeat(17));
    rows.push(row("payload 18 deep", with(&deep, "x"), MALFORMED));
    rows.push(row("a JWT in the JWT", saying(saying("{}")), MALFORMED));
    rows
}

#[tokio::test]
async fn every_attack_gets_its_refusal_and_all_together_cause_one_fetch() {
    let world = World::new(|_| ()).await;
    assert!(world.verify(&saying(claims().to_string())).await.is_ok());
    let rows: Vec<Row> =
        [algorithms(), confusions(), headers(), shapes(), times(), claim_values(), payloads()]
            .concat();
    assert!(rows.len() >= 120, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for (name, token, expected) in &rows {
        let refusal = world.verify(token).await.err();
        if refusal != Some(*expected) {
            wrong.push(format!("{name}: {refusal:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    // Those that look signed by a newer key, under the cool-down of unknown kids.
    assert_eq!(world.keys.loads(), 2);
}

/// Everything wrong with a token is seen before its unknown key is asked for.
#[tokio::test]
async fn a_bad_token_of_an_unknown_key_causes_no_fetch() {
    let world = World::new(|_| ()).await;
    let unknown = super::super::testing::p256("unknown");
    let fetching = unknown.token(&claims());
    for bad in [
        unknown.token(&changed(|claims| claims["exp"] = json!(1))),
        unknown.token(&changed(|claims| claims["aud"] = json!("other"))),
        unknown.token(&changed(|claims| claims["sub"] = json!("*"))),
        unknown.token(&changed(|claims| claims["nonce"] = json!("n"))),
        unknown.token(&changed(|claims| claims["iss"] = json!("https://other.example"))),
        unknown.sign(r#"{"alg":"ES256"}"#, b"{}"),
        fetching[..fetching.len() - 4].to_owned(),
    ] {
        assert!(world.verify(&bad).await.is_err());
    }
    assert_eq!(world.keys.loads(), 1);
    assert_eq!(world.verify(&fetching).await.err(), Some(TokenError::UnknownKey));
    assert_eq!(world.keys.loads(), 2);
}
