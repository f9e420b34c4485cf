//! The seam between a question and whoever answers it.

use async_trait::async_trait;

use super::fault::CheckFault;
use super::question::Check;

/// Whom the log says is out of reach.
#[derive(Debug, Clone, Copy)]
pub struct OpenFgaAddress<'a> {
    /// Base of the API.
    pub url: &'a str,
    /// The store.
    pub store_id: &'a str,
}

/// Who decides over the network, or a stand-in.
#[async_trait]
pub trait Decide: Send + Sync {
    /// Evaluates one check against the authorization model `model_id`.
    async fn decide(&self, check: &Check, model_id: &str) -> Result<bool, CheckFault>;

    /// Where it asks, when that is an OpenFGA.
    fn address(&self) -> Option<OpenFgaAddress<'_>> {
        None
    }
}
