//! The id by which a request is found in logs: ours, or the one of a proxy that we trust.

use std::cell::RefCell;

use http::{HeaderMap, HeaderValue};
use uuid::Builder;

use super::headers::X_REQUEST_ID;
use crate::clock::Now;

/// Longest id that is taken over.
const MAX_ACCEPTED: usize = 128;

thread_local! {
    static RANDOM: RefCell<fastrand::Rng> = RefCell::new(fastrand::Rng::new());
}

/// The id of a request.
pub(super) fn find_or_make(headers: &HeaderMap, is_trusted_peer: bool, now: Now) -> HeaderValue {
    let sent = if is_trusted_peer { headers.get(X_REQUEST_ID) } else { None };
    sent.filter(|value| is_plain(value)).cloned().unwrap_or_else(|| make(now))
}

/// A UUID of version 7: sorts by time, and reveals nothing but it. Not a secret, so a fast generator
/// will do.
pub(super) fn make(now: Now) -> HeaderValue {
    let mut random = [0u8; 10];
    RANDOM.with_borrow_mut(|rng| rng.fill(&mut random));
    let id = Builder::from_unix_timestamp_millis(now.unix_millis(), &random).into_uuid();
    let mut text = [0u8; uuid::fmt::Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
}

fn is_plain(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=MAX_ACCEPTED).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_over_from_trusted_peers_only_and_only_plain_ones() {
        let now = Now::at(1_700_000_000_000, 0);
        let with = |id: &str| HeaderMap::from_iter([(X_REQUEST_ID, id.parse().unwrap())]);
        assert_eq!(find_or_make(&with("abc-1"), true, now), "abc-1");
        assert_ne!(find_or_make(&with("abc-1"), false, now), "abc-1");
        assert_ne!(find_or_make(&with("a\"b"), true, now), "a\"b");
        let made = find_or_make(&HeaderMap::new(), false, now);
        assert_eq!(uuid::Uuid::parse_str(made.to_str().unwrap()).unwrap().get_version_num(), 7);
    }
}
