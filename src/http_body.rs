//! Reading answers of other services within bounds.

use std::time::Duration;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, RETRY_AFTER};

/// Longer pauses are not kept: nobody else's word stops the gateway for more than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

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

/// Whether the one content type that is named is `application/json`, with whatever parameters.
pub fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return false };
    let essence = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// The pause that `Retry-After` asks for, in seconds; a date, as few send it, is not read.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    let pause = Duration::from_secs(seconds).min(LONGEST_PAUSE);
    (!pause.is_zero()).then_some(pause)
}

/// The whole body, at most `limit` bytes; a longer one is not read to its end.
pub async fn read_bounded(
    mut response: reqwest::Response,
    limit: usize,
) -> Result<Vec<u8>, BodyError> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut body = Vec::with_capacity(announced.unwrap_or_default().min(limit));
    while let Some(chunk) = response.chunk().await? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(BodyError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn one_content_type_is_json_or_it_is_not() {
        for (lines, expected) in [
            (&["application/json"][..], true),
            (&["Application/JSON; charset=utf-8"][..], true),
            (&["application/json;charset=utf-8"][..], true),
            (&[][..], false),
            (&[""][..], false),
            (&["text/html"][..], false),
            (&["text/json"][..], false),
            (&["application/json-seq"][..], false),
            (&["application/problem+json"][..], false),
            (&["application/json, text/html"][..], false),
            (&["application/json", "application/json"][..], false),
            (&["text/html", "application/json"][..], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(line));
            }
            assert_eq!(is_json(&headers), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_pause_is_whole_seconds_and_never_long() {
        let pause = |value| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            retry_after(&headers).map(|pause| pause.as_secs())
        };
        assert_eq!((pause("3"), pause("3600")), (Some(3), Some(10)));
        for odd in ["0", "-1", "1.5", "soon", "", "99999999999999999999999"] {
            assert_eq!(pause(odd), None, "{odd}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
