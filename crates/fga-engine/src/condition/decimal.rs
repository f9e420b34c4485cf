//! Whether a double holds a decimal number that was written as text.
//!
//! OpenFGA reads the text with 64 bits of precision and refuses it if the double, with
//! its 53 bits, is another number: "10.5" passes, "0.1" does not.

/// Significant digits that are compared; 64 bits are not quite 20 digits.
const DIGITS: usize = 25;

/// Digits and the power of ten of the first one; no digits for zero.
struct Decimal {
    digits: u128,
    power: i64,
}

pub(crate) fn is_held_by(text: &str, number: f64) -> bool {
    let (Some(wanted), Some(held)) = (Decimal::parse(text), Decimal::of(number)) else {
        return false;
    };
    if wanted.digits == 0 || held.digits == 0 {
        return wanted.digits == held.digits;
    }
    let difference = wanted.digits.abs_diff(held.digits);
    wanted.power == held.power && difference < 1 << 40 && difference << 65 <= held.digits
}

impl Decimal {
    fn of(number: f64) -> Option<Self> {
        // The longest expansion of a double has 1,074 digits after the point.
        number.is_finite().then(|| format!("{number:.1074}")).and_then(|text| Self::parse(&text))
    }

    fn parse(text: &str) -> Option<Self> {
        let unsigned = text.trim_start_matches(['+', '-']);
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = || whole.chars().chain(fraction.chars());
        let zeros = all().take_while(|digit| *digit == '0').count();
        let significant = all().skip(zeros).chain(std::iter::repeat('0')).take(DIGITS);
        let digits = significant.collect::<String>().parse().ok()?;
        let exponent: i64 = exponent.parse().ok()?;
        let first = i64::try_from(whole.len()).ok()? - 1 - i64::try_from(zeros).ok()?;
        Some(Self { digits, power: exponent.checked_add(first)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_double_can_hold_is_held() {
        for text in ["10.5", "-0.25", "1e3", "0", "0.0", "+2.", "9007199254740992", "1.5e-3000x"] {
            let number = text.parse::<f64>();
            assert_eq!(number.is_ok_and(|n| is_held_by(text, n)), !text.ends_with('x'), "{text}");
        }
        for text in ["0.1", "9007199254740993", "1e400", "3.14"] {
            assert!(!is_held_by(text, text.parse().unwrap()), "{text}");
        }
    }
}
