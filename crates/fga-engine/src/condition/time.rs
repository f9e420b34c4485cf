//! Durations and timestamps as Go reads them.

use chrono::{DateTime, Duration, FixedOffset};

/// Go's `time.ParseDuration`: `1h30m`, `1.5s`, `-2ms`, `0`; no days.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(Duration::zero());
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        total = total.checked_add(nanoseconds(number, unit)?)?;
        if total > i128::from(i64::MAX) {
            return None;
        }
        rest = tail;
    }
    let total = i64::try_from(total).ok()?;
    Some(Duration::nanoseconds(if negative { -total } else { total }))
}

fn nanoseconds(number: &str, unit: &str) -> Option<i128> {
    let scale: i128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Digits beyond the 18th are below a nanosecond of an hour.
    let kept = fraction.get(..fraction.len().min(18))?;
    let part: i128 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    let power = 10_i128.checked_pow(u32::try_from(kept.len()).ok()?)?;
    whole.checked_mul(scale)?.checked_add(part.checked_mul(scale)? / power)
}

/// RFC 3339, with the capital `T` and `Z` that Go insists on and without leap seconds.
pub(crate) fn parse_timestamp(text: &str) -> Option<DateTime<FixedOffset>> {
    let separator = *text.as_bytes().get(10)?;
    let second = text.get(17..19)?;
    if separator != b'T' || text.ends_with('z') || second == "60" {
        return None;
    }
    DateTime::parse_from_rfc3339(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("1h", 3_600_000_000_000),
            ("1h15m30.918s", 4_530_918_000_000),
            ("-1.5s", -1_500_000_000),
            ("+.5us", 500),
            ("0", 0),
            ("3µs", 3_000),
        ] {
            let parsed = parse_duration(text).and_then(|d| d.num_nanoseconds());
            assert_eq!(parsed, Some(nanos), "{text}");
        }
        for bad in ["", "-", "1", "1d", "2sm", ".s", "1..5s", "9999999h", "s", "1 h", "1e3s"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn timestamps_are_strict() {
        assert!(parse_timestamp("2023-10-11T10:00:00.000Z").is_some());
        assert!(parse_timestamp("2023-10-11T10:00:00+02:00").is_some());
        for bad in [
            "2023-10-11",
            "2023-10-11 10:00:00Z",
            "2023-10-11t10:00:00z",
            "",
            "2016-12-31T23:59:60Z",
            "é",
        ] {
            assert_eq!(parse_timestamp(bad), None, "{bad}");
        }
    }
}
