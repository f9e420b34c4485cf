//! Response headers that tell a client where it stands.
//!
//! draft-ietf-httpapi-ratelimit-headers-11 (`RateLimit`, `RateLimit-Policy`), the older
//! `X-RateLimit-*` in delta seconds, and `Retry-After` (RFC 9110 section 10.2.3).

use std::sync::LazyLock;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::limit::Limit;
use super::window::{Exceeded, Standing};

/// What remains: `"default";r=50;t=30`.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// What is allowed: `"default";q=100;w=60`.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Requests per window.
pub const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
/// Requests that remain.
pub const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// The same seconds as `t`.
pub const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

const LARGEST_SMALL: u32 = 8_192;

static SMALL_INTEGERS: LazyLock<Box<[HeaderValue]>> = LazyLock::new(|| {
    let digits: Vec<String> = (0..=LARGEST_SMALL).map(|number| number.to_string()).collect();
    // Leaked, 40 KiB once: values over static text are cloned without touching a shared counter.
    let text: &'static str = digits.join(" ").leak();
    text.split(' ').map(HeaderValue::from_static).collect()
});

/// Name (64), two numbers (10 each) and the punctuation.
const LONGEST_ITEM: usize = 96;

/// Tells an admitted client what remains.
pub fn write_standing(headers: &mut HeaderMap, limit: &Limit, standing: Standing) {
    write(headers, limit, standing.remaining, standing.reset_secs);
}

/// Tells a refused client when to come back.
pub fn write_exceeded(headers: &mut HeaderMap, limit: &Limit, exceeded: Exceeded) {
    write(headers, limit, 0, exceeded.retry_after_secs);
    headers.insert(RETRY_AFTER, integer(exceeded.retry_after_secs));
}

fn write(headers: &mut HeaderMap, limit: &Limit, remaining: u32, reset_secs: u32) {
    let Some(allowance) = limit.allowance() else { return };
    headers.insert(RATE_LIMIT, rate_limit(limit, remaining, reset_secs));
    headers.insert(RATE_LIMIT_POLICY, allowance.policy().clone());
    headers.insert(X_LIMIT, allowance.requests_header().clone());
    headers.insert(X_REMAINING, integer(remaining));
    headers.insert(X_RESET, integer(reset_secs));
}

/// The `RateLimit` item; allocates once.
pub fn rate_limit(limit: &Limit, remaining: u32, reset_secs: u32) -> HeaderValue {
    let mut text = Text { bytes: [0; LONGEST_ITEM], len: 0 };
    let (mut left, mut right) = (itoa::Buffer::new(), itoa::Buffer::new());
    text.push("\"");
    text.push(limit.name());
    text.push("\";r=");
    text.push(left.format(remaining));
    text.push(";t=");
    text.push(right.format(reset_secs));
    // Names are checked and the rest are digits, so the fallback is never taken.
    HeaderValue::from_bytes(text.as_bytes()).unwrap_or(HeaderValue::from_static("\"\";r=0"))
}

/// A number as a header value; without allocating up to 8,192, with one allocation beyond.
pub fn integer(number: u32) -> HeaderValue {
    let small = usize::try_from(number).ok().and_then(|index| SMALL_INTEGERS.get(index));
    small.cloned().unwrap_or_else(|| {
        // `HeaderValue::from` allocates twice. Digits are legal, so the fallback is never taken.
        let mut digits = itoa::Buffer::new();
        HeaderValue::from_str(digits.format(number)).unwrap_or(HeaderValue::from_static("0"))
    })
}

/// Text on the stack, cut off at its end.
struct Text {
    bytes: [u8; LONGEST_ITEM],
    len: usize,
}

impl Text {
    fn push(&mut self, text: &str) {
        let end = self.len + text.len();
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(text.as_bytes());
            self.len = end;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rate_limit::KeyKind;

    fn limit(name: &str) -> Limit {
        Limit::new(name, KeyKind::Principal, 100, Duration::from_mins(1)).unwrap()
    }

    fn written(write: impl FnOnce(&mut HeaderMap)) -> String {
        let mut headers = HeaderMap::new();
        write(&mut headers);
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}\n", value.to_str().unwrap())
        };
        let mut lines: Vec<String> = headers.iter().map(line).collect();
        lines.sort();
        lines.concat()
    }

    #[test]
    fn an_admitted_client_is_told_what_remains() {
        let standing = Standing { remaining: 50, reset_secs: 30 };
        let text = written(|headers| write_standing(headers, &limit("default"), standing));
        insta::assert_snapshot!(text, @r#"
        ratelimit-policy: "default";q=100;w=60
        ratelimit: "default";r=50;t=30
        x-ratelimit-limit: 100
        x-ratelimit-remaining: 50
        x-ratelimit-reset: 30
        "#);
    }

    #[test]
    fn the_largest_limit_is_told_digit_by_digit() {
        let largest = Limit::MAX_REQUESTS;
        let limit = Limit::new("bulk", KeyKind::Rule, largest, Limit::MAX_WINDOW).unwrap();
        let standing = Standing { remaining: largest - 1, reset_secs: 86_400 };
        let text = written(|headers| write_standing(headers, &limit, standing));
        insta::assert_snapshot!(text, @r#"
        ratelimit-policy: "bulk";q=1000000000;w=86400
        ratelimit: "bulk";r=999999999;t=86400
        x-ratelimit-limit: 1000000000
        x-ratelimit-remaining: 999999999
        x-ratelimit-reset: 86400
        "#);
    }

    #[test]
    fn a_limit_that_is_off_tells_nobody_anything() {
        let off = Limit::off("default", KeyKind::Principal).unwrap();
        let standing = Standing { remaining: 50, reset_secs: 30 };
        assert_eq!(written(|headers| write_standing(headers, &off, standing)), "");
    }

    #[test]
    fn a_refused_client_is_told_one_instant_everywhere() {
        let exceeded = Exceeded { retry_after_secs: 7 };
        let text = written(|headers| write_exceeded(headers, &limit("default"), exceeded));
        insta::assert_snapshot!(text, @r#"
        ratelimit-policy: "default";q=100;w=60
        ratelimit: "default";r=0;t=7
        retry-after: 7
        x-ratelimit-limit: 100
        x-ratelimit-remaining: 0
        x-ratelimit-reset: 7
        "#);
    }

    #[test]
    fn the_longest_item_is_written_whole() {
        let name = "n".repeat(64);
        let value = rate_limit(&limit(&name), u32::MAX, u32::MAX);
        assert_eq!(value, format!("\"{name}\";r=4294967295;t=4294967295").as_str());
    }

    #[test]
    fn integers_are_themselves_on_both_sides_of_the_tables_end() {
        for number in [0, 1, 9, 10, 8_191, 8_192, 8_193, u32::MAX] {
            assert_eq!(integer(number), number.to_string().as_str());
        }
    }
}
