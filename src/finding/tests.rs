use std::path::Path;

use super::*;

fn unknown(name: &str) -> Finding {
    Finding::error("unknown_field", format!("unknown field {name:?}"))
        .at_key(format!("rules[3].{name}"))
        .about("rule 3 (GET /api/*path)")
        .at(12, 5)
}

#[test]
fn a_line_says_where_what_and_what_was_meant() {
    let finding = unknown("metod").in_file(Path::new("access_rules.json")).suggest(Some("method"));
    assert_eq!(
        finding.to_string(),
        "access_rules.json:12:5: rule 3 (GET /api/*path): unknown field \"metod\"; did you mean \
         \"method\"?"
    );
    let plain = Finding::error("zero", "must not be zero").at_key("openfga.timeout");
    assert_eq!(plain.to_string(), "openfga.timeout: must not be zero");
}

#[test]
fn text_of_a_file_stays_on_its_line_and_off_the_terminal() {
    let finding = unknown("x").about("rule 1 (GET /\u{1b}[2J\na)");
    let line = finding.to_string();
    assert!(!line.contains(char::is_control), "{line:?}");
    let long = Finding::error("long", "x".repeat(100_000)).to_string();
    assert!(long.len() < 500, "{}", long.len());
}

#[test]
fn the_same_mistake_ten_thousand_times_is_told_twenty_times_and_counted() {
    let mut findings = Findings::default();
    for _ in 0..10_000 {
        findings.add(unknown("metod"));
    }
    findings.add(Finding::warning("empty", "there are no rules"));
    let text = findings.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 22, "{text}");
    assert_eq!(lines[20], "  and 9,980 more of the same");
    assert_eq!(lines[21], "warning: there are no rules");
    assert_eq!((findings.count(Severity::Error), findings.count(Severity::Warning)), (10_000, 1));
}

#[test]
fn what_is_not_told_is_not_made() {
    let mut findings = Findings::default();
    let mut made = 0;
    for _ in 0..100 {
        findings.add_with(Severity::Error, "unknown_field", || {
            made += 1;
            unknown("x")
        });
    }
    assert_eq!(made, 20);
}

#[test]
fn joined_lists_count_once() {
    let many = || (0..30).map(|_| unknown("metod")).collect::<Findings>();
    let mut joined = many();
    joined.extend(many().in_file(Path::new("other.json")));
    assert_eq!(joined.count(Severity::Error), 60);
    assert!(joined.to_string().ends_with("\n  and 40 more of the same"), "{joined}");
    let mut one = Findings::from(unknown("a"));
    one.extend(Findings::from(unknown("b")).in_file(Path::new("other.json")));
    assert!(one.to_string().lines().nth(1).unwrap().starts_with("other.json:12:5: "), "{one}");
}

#[test]
fn a_report_is_bounded_whatever_is_in_it() {
    const KINDS: [&str; 60] = {
        let mut kinds = ["kind"; 60];
        let all = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789abc";
        let mut at = 0;
        while at < kinds.len() {
            kinds[at] = all.split_at(at).1.split_at(4).0;
            at += 1;
        }
        kinds
    };
    let mut findings = Findings::default();
    for position in 0..6_000 {
        let finding = Finding::error(KINDS[position % 60], "m".repeat(2_000));
        findings.add(finding.about("s".repeat(2_000)).in_file(Path::new("access_rules.json")));
    }
    let text = findings.to_string();
    assert!(text.len() <= 20_000, "{} bytes", text.len());
    assert_eq!(findings.count(Severity::Error), 6_000);
}

#[test]
fn the_nearest_name_is_what_the_fingers_missed() {
    let fields = ["path", "method", "methods", "rate_limit", "server", "roles", "id", "OpenFGA"];
    for (word, meant) in [
        ("metod", "method"),
        ("mehtod", "method"),
        ("servr", "server"),
        ("Path", "path"),
        ("limit", "rate_limit"),
        ("rate-limit", "rate_limit"),
        ("role", "roles"),
        ("ID", "id"),
        ("openfga", "OpenFGA"),
    ] {
        assert_eq!(nearest(word, fields), Some(meant), "{word}");
    }
    for word in ["", "x", "is", "colour", "pt", "a_text_of_which_nothing_is_here", "rat"] {
        assert_eq!(nearest(word, fields), None, "{word}");
    }
}
