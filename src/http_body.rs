//! Reading answers of other services within bounds.

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is, or claims to be, longer than is sensible.
    #[error("longer than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// The connection broke or the deadline passed.
    #[error(transparent)]
    Broken(#[from] reqwest::Error),
}

/// The whole body, at most `limit` bytes; a longer one is not read to its end.
pub async fn read_bounded(
    mut response: reqwest::Response,
    limit: usize,
) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(BodyError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
