use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const PATTERN: &str = "/orgs/{org}/docs/{id}/*path";

fn template(text: &str) -> Result<ObjectTemplate, ObjectError> {
    ObjectTemplate::parse(text, &Pattern::parse(PATTERN).expect("pattern"))
}

fn render(text: &str, path: &str) -> Result<String, BadObject> {
    let pattern = Pattern::parse(PATTERN).expect("pattern");
    let template = template(text).expect(text);
    template.render(&Params::new(&pattern, path)).map(Cow::into_owned)
}

#[test]
fn parameters_are_put_into_the_id() {
    for (text, expected) in [
        ("document:{id}", "document:42"),
        ("document:{org}/{id}", "document:acme/42"),
        ("file:x-{path}-y", "file:x-a/b-y"),
        ("feature:reports", "feature:reports"),
        ("package:@acme/{id}", "package:@acme/42"),
    ] {
        assert_eq!(render(text, "/orgs/acme/docs/42/a/b").as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn a_value_that_is_no_id_is_never_interpolated() {
    for value in ["a:b", "a#b", "*", "a*", "%20", "caf%C3%A9", "%23", "%3A"] {
        let path = format!("/orgs/acme/docs/{value}/x");
        let expected = BadObject::IllegalCharacter { parameter: "id".into() };
        assert_eq!(render("document:{id}", &path), Err(expected), "{value}");
    }
    for value in ["a%2Fb%20c", "a%2", "%2G", "a%252F"] {
        let path = format!("/orgs/acme/docs/{value}/x");
        assert!(render("document:{id}", &path).is_err(), "{value}");
    }
    let empty = BadObject::Empty { parameter: "path".into() };
    assert_eq!(render("file:{path}", "/orgs/acme/docs/42/"), Err(empty));
    let fits = format!("/orgs/acme/docs/{}/x", "a".repeat(MAX_OBJECT - "document:".len()));
    assert!(render("document:{id}", &fits).is_ok());
    let long = fits.replace("/x", "a/x");
    assert_eq!(render("document:{id}", &long), Err(BadObject::TooLong));
}

#[test]
fn templates_that_could_mislead_are_refused() {
    for text in [
        "",
        "document",
        ":x",
        "document:",
        "{id}:x",
        "document:{id",
        "document:id}",
        "document:{}",
        "document:{other}",
        "document:{org}{id}",
        "document:{path}/{id}",
        "document:{org}-{path}-{id}",
        "document:{path}-{path}",
        "document:a b",
        "document:*",
        "document:a#b",
        "a:b:c",
        "doc ument:x",
        "doc@ument:x",
        "document:{id}}",
        "document:{id}#x",
    ] {
        assert!(template(text).is_err(), "{text}");
    }
    assert_eq!(template(&format!("d:{}", "a".repeat(255))).err(), Some(ObjectError::TooLong));
}

#[test]
fn relations_follow_openfga() {
    assert!(is_relation("viewer") && is_relation(&"a".repeat(50)));
    for text in ["", "can view", "a:b", "a#b", "a@b", &"a".repeat(51)] {
        assert!(!is_relation(text), "{text}");
    }
}

#[test]
fn an_encoded_slash_stays_one_in_the_object() {
    for (text, path, expected) in [
        ("document:{id}", "/orgs/a/docs/group%2Fname/x", "document:group%2Fname"),
        ("document:{org}/{id}", "/orgs/a%2Fb/docs/c/x", "document:a%2Fb/c"),
        ("document:{org}/{id}", "/orgs/a/docs/b%2Fc/x", "document:a/b%2Fc"),
        ("file:{path}", "/orgs/a/docs/b/c%2Fd/e", "file:c%2Fd/e"),
    ] {
        assert_eq!(render(text, path).as_deref(), Ok(expected), "{text} {path}");
    }
}

#[test]
fn a_rest_before_another_parameter_is_named() {
    let error = template("document:{path}/{id}").err();
    assert_eq!(error, Some(ObjectError::RestNotLast { name: "path".to_owned() }));
}

#[test]
fn values_that_another_path_could_share_are_refused() {
    for (text, org, id, is_unique) in [
        ("document:{org}-{id}", "a", "b", true),
        ("document:{org}-{id}", "a", "b-c", false),
        ("document:{org}-{id}", "a-b", "c", false),
        ("document:{org}--{id}", "a-b", "c-d", true),
        ("document:{org}--{id}", "a-", "b", false),
        ("document:{org}--{id}", "a", "-b", false),
        ("document:{org}-x-{id}", "a-x", "b", false),
        ("document:{org}-x-{id}", "a", "x-b", false),
        ("document:{org}-{id}-{org}", "a", "b", true),
        ("document:{org}-{id}-{org}", "a-b", "c", false),
        ("document:{org}/{id}", "a-b", "c", true),
        ("document:{org}-/{id}", "a-", "-b", true),
    ] {
        let path = format!("/orgs/{org}/docs/{id}/x");
        let made = render(text, &path);
        let refused = Err(BadObject::Ambiguous { parameter: "id".into() });
        assert!(made.is_ok() == is_unique && (is_unique || made == refused), "{text} {path}");
    }
    assert_eq!(
        render("file:{org}/{path}", "/orgs/a/docs/b/c/d").as_deref(),
        Ok("file:a/c/d"),
        "the value before a slash has none"
    );
    let ambiguous = Err(BadObject::Ambiguous { parameter: "path".into() });
    assert_eq!(render("file:{org}-{path}", "/orgs/a/docs/b/c-d"), ambiguous);
}

/// A template over `/{p0}/{p1}/…`, in any order, the rest last.
#[derive(Clone, Debug)]
struct Shape {
    parameters: usize,
    has_rest: bool,
    template: String,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let between = vec!["-", "--", "_", "-_", "-a-", "a", "-_-", "/", "-/", "/-", "%2F", "2F-", "%"];
    let separators = prop::collection::vec(prop::sample::select(between), 1..3);
    let edge = prop::sample::select(vec!["", "-", "a"]);
    (separators, any::<bool>(), edge.clone(), edge, any::<prop::sample::Index>()).prop_map(
        |(separators, has_rest, before, after, turn)| {
            let parameters = separators.len() + 1;
            let singles = parameters - usize::from(has_rest);
            let mut names: Vec<_> = (0..parameters).map(|n| format!("{{p{n}}}")).collect();
            names[..singles].rotate_left(turn.index(singles));
            let mut template = format!("document:{before}{}", names[0]);
            for (separator, name) in separators.iter().zip(&names[1..]) {
                template.push_str(separator);
                template.push_str(name);
            }
            template.push_str(after);
            Shape { parameters, has_rest, template }
        },
    )
}

impl Shape {
    fn pattern(&self) -> Pattern {
        let segment = |n: usize| {
            let is_rest = self.has_rest && n + 1 == self.parameters;
            if is_rest { format!("/*p{n}") } else { format!("/{{p{n}}}") }
        };
        let text: String = (0..self.parameters).map(segment).collect();
        Pattern::parse(&text).expect("a pattern")
    }

    /// Every path whose values are words of `letters`; a rest has slashes too.
    fn paths(&self, letters: &[&str]) -> Vec<String> {
        let longest = if self.parameters == 2 { 3 } else { 2 };
        let mut paths = vec![String::new()];
        for n in 0..self.parameters {
            let is_rest = self.has_rest && n + 1 == self.parameters;
            let letters = if is_rest { [letters, &["/"]].concat() } else { letters.to_vec() };
            let words = words(&letters, longest);
            let longer = |path: &String| {
                words.iter().map(|word| format!("{path}/{word}")).collect::<Vec<_>>()
            };
            paths = paths.iter().flat_map(longer).collect();
        }
        paths
    }
}

/// All texts of one to `longest` letters.
fn words(letters: &[&str], longest: usize) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut all = Vec::new();
    for _ in 0..longest {
        let longer =
            |word: &String| letters.iter().map(|l| format!("{word}{l}")).collect::<Vec<_>>();
        words = words.iter().flat_map(longer).collect();
        all.extend_from_slice(&words);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn two_paths_never_ask_for_one_object(
        shape in shapes(),
        letters in prop::sample::subsequence(vec!["a", "-", "_", "%2F"], 2),
    ) {
        let pattern = shape.pattern();
        let template = ObjectTemplate::parse(&shape.template, &pattern).expect("a template");
        let paths = shape.paths(&letters);
        let mut askers: HashMap<String, &str> = HashMap::new();
        for path in &paths {
            let Ok(object) = template.render(&Params::new(&pattern, path)) else { continue };
            if let Some(other) = askers.insert(object.clone().into_owned(), path) {
                prop_assert!(false, "{other} and {path} ask for {object} by {}", shape.template);
            }
        }
    }
}
