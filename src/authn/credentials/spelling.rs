//! Names as applications read them.

/// Whether some application would take `written` for `name`: names are percent-decoded, in some
/// frameworks compared without regard to case (ASP.NET), trimmed, or made variables, in which dots,
/// spaces and brackets are underscores and NUL is the end (PHP).
pub(in crate::authn) fn reads_as(written: &[u8], name: &str) -> bool {
    let mut read = Decoded(written).skip_while(u8::is_ascii_whitespace);
    if !name.bytes().all(|wanted| read.next().is_some_and(|byte| is_same(byte, wanted))) {
        return false;
    }
    match read.next() {
        None | Some(b'[' | 0) => true,
        Some(byte) => byte.is_ascii_whitespace() && read.all(|byte| byte.is_ascii_whitespace()),
    }
}

fn is_same(read: u8, wanted: u8) -> bool {
    let is_underscore = |byte| matches!(byte, b'_' | b'.' | b' ' | b'[');
    read.eq_ignore_ascii_case(&wanted) || (is_underscore(read) && is_underscore(wanted))
}

/// The bytes that form-encoded text stands for; what is no escape stands for itself.
pub(super) struct Decoded<'a>(pub(super) &'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = match self.0 {
            [b'%', high, low, rest @ ..] if let Some(byte) = byte_of(*high, *low) => (byte, rest),
            // Internet Information Services.
            [b'%', b'u' | b'U', b'0', b'0', high, low, rest @ ..]
                if let Some(byte) = byte_of(*high, *low) =>
            {
                (byte, rest)
            }
            [b'+', rest @ ..] => (b' ', rest),
            [byte, rest @ ..] => (*byte, rest),
            [] => return None,
        };
        self.0 = rest;
        Some(byte)
    }
}

fn byte_of(high: u8, low: u8) -> Option<u8> {
    let digit = |byte| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_that_some_application_accepts_is_the_name() {
        for written in [
            "access_token",
            "%61ccess_token",
            "access%5Ftoken",
            "access%5ftoken",
            "%u0061ccess_token",
            "Access_Token",
            " access_token",
            "access_token ",
            "+access_token+",
            "\taccess_token",
            "access.token",
            "access token",
            "access+token",
            "access[token",
            "access_token[]",
            "access_token%5B0%5D",
            "access_token%00x",
        ] {
            assert!(reads_as(written.as_bytes(), "access_token"), "{written}");
        }
        for written in [
            "",
            "access_toke",
            "access_tokens",
            "xaccess_token",
            "accesstoken",
            "access-token",
            "access%5token",
            "access_token%2",
            "access_token x",
            "%2561ccess_token",
        ] {
            assert!(!reads_as(written.as_bytes(), "access_token"), "{written}");
        }
    }

    proptest! {
        #[test]
        fn any_letters_of_a_name_may_be_encoded(encoded in proptest::collection::vec(0..3_u8, 12)) {
            let written: String = "access_token"
                .bytes()
                .zip(encoded)
                .map(|(byte, how)| match how {
                    0 => char::from(byte).to_string(),
                    1 => format!("%{byte:02x}"),
                    _ => format!("%{byte:02X}"),
                })
                .collect();
            prop_assert!(reads_as(written.as_bytes(), "access_token"));
        }

        #[test]
        fn another_word_is_not_the_name(written in "[a-z]{0,14}") {
            prop_assert_eq!(reads_as(written.as_bytes(), "token"), written == "token");
        }
    }
}
