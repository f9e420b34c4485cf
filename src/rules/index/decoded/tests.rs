use std::collections::BTreeSet;

use http::Method;
use proptest::prelude::*;

use super::{Comparison, MAX_PLACES};
use crate::rules::index::tests::{file, names, rules};
use crate::rules::load::load;
use crate::rules::warning::{Danger, RuleWarning};
use crate::rules::{CanonicalPath, Found, PathPolicy, RuleSet};

/// The warnings, without what they have in common.
fn warnings(lines: &[&str]) -> Vec<String> {
    let rules = rules(lines);
    let warnings = rules.warnings(&names()).into_iter();
    let warnings = warnings.filter(|warning| warning.danger() == Danger::ReadAsAnother);
    warnings
        .map(|warning| {
            let text = warning.to_string();
            let (_, told) = text.split_once("another's: ").expect("what is confused");
            format!("{} {told}", warning.rule())
        })
        .collect()
}

#[test]
fn a_path_that_is_another_rules_once_decoded_is_told() {
    for (lines, expected) in [
        (
            &["%GET /projects/{id}", "GET /projects/{group}/secrets"][..],
            r#"0 "/projects/x%2Fsecrets" for one of rule 1 ("GET /projects/{group}/secrets")"#,
        ),
        (
            &["GET /*all", "%GET /projects/{id}"],
            r#"1 "/projects/x%2Fx" for one of rule 0 ("GET /*all")"#,
        ),
        (
            &["%GET /files/*path", "GET /files/private/{id}"],
            r#"0 "/files/private%2Fx" for one of rule 1 ("GET /files/private/{id}")"#,
        ),
        (&["%GET /@a%2fb", "* /{scope}/b"], r#"0 "/@a%2Fb" for one of rule 1 ("* /{scope}/b")"#),
        (
            &["%GET /{id}/raw", "GET /a/b/raw", "GET /x"],
            r#"0 "/a%2Fb/raw" for one of rule 1 ("GET /a/b/raw")"#,
        ),
        (
            &["%* *.a.example/{id}", "GET b.a.example/c/d", "GET a.example/c/d"],
            r#"0 "/c%2Fd" for one of rule 1 ("GET b.a.example/c/d")"#,
        ),
        (
            &["%GET a.example/{id}", "GET /c/{d}", "GET b.example/c/e"],
            r#"0 "/c%2Fx" for one of rule 1 ("GET /c/{d}")"#,
        ),
        // Past what is more specific than the rest, and is told for itself.
        (
            &["%GET /p/{id}", "POST /p/{a}/{b}", "GET /*all"],
            r#"0 "/p/x%2Fx%2Fx" for one of rule 2 ("GET /*all")"#,
        ),
        (
            &["%GET /{a}", "GET /a/b", "GET /a/c", "GET /a/d", "GET /a/e", "GET /a/f"],
            r#"0 "/a%2Fb" for one of rule 1 ("GET /a/b"), "/a%2Fc" for one of rule 2 ("GET /a/c"), "/a%2Fd" for one of rule 3 ("GET /a/d"), "/a%2Fe" for one of rule 4 ("GET /a/e"), and 1 more"#,
        ),
    ] {
        assert_eq!(warnings(lines), [expected], "{lines:?}");
    }
}

#[test]
fn a_rule_whose_decoded_paths_are_its_own_is_not_warned_about() {
    for lines in [
        &["GET /projects/{id}", "GET /projects/{group}/secrets"][..],
        &["%GET /projects/{id}", "GET /other/{group}/secrets"],
        &["%GET /projects/{id}", "POST /projects/{group}/secrets"],
        &["%GET /files/*path", "GET /*all"],
        &["%GET /{a}/*path", "GET /*all", "GET /about"],
        &["%GET /files/*path", "GET /files/about"],
        &["%GET a.example/{id}", "GET b.example/{a}/{b}"],
        &["%GET /projects/{id}", "%GET /projects/a%2Fb"],
        &["%GET /static", "GET /*all"],
    ] {
        assert_eq!(warnings(lines), [""; 0], "{lines:?}");
    }
}

#[test]
fn a_pattern_that_splits_in_many_ways_is_still_searched_once_per_place() {
    let parameters = (0..15).map(|n| format!("/{{p{n}}}")).collect::<Vec<_>>().concat();
    let lines = [format!("%GET {parameters}/end"), format!("GET {parameters}/*rest")];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    assert_eq!(warnings(&lines).len(), 1);
}

#[test]
fn what_would_take_too_long_to_compare_is_told_apart_from_what_is_no_danger() {
    let lines = ["%GET /projects/{id}", "GET /projects/{group}/secrets"];
    let loaded = load(&file(&lines), &names()).unwrap_or_else(|errors| panic!("{errors}"));
    let mut comparison = Comparison::new(&loaded.index, &loaded.rules);
    assert_eq!(comparison.confusions(&loaded.rules[0]).map(|found| found.len()), Some(1));
    assert!(comparison.places > 0);
    comparison.places = MAX_PLACES + 1;
    assert!(comparison.confusions(&loaded.rules[0]).is_none());
    assert_eq!(comparison.confusions(&loaded.rules[1]).map(|found| found.len()), Some(0));
}

/// The rule that serves a path, by position.
fn server(rules: &RuleSet, path: &str) -> Option<usize> {
    let path = CanonicalPath::parse(path.as_bytes(), PathPolicy::default()).expect("canonical");
    match rules.find_for_method(None, &path, &Method::GET) {
        Found::Rule { rule, .. } => Some(rule.index()),
        _ => None,
    }
}

fn lines() -> impl Strategy<Value = BTreeSet<String>> {
    let part = prop::sample::select(vec!["/a", "/b", "/{p}", "/{p}", "/a%2Fb"]);
    let tail = prop::sample::select(vec!["", "", "/", "/*r"]);
    let line = (any::<bool>(), prop::collection::vec(part, 0..4), tail).prop_filter_map(
        "a path",
        |(allows, parts, tail)| {
            let named = |(n, part): (usize, &&str)| part.replace("{p}", &format!("{{p{n}}}"));
            let path = parts.iter().enumerate().map(named).collect::<String>() + tail;
            let allows = allows || path.contains('%');
            (!path.is_empty()).then(|| format!("{}GET {path}", if allows { "%" } else { "" }))
        },
    );
    // No more than one warning spells out.
    prop::collection::btree_set(line, 1..6).prop_map(|lines| {
        // Both spellings of one place would be a duplicate.
        let allowed = |line: &String| !line.starts_with('%') && lines.contains(&format!("%{line}"));
        lines.iter().filter(|line| !allowed(line)).cloned().collect()
    })
}

/// Every path of up to four segments, behind raw and encoded slashes.
fn paths() -> Vec<String> {
    let mut paths = vec![String::new()];
    let mut all = Vec::new();
    for _ in 0..4 {
        let longer = |path: &String| {
            let slashes = if path.is_empty() { &["/"][..] } else { &["/", "%2F"] };
            let parts =
                slashes.iter().flat_map(|slash| ["a", "b", "x"].map(|s| format!("{slash}{s}")));
            parts.map(|part| format!("{path}{part}")).collect::<Vec<_>>()
        };
        paths = paths.iter().flat_map(longer).collect();
        all.extend(paths.iter().flat_map(|path| [path.clone(), format!("{path}/")]));
    }
    all.retain(|path| path.contains('%'));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_rule_that_a_decoded_path_meets_is_left_out(lines in lines()) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let rules = rules(&lines);
        let told: BTreeSet<_> = rules
            .warnings(&names())
            .iter()
            .flat_map(|warning| warning.confusions().map(|(_, other)| (warning.rule(), other)))
            .collect();
        for path in paths() {
            let decoded = path.replace("%2F", "/");
            if let (Some(rule), Some(other)) = (server(&rules, &path), server(&rules, &decoded)) {
                prop_assert!(rule == other || told.contains(&(rule, other)), "{path} {lines:?}");
            }
        }
    }

    #[test]
    fn what_is_told_is_so(lines in lines()) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let rules = rules(&lines);
        let warnings = rules.warnings(&names());
        for (path, other) in warnings.iter().flat_map(RuleWarning::confusions) {
            prop_assert!(path.contains("%2F"), "{path} {lines:?}");
            let decoded = path.replace("%2F", "/");
            prop_assert_eq!(server(&rules, &decoded), Some(other), "{} {:?}", path, lines);
        }
    }
}
