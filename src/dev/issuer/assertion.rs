//! `private_key_jwt` (RFC 7523 section 2.2): how the API application proves who it is without a secret.

use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::State;
use super::keys::{Algorithm, KeyError, SigningKey};

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// ZITADEL takes none that was made longer ago, or that lives longer.
const LONGEST_LIFE_SECS: u64 = 3_600;
/// How far a client's clock may be ahead.
const AHEAD_SECS: u64 = 1;

/// What an issuer keeps of a client's key.
#[derive(Debug)]
pub struct ClientPublicKey(SigningKey);

impl ClientPublicKey {
    /// As a member of a JWK set.
    pub fn jwk(&self) -> Value {
        self.0.public_jwk()
    }
}

/// A key file of the application `client_id`, and what its issuer has to know of it.
pub fn new_client_key(kid: &str, client_id: &str) -> Result<(Value, ClientPublicKey), KeyError> {
    let algorithm = Algorithm::Rs256;
    let key = SigningKey::generate(kid.to_owned(), algorithm)?;
    let pem = key.private_pem().ok_or(KeyError::Generate(algorithm))?;
    let file = json!({"type": "application", "keyId": kid, "key": pem, "appId": "78366403256846242",
        "clientId": client_id});
    Ok((file, ClientPublicKey(key)))
}

impl State {
    /// The client that a JWT proves to be calling.
    pub(super) fn asserted(&self, kind: Option<&str>, assertion: &str) -> Option<String> {
        if kind != Some(TYPE) {
            return None;
        }
        let claims = self.genuine(assertion)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let time = |name: &str| claims.get(name).and_then(Value::as_u64);
        let client = text("iss").filter(|client| *client == self.settings.client_id)?;
        let now = self.clock.now().unix_secs();
        let (issued, expires) = (time("iat")?, time("exp")?);
        let is_current = issued <= now + AHEAD_SECS
            && now < expires
            && now.saturating_sub(issued) <= LONGEST_LIFE_SECS
            && expires.saturating_sub(issued) <= LONGEST_LIFE_SECS;
        let is_ours = match claims.get("aud") {
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(self.url())),
            Some(one) => one.as_str() == Some(self.url()),
            None => false,
        };
        if !(is_current && is_ours && text("sub") == Some(client)) {
            return None;
        }
        let is_new = self.counters.assertions.lock().insert(text("jti")?.to_owned());
        let counts = is_new || !self.takes_each_assertion_once.load(Ordering::SeqCst);
        counts.then(|| client.to_owned())
    }

    /// The claims of a JWT that a key of our client signed.
    fn genuine(&self, assertion: &str) -> Option<Value> {
        let (message, signature) = assertion.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
        if header.get("alg")?.as_str()? != Algorithm::Rs256.name() {
            return None;
        }
        let kid = header.get("kid")?.as_str()?;
        let keys = self.client_keys.lock();
        let key = &keys.iter().find(|ClientPublicKey(key)| key.kid() == kid)?.0;
        let is_genuine = key.signed(message.as_bytes(), &decode(signature)?);
        if is_genuine { serde_json::from_slice(&decode(claims)?).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::dev::issuer::Settings;

    #[test]
    fn only_a_current_jwt_of_the_client_for_this_issuer_proves_anything() {
        let clock = Arc::new(ManualClock::starting_at(1_700_000_000_000));
        let state = State::new(Settings::default(), clock.clone()).unwrap();
        state.url.get_or_init(|| "http://issuer".to_owned());
        let client = state.settings.client_id.clone();
        let (file, public) = new_client_key("1", &client).unwrap();
        state.client_keys.lock().push(public);
        let (other, _) = new_client_key("1", &client).unwrap();
        let now = clock.now().unix_secs();
        let good = json!({"iss": client, "sub": client, "aud": "http://issuer", "jti": "a",
            "iat": now, "exp": now + 60});
        let sign = |file: &Value, kid: &str, claims: &Value| {
            let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
            header.kid = Some(kid.to_owned());
            let pem = file["key"].as_str().unwrap().as_bytes();
            let key = jsonwebtoken::EncodingKey::from_rsa_pem(pem).unwrap();
            jsonwebtoken::encode(&header, claims, &key).unwrap()
        };
        let asserted = |assertion: &str| state.asserted(Some(TYPE), assertion);
        assert_eq!(asserted(&sign(&file, "1", &good)), Some(client.clone()));
        let mut listed = good.clone();
        listed["aud"] = json!(["other", "http://issuer"]);
        assert_eq!(asserted(&sign(&file, "1", &listed)), Some(client));

        assert_eq!(state.asserted(None, &sign(&file, "1", &good)), None);
        assert_eq!(asserted(&sign(&other, "1", &good)), None, "another key");
        assert_eq!(asserted(&sign(&file, "2", &good)), None, "an unknown kid");
        for (name, value) in [
            ("iss", json!("somebody")),
            ("sub", json!("somebody")),
            ("aud", json!("http://other")),
            ("aud", Value::Null),
            ("jti", Value::Null),
            ("iat", json!(now + 2)),
            ("iat", json!(now - 3_601)),
            ("exp", json!(now)),
            ("exp", json!(now + 3_601)),
            ("exp", Value::Null),
        ] {
            let mut bad = good.clone();
            bad[name] = value.clone();
            assert_eq!(asserted(&sign(&file, "1", &bad)), None, "{name} {value}");
        }
    }
}
