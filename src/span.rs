//! Durations as files write them: a number and a unit.

use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// The form, for schemas.
pub const PATTERN: &str = "^[0-9]{1,9}(ms|s|m|h)$";
/// The form in words.
pub const FORM: &str = "a duration like 500ms, 10s, 5m";

/// A duration that was written with its unit: `500ms`, `10s`, `5m`, `24h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("pattern" = PATTERN))]
pub struct Span(pub Duration);

/// A text that is no [`Span`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not {FORM}")]
pub struct SpanError;

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(SpanError)?;
        let (number, unit) = text.split_at_checked(unit_at).ok_or(SpanError)?;
        let number: u64 = number.parse().map_err(|_| SpanError)?;
        let unit_millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(SpanError),
        };
        number.checked_mul(unit_millis).map(|ms| Self(Duration::from_millis(ms))).ok_or(SpanError)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| serde::de::Error::custom(format_args!("{text:?} {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        let cases = [
            ("500ms", Some(500)),
            ("10s", Some(10_000)),
            ("5m", Some(300_000)),
            ("24h", Some(86_400_000)),
            ("10", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("10 s", None),
            ("10S", None),
            ("18446744073709551615h", None),
            ("99999999999999999999s", None),
            ("", None),
        ];
        for (text, millis) in cases {
            let expected = millis.map(|ms| Span(Duration::from_millis(ms))).ok_or(SpanError);
            assert_eq!(text.parse(), expected, "{text:?}");
        }
    }
}
