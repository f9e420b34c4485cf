//! RFC 3339 in UTC with milliseconds. Each thread remembers the second that it wrote last, so that
//! nearly all lines only add three digits.

use std::cell::Cell;

use chrono::{DateTime, Datelike, Timelike};

/// Room for `2026-11-25T08:06:21`.
type Text = [u8; 19];

thread_local! {
    static LAST: Cell<(u64, Text)> = const { Cell::new((0, *b"1970-01-01T00:00:00")) };
}

/// Appends the moment, without quotes.
pub(super) fn write(out: &mut Vec<u8>, unix_millis: u64) {
    let secs = unix_millis / 1_000;
    let (last, mut text) = LAST.get();
    if last != secs {
        text = format(secs);
        LAST.set((secs, text));
    }
    out.extend_from_slice(&text);
    let millis = u32::try_from(unix_millis % 1_000).unwrap_or_default();
    out.extend_from_slice(&[b'.', digit(millis, 100), digit(millis, 10), digit(millis, 1), b'Z']);
}

fn format(unix_secs: u64) -> Text {
    let secs = i64::try_from(unix_secs).unwrap_or_default();
    let at = DateTime::from_timestamp(secs, 0).unwrap_or_default();
    // No clock of ours is before the epoch.
    let year = at.year().unsigned_abs();
    let (y1, y2, y3, y4) = (digit(year, 1_000), digit(year, 100), digit(year, 10), digit(year, 1));
    let [mo, da, ho, mi, se] = [at.month(), at.day(), at.hour(), at.minute(), at.second()]
        .map(|two| (digit(two, 10), digit(two, 1)));
    [
        y1, y2, y3, y4, b'-', mo.0, mo.1, b'-', da.0, da.1, b'T', ho.0, ho.1, b':', mi.0, mi.1,
        b':', se.0, se.1,
    ]
}

/// The decimal digit of `value` at `place`, a power of ten.
fn digit(value: u32, place: u32) -> u8 {
    b'0' + u8::try_from(value / place % 10).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(unix_millis: u64) -> String {
        let mut out = Vec::new();
        write(&mut out, unix_millis);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn moments_are_written_as_they_are_in_utc() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (7, "1970-01-01T00:00:00.007Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_593_981_042, "2026-11-25T08:06:21.042Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text(millis), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_whatever_was_written_before(
            moments in proptest::collection::vec(0..253_402_300_800_000_u64, 1..20),
        ) {
            for moment in moments {
                for millis in [moment, moment ^ 1] {
                    let read = DateTime::parse_from_rfc3339(&text(millis)).unwrap();
                    prop_assert_eq!(read.timestamp_millis(), i64::try_from(millis).unwrap());
                }
            }
        }
    }
}
