//! The issuer of `auth-gateway dev`, and tokens in one word.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use auth_gateway::clock::SystemClock;
use auth_gateway::dev::issuer::{Algorithm, Issuer, Settings, TokenBuilder};

use super::process::free_port;

pub async fn start() -> Issuer {
    start_with(&[Algorithm::Rs256]).await
}

/// Publishes a key of each algorithm; the first one signs.
pub async fn start_with(algorithms: &[Algorithm]) -> Issuer {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let settings = Settings { algorithms: algorithms.to_vec(), ..Settings::default() };
    Issuer::start(listen, settings, Arc::new(SystemClock)).await.unwrap()
}

/// What follows the scheme and the host.
pub fn authority(issuer: &Issuer) -> String {
    issuer.url().trim_start_matches("http://").to_owned()
}

static MINTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Whether some token of this run stands in the text.
pub fn finds_a_token_in(text: &str) -> bool {
    // Every JWT begins like this: base64url of `{"`; the second is base64url of that.
    text.contains("eyJ")
        || text.contains("ZXlK")
        || MINTED.lock().unwrap().iter().any(|token| text.contains(token))
}

/// Finishes a token, and remembers it for the search in the logs.
pub trait Mint {
    fn jwt(self) -> String;
    fn opaque_token(self) -> String;
    fn pat(self) -> String;
}

impl Mint for TokenBuilder {
    fn jwt(self) -> String {
        self.sign().unwrap()
    }

    fn opaque_token(self) -> String {
        remember(self.opaque().unwrap())
    }

    fn pat(self) -> String {
        remember(self.personal_access_token().unwrap())
    }
}

fn remember(token: String) -> String {
    MINTED.lock().unwrap().push(token.clone());
    token
}
