//! Why the gateway does not start, for whoever has to mend it.

use std::io::ErrorKind;
use std::net::SocketAddr;

use fga_engine::EngineError;
use fga_engine::files::LoadError;

use crate::authz::client::ClientError;
use crate::finding::{Finding, Findings};
use crate::metrics::MetricsError;
use crate::rate_limit::LimiterError;
use crate::reload::ReloadError;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("{key}: cannot listen on {addr}: {}", advice(.cause))]
    Listen {
        /// Configuration key.
        key: &'static str,
        /// The address.
        addr: SocketAddr,
        /// The operating system's answer.
        cause: std::io::Error,
    },
    /// The rules cannot come into force.
    #[error("{0}")]
    Rules(ReloadError),
    /// The issuers do not go together.
    #[error("issuers: {0}")]
    Issuers(#[from] crate::authn::SettingsError),
    /// OpenFGA cannot be asked as configured.
    #[error("openfga: {0}")]
    OpenFga(#[from] ClientError),
    /// The limits do not go together.
    #[error("limits: {0}")]
    Limits(#[from] LimiterError),
    /// The embedded engine cannot take its files.
    #[error("authz.model_file: {0}")]
    Model(LoadError),
    /// The tuples cannot be read.
    #[error("authz.tuples_file: {0}")]
    TuplesFile(LoadError),
    /// The embedded engine refuses the tuples.
    #[error("authz.tuples_file: {0}")]
    Tuples(#[from] EngineError),
    /// The name cannot stand in a header.
    #[error("server.name: {0}")]
    Name(#[from] http::Error),
    /// The metrics clash.
    #[error("metrics: {0}")]
    Metrics(#[from] MetricsError),
}

/// What an operator can do about an address that cannot be had.
fn advice(cause: &std::io::Error) -> String {
    match cause.kind() {
        ErrorKind::AddrInUse => {
            "the port is taken; end what listens there, or choose another address".to_owned()
        }
        ErrorKind::AddrNotAvailable => {
            "no interface of this machine has this address; choose another".to_owned()
        }
        _ => cause.to_string(),
    }
}

impl StartError {
    /// The key of the configuration that it is about.
    const fn key(&self) -> &'static str {
        match self {
            Self::Listen { key, .. } => key,
            Self::Rules(_) => "rules.file",
            Self::Issuers(_) => "issuers",
            Self::OpenFga(_) => "openfga",
            Self::Limits(_) => "limits",
            Self::Model(_) => "authz.model_file",
            Self::TuplesFile(_) | Self::Tuples(_) => "authz.tuples_file",
            Self::Name(_) => "server.name",
            Self::Metrics(_) => "metrics",
        }
    }

    /// The same among other findings.
    pub fn into_findings(self) -> Findings {
        match self {
            Self::Rules(ReloadError::Rules(findings) | ReloadError::Model(findings)) => findings,
            Self::Rules(ReloadError::File(error)) => error.finding().into(),
            other => {
                let (key, text) = (other.key(), other.to_string());
                let message = text.strip_prefix(key).and_then(|rest| rest.strip_prefix(": "));
                Finding::error("unusable", message.unwrap_or(&text)).at_key(key).into()
            }
        }
    }
}
