//! Where a request's token is looked for.

use super::Findings;
use crate::authn::Credentials;
use crate::authn::credentials::{CredentialsError, Protocol, Source};
use crate::config::file;

pub(super) fn credentials(
    credentials: &file::Credentials,
    found: &mut Findings,
) -> Option<Credentials> {
    let mut sources = Vec::new();
    for text in &credentials.sources {
        let source = text.parse::<Source>().map_err(|error| format!("{text:?} {error}"));
        sources.extend(found.take("credentials.sources", source));
    }
    let are_sound = sources.len() == credentials.sources.len();
    let mut protocol = |key: &str, text: &str| {
        found.take(key, text.parse::<Protocol>().map_err(|error| format!("{text:?} {error}")))
    };
    let prefix = protocol("credentials.websocket_prefix", &credentials.websocket_prefix);
    let companion = protocol("credentials.websocket_companion", &credentials.websocket_companion);
    let credentials = Credentials::new(are_sound.then_some(sources)?, prefix?, companion?);
    let key = match &credentials {
        Err(CredentialsError::CompanionLikeToken) => "credentials.websocket_companion",
        Err(CredentialsError::Empty | CredentialsError::Repeated(_)) | Ok(_) => {
            "credentials.sources"
        }
    };
    found.take(key, credentials)
}
