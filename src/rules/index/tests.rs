use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use http::Method;
use proptest::prelude::*;

use crate::rules::{Found, Names, PathPolicy, RawTarget, RuleSet, Target, TargetName};

pub(super) fn names() -> Names {
    Names {
        default_relation: "viewer".to_owned(),
        default_target: "app".to_owned(),
        targets: BTreeMap::from([("app".to_owned(), TargetName::default())]),
        limits: BTreeMap::new(),
        any_audience: false,
    }
}

pub(super) fn rules(lines: &[&str]) -> RuleSet {
    RuleSet::parse(&file(lines), &names()).expect("valid rules")
}

/// Rules as `METHODS [host]/path`, behind a `%` when they allow encoded slashes; the line is the
/// rule's id.
pub(super) fn file(lines: &[&str]) -> Vec<u8> {
    let entries: Vec<_> = lines
        .iter()
        .map(|line| {
            let (methods, place) =
                line.trim_start_matches('%').split_once(' ').expect("METHODS PLACE");
            let (host, path) = place.split_at(place.find('/').expect("a path"));
            let mut entry = serde_json::json!({
                "id": line, "method": methods, "path": path, "feature": "authenticated",
            });
            if !host.is_empty() {
                entry["host"] = host.into();
            }
            if line.starts_with('%') {
                entry["encoded_slashes"] = "allow".into();
            }
            entry
        })
        .collect();
    serde_json::to_vec(&entries).expect("JSON")
}

/// Asks for `METHOD [host]/path` and describes the answer.
fn ask(rules: &RuleSet, request: &str) -> String {
    let (method, place) = request.split_once(' ').expect("METHOD PLACE");
    let (host, path) = place.split_at(place.find('/').expect("a path"));
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let raw = RawTarget {
        method: &method,
        authority: None,
        host: (!host.is_empty()).then_some(host.as_bytes()),
        path: path.as_bytes(),
        query: None,
    };
    let policy = PathPolicy { allow_empty_segments: true, ..PathPolicy::default() };
    let target = Target::parse(raw, policy).expect("canonical");
    match rules.find(&target) {
        Found::NoRule => "no rule".to_owned(),
        Found::EncodedSlash { rule: None } => "encoded slash".to_owned(),
        Found::EncodedSlash { rule: Some(rule) } => format!("encoded slash, {}", rule.id()),
        Found::MethodNotAllowed { allow } => format!("405 {allow}"),
        Found::Rule { rule, params } => {
            let mut answer = rule.id().to_owned();
            for (name, value) in params.iter() {
                write!(answer, " {name}={value}").expect("a string grows");
            }
            answer
        }
    }
}

#[track_caller]
fn check(lines: &[&str], expectations: &[(&str, &str)]) {
    let rules = rules(lines);
    for (request, expected) in expectations {
        assert_eq!(ask(&rules, request), *expected, "{request}");
    }
}

#[test]
fn a_rest_matches_below_its_slash() {
    check(
        &["GET /api/*path"],
        &[
            ("GET /api/", "GET /api/*path path="),
            ("GET /api/a", "GET /api/*path path=a"),
            ("GET /api/a/b/", "GET /api/*path path=a/b/"),
            ("GET /api//a", "GET /api/*path path=/a"),
            ("GET /api", "no rule"),
            ("GET /apis", "no rule"),
            ("GET /API/a", "no rule"),
            ("GET /", "no rule"),
        ],
    );
}

#[test]
fn a_pattern_without_rest_covers_its_trailing_slash() {
    check(
        &["GET /users", "GET /users/{id}", "GET /teams/", "GET /both", "GET /both/", "GET /"],
        &[
            ("GET /users", "GET /users"),
            ("GET /users/", "GET /users"),
            ("GET /users/7", "GET /users/{id} id=7"),
            ("GET /users/7/", "GET /users/{id} id=7"),
            ("GET /users//", "no rule"),
            ("GET /users/7//", "no rule"),
            ("GET /teams", "no rule"),
            ("GET /teams/", "GET /teams/"),
            ("GET /both", "GET /both"),
            ("GET /both/", "GET /both/"),
            ("GET /", "GET /"),
            ("GET //", "no rule"),
        ],
    );
}

#[test]
fn the_most_specific_path_wins_segment_by_segment() {
    check(
        &[
            "GET /*all",
            "GET /users/*rest",
            "GET /users/{id}",
            "GET /users/me",
            "GET /users/{id}/posts",
            "GET /users/me/*mine",
            "GET /users/",
        ],
        &[
            ("GET /users/me", "GET /users/me"),
            ("GET /users/7", "GET /users/{id} id=7"),
            ("GET /users/7/posts", "GET /users/{id}/posts id=7"),
            ("GET /users/me/posts", "GET /users/me/*mine mine=posts"),
            ("GET /users/7/likes", "GET /users/*rest rest=7/likes"),
            ("GET /users/", "GET /users/"),
            ("GET /users", "GET /*all all=users"),
            ("GET /other/x", "GET /*all all=other/x"),
        ],
    );
}

