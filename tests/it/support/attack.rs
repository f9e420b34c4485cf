//! Tokens that an attacker would try. Each one is well formed up to the point that it tests.

use auth_gateway::dev::issuer::Issuer;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The three parts of a JWT, the first two as JSON.
#[derive(Clone, Debug)]
pub struct Parts {
    pub header: Value,
    pub claims: Value,
    pub signature: Vec<u8>,
}

impl Parts {
    pub fn of(jwt: &str) -> Self {
        let parts = jwt.split('.').collect::<Vec<_>>();
        let json = |part| serde_json::from_slice(&decode(part)).unwrap();
        Self { header: json(parts[0]), claims: json(parts[1]), signature: decode(parts[2]) }
    }

    pub fn message(&self) -> String {
        let part = |value: &Value| encode(value.to_string().as_bytes());
        format!("{}.{}", part(&self.header), part(&self.claims))
    }

    pub fn token(&self) -> String {
        format!("{}.{}", self.message(), encode(&self.signature))
    }

    fn signed_by_hmac(mut self, secret: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        self.signature = hmac::sign(&key, self.message().as_bytes()).as_ref().to_vec();
        self.token()
    }

    /// A header parameter changed and the old signature kept.
    fn header(mut self, name: &str, value: Value) -> String {
        self.header[name] = value;
        self.token()
    }
}

pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The public key as the PEM file that RS256-to-HS256 attacks use as a secret. RFC 8017 `RSAPublicKey`.
pub fn public_key_pem(issuer: &Issuer) -> String {
    let key = &issuer.key_set()["keys"][0];
    let number =
        |name: &str| der(0x02, &[&[0], decode(key[name].as_str().unwrap()).as_slice()].concat());
    let body = der(0x30, &[number("n"), number("e")].concat());
    format!(
        "-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n",
        STANDARD.encode(body)
    )
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82, length[0], length[1]], content].concat()
}

/// What each attack is, the token, and every reason with which it may be refused.
pub struct Attack {
    pub name: &'static str,
    pub token: String,
    pub reasons: &'static [&'static str],
}

const BAD_ALGORITHM: &[&str] = &["algorithm_not_allowed", "malformed_token"];
const MALFORMED: &[&str] = &["malformed_token"];
const BAD_SIGNATURE: &[&str] = &["bad_signature"];
const UNKNOWN_KEY: &[&str] = &["unknown_key", "malformed_token"];
const NOT_A_JWT: &[&str] = &["malformed_token", "inactive"];

/// All of them for one subject, who would be let in with an honest token. Signed with RS256.
pub fn all(issuer: &Issuer, subject: &str) -> Vec<Attack> {
    let honest = issuer.token(subject).sign().unwrap();
    [algorithms(issuer, &honest), keys(issuer, subject, &honest), shapes(&honest)]
        .into_iter()
        .flatten()
        .collect()
}

