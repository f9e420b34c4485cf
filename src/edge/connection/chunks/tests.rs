use proptest::prelude::*;

use super::*;

/// What has become of these bytes when they come in parts of `size`.
fn outcome(bytes: &[u8], size: usize) -> At {
    let mut chunks = Chunks::default();
    bytes.chunks(size).for_each(|part| chunks.pass(part));
    chunks.at
}

#[track_caller]
fn comes_to(bytes: &[u8], expected: At) {
    for size in 1..=bytes.len() {
        assert_eq!(outcome(bytes, size), expected, "{} by {size}", bytes.escape_ascii());
    }
}

#[test]
fn a_body_ends_where_it_ends_however_it_comes() {
    for body in [
        "0\r\n\r\n",
        "000\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        "0000000000000003\r\nabc\r\n0\r\n\r\n",
        "A\r\n0\r\n\r\n0\r\n\r\n\r\n1\r\n\n\r\n0\r\n\r\n",
        "3;a=b;c=\"d e\"\r\nabc\r\n0;last\r\n\r\n",
        "3 \t;\ta = b\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nX-A: \tb\r\nX-B:\x7fc\r\n\r\n",
    ]
    .map(|body| body.replace('\x7f', "\u{e4}"))
    {
        comes_to(body.as_bytes(), At::Over);
        comes_to(format!("{body}0\r\n\r\n").as_bytes(), At::Beyond);
        for end in 0..body.len() {
            let at = outcome(&body.as_bytes()[..end], body.len());
            assert!(!matches!(at, At::Over | At::Beyond | At::Faulty), "{body:?} up to {end}");
        }
    }
}

#[test]
fn what_has_more_than_one_reading_is_faulty() {
    for body in [
        "\r\n",
        "\n",
        ";a\r\n",
        " 3\r\nabc\r\n",
        "3 \r\nabc\r\n",
        "3\t \r\nabc\r\n",
        "3 3\r\nabc\r\n",
        "3\nabc\r\n",
        "3\n;a\r\nabc\r\n",
        "3\rabc\r\n",
        "3\r\r\nabc\r\n",
        "0x3\r\nabc\r\n",
        "+3\r\nabc\r\n",
        "-3\r\nabc\r\n",
        "g\r\n",
        "3_0\r\nabc\r\n",
        "00000000000000003\r\nabc\r\n",
        "ffffffffffffffff0\r\n",
        "2;\nxx\r\n0\r\n\r\n",
        "2;a\rb\r\nxx\r\n",
        "2;a\0\r\nxx\r\n",
        "2;a\x7f\r\nxx\r\n",
        "2;a=\u{e4}\r\nxx\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\rx",
        "3\r\nabc0\r\n\r\n",
        "0\n\n",
        "0\r\n\n",
        "0\r\n\rx",
        "0\r\nX-A: b\n\r\n",
        "0\r\nX-A: b\r\r\n\r\n",
        "0\r\nX-A: \0\r\n\r\n",
        "0\r\n X-A: b\r\n\r\n",
        "0\r\nX-A: b\r\n\tc\r\n\r\n",
    ] {
        comes_to(body.as_bytes(), At::Faulty);
    }
}

#[test]
fn nothing_beside_the_data_goes_on_for_ever() {
    let long = "a".repeat(MAX_BESIDE_DATA);
    let half = &long[..MAX_BESIDE_DATA / 2];
    for body in [format!("1;{long}"), format!("0\r\nX: {half}\r\nX: {half}")] {
        assert_eq!(outcome(body.as_bytes(), 100), At::Faulty);
    }
    let many = format!("1;{half}\r\na\r\n").repeat(10) + "0\r\nX: " + half + "\r\n\r\n";
    assert_eq!(outcome(many.as_bytes(), 100), At::Over);
}

/// How long the body is; `None` when it is faulty or not whole.
fn end_of_body(bytes: &[u8]) -> Option<usize> {
    let line = |from: usize| {
        let rest = bytes.get(from..)?;
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let is_one = rest[..end].iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t');
        is_one.then(|| (&rest[..end], from + end + 2))
    };
    let mut at = 0;
    loop {
        let (size, behind) = line(at)?;
        let size = std::str::from_utf8(size).ok().filter(|size| size.is_ascii())?;
        let digits = match size.split_once(';') {
            Some((digits, _)) => digits.trim_end_matches([' ', '\t']),
            None => size,
        };
        let is_size = (1..=16).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let size = usize::from_str_radix(digits, 16).ok().filter(|_| is_size)?;
        at = behind;
        if size == 0 {
            break;
        }
        at = at.checked_add(size)?;
        at = bytes.get(at..)?.starts_with(b"\r\n").then_some(at + 2)?;
    }
    loop {
        let (trailer, behind) = line(at)?;
        at = behind;
        match trailer.first() {
            None => return Some(at),
            Some(first) if first.is_ascii_graphic() => {}
            Some(_) => return None,
        }
    }
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => Just("1\r\na\r\n"),
        2 => Just("2;a=b\r\n\r\n\r\n"),
        2 => Just("0\r\n"),
        2 => Just("\r\n"),
        1 => Just("X: b\r\n"),
        1 => proptest::sample::select(vec![
            "0", "3", "\r", "\n", " ", "\t", ";", "a", "\0", "\u{e4}", "=", "1\r\n",
        ]),
    ]
}

proptest! {
    #[test]
    fn it_agrees_with_a_parser_that_sees_everything_at_once(
        pieces in proptest::collection::vec(piece(), 0..10),
        size in 1..20_usize,
    ) {
        let bytes = pieces.concat().into_bytes();
        let end = end_of_body(&bytes);
        for upto in 0..=bytes.len() {
            let at = outcome(&bytes[..upto], size);
            prop_assert_eq!(at == At::Over, end == Some(upto));
            prop_assert_eq!(at == At::Beyond, end.is_some_and(|end| end < upto));
        }
    }
}
