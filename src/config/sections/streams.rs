//! `streams`: WebSockets, which may outlast what opened them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::span::Span;

/// WebSockets, which may outlast what opened them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamsSection {
    close_on_expiry: bool,
    expiry_grace: Span,
}

impl StreamsSection {
    /// How long a WebSocket may outlast its token.
    pub(super) fn grace(&self) -> Option<Duration> {
        self.close_on_expiry.then_some(self.expiry_grace.0)
    }
}
