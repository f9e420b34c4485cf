//! The key with which this gateway proves to an issuer that it is the client it says it is, in the
//! form in which ZITADEL's console lets it be downloaded.

use std::fmt;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// A private key of an API application.
pub struct ClientKey {
    kid: String,
    client_id: String,
    key: EncodingKey,
}

/// Why a key file is of no use; never quotes it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ClientKeyError {
    /// Not JSON, or its members are no texts.
    #[error(
        "is not a key file as ZITADEL lets it be downloaded (JSON with type, keyId, key and clientId)"
    )]
    NotAKeyFile,
    /// ZITADEL lets applications introspect, not users.
    #[error(
        "is the key of a service account, which may not introspect: create an API application in the \
         project, with authentication JWT, and download a key of that"
    )]
    ServiceAccount,
    /// A type that nobody knows.
    #[error("is a key of another type than application")]
    OtherType,
    /// A member without which the key cannot be used.
    #[error("lacks {0}")]
    Lacks(&'static str),
    /// Not the PEM of an RSA key that can sign.
    #[error("holds no RSA private key in PEM form under \"key\"")]
    NotAnRsaKey,
}

#[derive(Deserialize)]
struct KeyFile {
    r#type: Option<String>,
    #[serde(rename = "keyId")]
    key_id: Option<String>,
    key: Option<Secret>,
    #[serde(rename = "clientId")]
    client_id: Option<String>,
}

impl ClientKey {
    /// Parses a key file, and tries the key.
    pub fn parse(text: &str) -> Result<Self, ClientKeyError> {
        let file: KeyFile = serde_json::from_str(text).map_err(|_| ClientKeyError::NotAKeyFile)?;
        match file.r#type.as_deref() {
            Some("application") => {}
            Some("serviceaccount") => return Err(ClientKeyError::ServiceAccount),
            Some(_) => return Err(ClientKeyError::OtherType),
            None => return Err(ClientKeyError::Lacks("type")),
        }
        let filled = |text: Option<String>, name| {
            text.filter(|text| !text.is_empty()).ok_or(ClientKeyError::Lacks(name))
        };
        let pem = file.key.ok_or(ClientKeyError::Lacks("key"))?;
        let key = EncodingKey::from_rsa_pem(pem.expose().as_bytes())
            .map_err(|_| ClientKeyError::NotAnRsaKey)?;
        let found = Self {
            kid: filled(file.key_id, "keyId")?,
            client_id: filled(file.client_id, "clientId")?,
            key,
        };
        // Whatever is wrong with the key is told now and not with the first token.
        found.sign(&()).ok_or(ClientKeyError::NotAnRsaKey)?;
        Ok(found)
    }

    /// The application's client id.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// A JWT with these claims; `None` when the key does not sign, which it did when it was parsed.
    pub(super) fn sign(&self, claims: &impl Serialize) -> Option<String> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key).ok()
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dev::issuer::new_client_key;

    #[track_caller]
    fn check(change: impl FnOnce(&mut Value), expected: ClientKeyError) {
        let (mut file, _) = new_client_key("1", "123@gateway").unwrap();
        change(&mut file);
        assert_eq!(ClientKey::parse(&file.to_string()).err(), Some(expected));
    }

    #[test]
    fn a_downloaded_key_is_read_and_never_printed() {
        let (file, _) = new_client_key("81693565968962154", "123@gateway").unwrap();
        assert!(file["key"].as_str().unwrap().starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        let key = ClientKey::parse(&file.to_string()).unwrap();
        assert_eq!(key.client_id(), "123@gateway");
        assert_eq!(format!("{key:?}"), r#"ClientKey { kid: "81693565968962154", .. }"#);
    }

    #[test]
    fn other_files_are_told_from_it() {
        use ClientKeyError::*;
        for text in ["", "[]", "{\"type\": 1}", "-----BEGIN RSA PRIVATE KEY-----"] {
            assert_eq!(ClientKey::parse(text).err(), Some(NotAKeyFile), "{text}");
        }
        check(|file| file["type"] = json!("serviceaccount"), ServiceAccount);
        check(|file| file["type"] = json!("apikey"), OtherType);
        check(|file| drop(file.as_object_mut().unwrap().remove("type")), Lacks("type"));
        check(|file| file["keyId"] = json!(""), Lacks("keyId"));
        check(|file| file["clientId"] = Value::Null, Lacks("clientId"));
        check(|file| file["key"] = Value::Null, Lacks("key"));
        check(|file| file["key"] = json!("MIIE"), NotAnRsaKey);
        let broken = |file: &mut Value| {
            let pem = file["key"].as_str().unwrap().replacen("MII", "AII", 1);
            file["key"] = json!(pem);
        };
        check(broken, NotAnRsaKey);
    }
}
