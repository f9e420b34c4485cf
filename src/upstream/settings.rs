//! An upstream as it is configured.

use std::time::Duration;

use http::HeaderValue;
use url::Url;

/// What an upstream sees as Host.
#[derive(Debug, Clone)]
pub enum HostHeader {
    /// What the client sent.
    Client,
    /// Always this.
    Fixed {
        /// Host, with its port where it is not the scheme's own.
        host: HeaderValue,
        /// `http` or `https`, when the configuration says it with the host.
        scheme: Option<&'static str>,
    },
}

/// One upstream as configured.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Name that rules use.
    pub name: String,
    /// `http` or `https`, host and port; a path is refused by the configuration.
    pub url: Url,
    /// Its own authority, for requests that come without a host.
    pub authority: HeaderValue,
    /// Host to send.
    pub host: HostHeader,
    /// Whether the client's Authorization goes along.
    pub forward_credentials: bool,
    /// Deadline of a connection, TLS and all addresses that are tried for it included.
    pub connect_timeout: Duration,
    /// Longest silence while it answers.
    pub read_timeout: Duration,
    /// Longest stall while it takes the request.
    pub write_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Time between two look-ups of the name.
    pub resolve_interval: Duration,
}