#[test]
fn a_search_goes_back_to_the_next_specific_pattern() {
    check(
        &["GET /a/b/c", "GET /a/{x}/d", "GET /{y}/b/e", "GET /{y}/{z}/f", "GET /a/*rest"],
        &[
            ("GET /a/b/c", "GET /a/b/c"),
            ("GET /a/b/d", "GET /a/{x}/d x=b"),
            ("GET /a/b/e", "GET /a/*rest rest=b/e"),
            ("GET /q/b/e", "GET /{y}/b/e y=q"),
            ("GET /q/b/f", "GET /{y}/{z}/f y=q z=b"),
            ("GET /q/b/g", "no rule"),
        ],
    );
}

#[test]
fn the_method_is_chosen_after_the_path() {
    check(
        &[
            "GET,POST /a",
            "* /a",
            "* /{x}",
            "DELETE,PUT /b",
            "GET /c",
            "HEAD /d",
            "GET /d",
            "* /e",
            "GET /e",
        ],
        &[
            ("POST /a", "GET,POST /a"),
            ("HEAD /a", "GET,POST /a"),
            ("PATCH /a", "* /a"),
            ("GET /b", "405 DELETE, PUT"),
            ("HEAD /b", "405 DELETE, PUT"),
            ("POST /c", "405 GET, HEAD"),
            ("get /c", "405 GET, HEAD"),
            ("HEAD /d", "HEAD /d"),
            ("POST /d", "405 GET, HEAD"),
            ("HEAD /e", "GET /e"),
            ("OPTIONS /e", "* /e"),
            ("PROPFIND /z", "* /{x} x=z"),
        ],
    );
}

#[test]
fn the_host_is_chosen_before_the_path() {
    check(
        &[
            "GET /*any",
            "GET api.example.com/a/*rest",
            "GET *.example.com/a/b",
            "GET *.example.com/c",
            "GET *.deep.example.com/c",
            "POST api.example.com/only",
            "GET [::1]/a",
        ],
        &[
            ("GET api.example.com/a/b", "GET api.example.com/a/*rest rest=b"),
            ("GET API.Example.com.:8443/a/b", "GET api.example.com/a/*rest rest=b"),
            ("GET api.example.com/c", "GET *.example.com/c"),
            ("GET x.example.com/a/b", "GET *.example.com/a/b"),
            ("GET x.y.example.com/a/b", "GET *.example.com/a/b"),
            ("GET x.deep.example.com/c", "GET *.deep.example.com/c"),
            ("GET deep.example.com/c", "GET *.example.com/c"),
            ("GET x.deep.example.com/a/b", "GET *.example.com/a/b"),
            ("GET example.com/c", "GET /*any any=c"),
            ("GET notexample.com/c", "GET /*any any=c"),
            ("GET api.example.com/z", "GET /*any any=z"),
            ("GET api.example.com/only", "405 POST"),
            ("GET [0:0::1]:3000/a", "GET [::1]/a"),
            ("GET /c", "GET /*any any=c"),
        ],
    );
}

#[test]
fn every_spelling_of_a_path_meets_the_same_rule() {
    check(
        &["GET /*all", "GET /caf%C3%A9/x!", "GET /admin", "GET /docs/{id}"],
        &[
            ("GET /caf%c3%a9/x!", "GET /caf%C3%A9/x!"),
            ("GET /caf%C3%A9/x%21", "GET /caf%C3%A9/x!"),
            ("GET /%61dmin", "GET /admin"),
            ("GET /docs/a%20b", "GET /docs/{id} id=a%20b"),
            ("GET /docs/a%3Ab", "GET /docs/{id} id=a%3Ab"),
        ],
    );
}