fn attack(name: &'static str, token: String, reasons: &'static [&'static str]) -> Attack {
    Attack { name, token, reasons }
}

fn algorithms(issuer: &Issuer, honest: &str) -> Vec<Attack> {
    let parts = Parts::of(honest);
    let with_alg = |alg: Value| {
        let mut parts = parts.clone();
        parts.header["alg"] = alg;
        parts
    };
    let none = |alg: &str| {
        let mut parts = with_alg(json!(alg));
        parts.signature.clear();
        parts.token()
    };
    let without_alg = {
        let mut parts = parts.clone();
        parts.header.as_object_mut().unwrap().remove("alg");
        parts.token()
    };
    let pem = public_key_pem(issuer);
    let jwk = issuer.key_set()["keys"][0].to_string();
    let hs256 = |secret: &[u8]| with_alg(json!("HS256")).signed_by_hmac(secret);
    vec![
        attack("alg none", none("none"), BAD_ALGORITHM),
        attack("alg None", none("None"), BAD_ALGORITHM),
        attack("alg nOnE", none("nOnE"), BAD_ALGORITHM),
        attack("alg empty", none(""), BAD_ALGORITHM),
        attack("alg none with a signature", with_alg(json!("none")).token(), BAD_ALGORITHM),
        attack("alg absent", without_alg, BAD_ALGORITHM),
        attack("alg null", with_alg(Value::Null).token(), BAD_ALGORITHM),
        attack("alg a list", with_alg(json!(["RS256"])).token(), BAD_ALGORITHM),
        attack("HS256 with the public key's PEM", hs256(pem.as_bytes()), BAD_ALGORITHM),
        attack("HS256 with the PEM, trimmed", hs256(pem.trim().as_bytes()), BAD_ALGORITHM),
        attack("HS256 with the JWK", hs256(jwk.as_bytes()), BAD_ALGORITHM),
        attack("HS256 with an empty secret", hs256(b""), BAD_ALGORITHM),
        attack(
            "ES256 named, RSA key",
            with_alg(json!("ES256")).token(),
            &["algorithm_not_allowed", "malformed_token", "bad_signature"],
        ),
        attack(
            "ES256 with r and s zero",
            Parts { signature: vec![0; 64], ..with_alg(json!("ES256")) }.token(),
            &["algorithm_not_allowed", "malformed_token", "bad_signature"],
        ),
    ]
}

fn keys(issuer: &Issuer, subject: &str, honest: &str) -> Vec<Attack> {
    let parts = Parts::of(honest);
    let header = |name: &str, value: Value| parts.clone().header(name, value);
    let own_header =
        |name: &str, value: Value| issuer.token(subject).header(name, value).sign().unwrap();
    let jwk = issuer.key_set()["keys"][0].clone();
    // Correctly signed, so only the parameter itself can be the reason; embedded keys and URLs are
    // ignored, and then the token is what it says. Those stand in a story of their own.
    vec![
        attack("kid unknown", own_header("kid", json!("1")), UNKNOWN_KEY),
        attack("kid a path", own_header("kid", json!("../../etc/passwd")), UNKNOWN_KEY),
        attack("kid with a NUL", own_header("kid", json!("a\u{0}b")), UNKNOWN_KEY),
        attack("kid a list", own_header("kid", json!(["a"])), UNKNOWN_KEY),
        attack("kid a number", own_header("kid", json!(1)), UNKNOWN_KEY),
        attack(
            "embedded jwk, kid unknown",
            {
                let token = issuer.token(subject).header("jwk", jwk).header("kid", "mine");
                token.sign().unwrap()
            },
            UNKNOWN_KEY,
        ),
        attack("crit", own_header("crit", json!(["b64"])), MALFORMED),
        attack("crit, empty", own_header("crit", json!([])), MALFORMED),
        attack("header changed after signing", header("typ", json!("at+jwt")), BAD_SIGNATURE),
    ]
}

fn shapes(honest: &str) -> Vec<Attack> {
    let parts = Parts::of(honest);
    let mut other_subject = parts.clone();
    other_subject.claims["sub"] = json!("root");
    let mut flipped = parts.clone();
    flipped.signature[7] ^= 1;
    let mut longer = parts.clone();
    longer.signature.push(0);
    let mut shorter = parts.clone();
    shorter.signature.pop();
    let unsigned = format!("{}.", parts.message());
    let duplicate = {
        let claims = parts.claims.to_string().replacen('{', r#"{"sub":"root","#, 1);
        let header = encode(parts.header.to_string().as_bytes());
        format!("{header}.{}.{}", encode(claims.as_bytes()), encode(&parts.signature))
    };
    vec![
        attack("subject changed after signing", other_subject.token(), BAD_SIGNATURE),
        attack("signature with a flipped bit", flipped.token(), BAD_SIGNATURE),
        attack("signature longer", longer.token(), &["bad_signature", "malformed_token"]),
        attack("signature shorter", shorter.token(), &["bad_signature", "malformed_token"]),
        attack("signature absent", unsigned, &["bad_signature", "malformed_token"]),
        attack("signature padded", format!("{honest}=="), &["bad_signature", "malformed_token"]),
        attack("claims twice", duplicate, &["bad_signature", "malformed_token"]),
        attack("two parts", parts.message(), NOT_A_JWT),
        attack("five parts", format!("{honest}.e30.e30"), NOT_A_JWT),
        attack("dots only", ".".repeat(2_000), NOT_A_JWT),
        attack("not base64url", honest.replacen('.', "!.", 1), &["malformed_token", "inactive"]),
    ]
}
