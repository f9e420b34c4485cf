//! `credentials`: where a request's token is looked for.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::authn::Credentials;
use crate::authn::credentials::{CredentialsError, Protocol, Source};
use crate::config::problems::Problems;
use crate::config::values::each;

const SOURCES: &str = "credentials.sources";
const PREFIX: &str = "credentials.websocket_prefix";
const COMPANION: &str = "credentials.websocket_companion";

/// Where a request's token is looked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CredentialsSection {
    sources: Vec<String>,
    websocket_prefix: String,
    websocket_companion: String,
}

impl CredentialsSection {
    pub(super) fn read(&self, problems: &mut Problems) -> Option<Credentials> {
        let sources = each(SOURCES, &self.sources, problems, str::parse::<Source>);
        let are_sound = sources.len() == self.sources.len();
        let mut protocol = |key: &str, text: &str| {
            problems
                .take(key, text.parse::<Protocol>().map_err(|error| format!("{text:?} {error}")))
        };
        let prefix = protocol(PREFIX, &self.websocket_prefix);
        let companion = protocol(COMPANION, &self.websocket_companion);
        let credentials = Credentials::new(are_sound.then_some(sources)?, prefix?, companion?);
        let key = match &credentials {
            Err(CredentialsError::CompanionLikeToken) => COMPANION,
            Err(CredentialsError::Empty | CredentialsError::Repeated(_)) | Ok(_) => SOURCES,
        };
        problems.take(key, credentials)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::problems;

    #[test]
    fn every_mistake_in_where_tokens_are_looked_for_is_told() {
        let told = |text: &str| problems(&format!("credentials: {{{text}}}"));
        assert_eq!(
            told("sources: 'authorization, cookie:sid, query:access_token, websocket_protocol'"),
            ""
        );
        assert_eq!(told("websocket_prefix: bearer., websocket_companion: chat"), "");
        let all = told(
            "sources: [header, 'cookie:a b', 'query:a[b]', 'cookie:'], websocket_prefix: 'a b'",
        );
        let expected = [
            "credentials.sources: \"header\" is not authorization, cookie:NAME, query:NAME or",
            "credentials.sources: \"cookie:a b\" does not name a cookie",
            "credentials.sources: \"query:a[b]\" does not name a parameter",
            "credentials.sources: \"cookie:\" does not name a cookie",
            "credentials.websocket_prefix: \"a b\" is not a subprotocol's name",
        ];
        assert_eq!(all.lines().count(), expected.len(), "{all}");
        for (line, start) in all.lines().zip(expected) {
            assert!(line.starts_with(start), "{line}");
        }
        assert!(told("sources: []").starts_with("credentials.sources: is empty"));
        for twice in
            ["authorization, authorization", "cookie:a_b, 'cookie:A.b'", "query:t, query:T"]
        {
            let told = told(&format!("sources: [{twice}]"));
            assert!(told.starts_with("credentials.sources: ") && told.contains("twice"), "{told}");
        }
        let companion = "websocket_prefix: bearer., websocket_companion: bearer.x";
        assert!(told(companion).starts_with("credentials.websocket_companion: must not"));
    }
}