#[test]
fn an_encoded_slash_is_part_of_its_segment_where_the_rule_allows_it() {
    check(
        &[
            "%GET /projects/{id}",
            "%GET /projects/{id}/files/*path",
            "GET /projects/{group}/{id}",
            "%GET /@scope%2fname",
            "GET /{package}",
            "%PUT /{package}/keys",
            "GET /{package}/keys/{key}",
            "%GET /files/*path",
            "GET /files/private/*path",
        ],
        &[
            ("GET /projects/a%2Fb", "%GET /projects/{id} id=a%2Fb"),
            ("GET /projects/a%2fb/", "%GET /projects/{id} id=a%2Fb"),
            ("GET /projects/a%2Fb%2fc", "%GET /projects/{id} id=a%2Fb%2Fc"),
            (
                "GET /projects/a%2Fb/files/c%2Fd/e",
                "%GET /projects/{id}/files/*path id=a%2Fb path=c%2Fd/e",
            ),
            ("GET /@scope%2Fname", "%GET /@scope%2fname"),
            ("GET /@sc%6Fpe%2fname", "%GET /@scope%2fname"),
            ("GET /files/private%2Fx", "%GET /files/*path path=private%2Fx"),
            // The most specific pattern decides, and no other is tried.
            ("GET /projects/a%2Fb/c", "encoded slash, GET /projects/{group}/{id}"),
            ("GET /@other%2Fname", "encoded slash, GET /{package}"),
            ("GET /files/private/a%2Fb", "encoded slash, GET /files/private/*path"),
            ("HEAD /@other%2Fname", "encoded slash, GET /{package}"),
            // Some rule of the pattern allows it, so the method is what is wrong.
            ("GET /a%2Fb/keys", "405 PUT"),
            ("PUT /a%2Fb/keys", "%PUT /{package}/keys package=a%2Fb"),
            ("PUT /a%2Fb/keys/c", "encoded slash"),
            ("GET /no/such%2Frule", "encoded slash"),
            ("GET /no/such/rule", "no rule"),
        ],
    );
}

#[test]
fn a_file_made_to_search_long_is_still_searched_once_per_node() {
    // Every choice between static and parameter in ten segments, and a path that none of them ends.
    let lines: Vec<String> = (0_u32..1 << 10)
        .map(|choice| {
            let segments: String =
                (0..10)
                    .map(|bit| {
                        if choice >> bit & 1 == 0 {
                            "/a".to_owned()
                        } else {
                            format!("/{{p{bit}}}")
                        }
                    })
                    .collect();
            format!("GET {segments}/end")
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let rules = rules(&lines);
    for _ in 0..1_000 {
        assert_eq!(ask(&rules, "GET /a/a/a/a/a/a/a/a/a/a/other"), "no rule");
    }
}

/// Ranks how specific a pattern is for a path that it matches: the smaller vector wins.
fn rank(pattern: &str, path: &str) -> Option<Vec<u8>> {
    const STATIC: u8 = 0;
    const PARAMETER: u8 = 1;
    const REST: u8 = 2;
    let mut rank = Vec::new();
    let mut segments = path[1..].split('/').peekable();
    for part in pattern[1..].split('/') {
        if part.starts_with('*') {
            return segments.peek().map(|_| {
                rank.push(REST);
                rank
            });
        }
        let segment = segments.next()?;
        let is_parameter = part.starts_with('{');
        if (is_parameter && segment.is_empty()) || (!is_parameter && segment != part) {
            return None;
        }
        rank.push(if is_parameter { PARAMETER } else { STATIC });
    }
    match (segments.next(), segments.next()) {
        (None, _) => Some(rank),
        // Between an explicit slash and a rest.
        (Some(""), None) if !pattern.ends_with('/') => {
            rank.push(PARAMETER);
            Some(rank)
        }
        _ => None,
    }
}

fn patterns() -> impl Strategy<Value = BTreeSet<String>> {
    let part = prop::sample::select(vec!["/a", "/b", "/{p}", "/a%2Fb"]);
    let tail = prop::sample::select(vec!["", "", "/", "/*r"]);
    let pattern =
        (prop::collection::vec(part, 0..4), tail).prop_filter_map("a path", |(parts, tail)| {
            let mut named = String::new();
            for (position, part) in parts.iter().enumerate() {
                named.push_str(&part.replace("{p}", &format!("{{p{position}}}")));
            }
            named.push_str(tail);
            (!named.is_empty()).then_some(named)
        });
    prop::collection::btree_set(pattern, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_index_agrees_with_trying_every_pattern(
        patterns in patterns(),
        parts in prop::collection::vec(
            prop::sample::select(vec!["/a", "/b", "/c", "/", "/a%2Fb", "/c%2Fa"]),
            1..6,
        ),
    ) {
        let path = parts.concat();
        let lines: Vec<_> = patterns.iter().map(|pattern| format!("%GET {pattern}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let best = lines
            .iter()
            .filter_map(|line| Some((rank(&line[5..], &path)?, *line)))
            .min_by(|(a, _), (b, _)| a.cmp(b))
            .map_or(if path.contains('%') { "encoded slash" } else { "no rule" }, |(_, line)| line);
        let answer = ask(&rules(&lines), &format!("GET {path}"));
        let answer = answer.split(" p").next().unwrap_or_default();
        let answer = answer.split(" r=").next().unwrap_or_default();
        prop_assert_eq!(answer, best, "{} in {:?}", path, patterns);
    }
}
