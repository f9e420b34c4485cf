use super::testing::{self, problems};
use super::*;

#[test]
fn one_mistake_is_told_once_and_hides_no_other() {
    let told = problems("redis: {url: 'redis://redis/'}\nopenfga: {timeout: soon}");
    assert_eq!(told, "openfga.timeout: \"soon\" is not a duration like 500ms, 10s, 5m");
    let told = problems("server: {colour: red, listen: here, threads: many, read_timeout: 0s}");
    let mut keys: Vec<_> = told.lines().filter_map(|line| line.split(": ").next()).collect();
    keys.sort_unstable();
    let names = ["colour", "listen", "read_timeout", "threads"];
    assert_eq!(keys, names.map(|name| format!("server.{name}")), "{told}");
}

#[test]
fn only_what_may_be_empty_is_said_to_be() {
    let told = parse("", &Overrides::default(), &|_| None).unwrap_err().to_string();
    assert!(
        told.contains("redis.url: the environment variable REDIS_URL is not set (it may be empty)")
    );
    assert_eq!(told.matches("may be empty").count(), 2, "{told}");
    let told = problems("admin: {token: 'a${geheim x}'}");
    assert!(told.starts_with("admin.token: ") && !told.contains("geheim"), "{told}");
}

#[test]
fn no_wait_may_be_zero() {
    for key in [
        "server.keepalive_timeout",
        "server.header_timeout",
        "server.read_timeout",
        "server.write_timeout",
        "openfga.timeout",
        "upstreams.app.connect_timeout",
        "upstreams.app.read_timeout",
        "upstreams.app.write_timeout",
    ] {
        let nested = key.split('.').rev();
        let nested = nested.fold("0s".to_owned(), |value, name| format!("{{{name}: {value}}}"));
        assert_eq!(problems(&nested), format!("{key}: must not be zero"));
    }
}

/// Every key of the shipped file, as a pointer.
fn keys(value: &Value, pointer: &str, out: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(name, child)| (name.clone(), child)).collect(),
        Value::Array(items) if items.iter().all(Value::is_object) => {
            items.iter().enumerate().map(|(at, child)| (at.to_string(), child)).collect()
        }
        _ => Vec::new(),
    };
    for (name, child) in children {
        let pointer = format!("{pointer}/{name}");
        keys(child, &pointer, out);
        out.push(pointer);
    }
}

/// A file that says nothing but `pointer`, and leaves that blank.
fn blank(pointer: &str) -> String {
    let names = pointer.split('/').skip(1).collect::<Vec<_>>();
    names.into_iter().rev().fold("~".to_owned(), |below, name| match name.parse::<usize>() {
        Ok(_) => format!("[{below}]"),
        Err(_) => format!("{{{name}: {below}}}"),
    })
}

#[test]
fn a_key_left_blank_is_as_shipped() {
    let shipped: Value = serde_yaml::from_str(DEFAULTS).unwrap();
    let mut pointers = Vec::new();
    keys(&shipped, "", &mut pointers);
    assert!(pointers.len() > 100, "{pointers:?}");
    let settings = |text: &str| parse(text, &Overrides::default(), &testing::environment);
    let expected = format!("{:?}", settings("").unwrap());
    for pointer in pointers {
        let text = blank(&pointer);
        let read = settings(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(format!("{read:?}") == expected, "{text} means something else than nothing");
    }
}

/// What [`testing::problems`] does not show: where each mistake is, and what was probably meant.
fn places(text: &str) -> Vec<(String, Option<usize>, Option<String>)> {
    let error = parse(text, &Overrides::default(), &testing::environment).unwrap_err();
    let findings = error.findings();
    let findings = findings.iter().cloned();
    findings.map(|found| (found.key, found.line, found.suggestion)).collect()
}

#[test]
fn every_mistake_has_its_line_and_the_name_that_was_meant() {
    let text = "\
servr: {}
server:
  listen: here
  lisen: 0.0.0.0:3000
  listen: 0.0.0.0:3000
cors:
  max_age: 10
upstreams:
  billing:
    host: client
";
    let place = |key: &str, line, meant: Option<&str>| {
        (key.to_owned(), Some(line), meant.map(ToOwned::to_owned))
    };
    assert_eq!(
        places(text),
        [
            place("server.listen", 5, None),
            place("server.lisen", 4, Some("listen")),
            place("cors.max_age", 7, None),
            place("upstreams.billing.url", 9, None),
            place("servr", 1, Some("server")),
            place("server.listen", 3, None),
        ]
    );
    assert_eq!(places("server:\n  - x: [\n"), [(String::new(), Some(3), None)]);
    let told = problems("admin: {token: !tag geheim}");
    assert!(told.ends_with("expected a value without a tag"), "{told}");
    assert_eq!(places("- x"), [(String::new(), Some(1), None)]);
}

#[test]
fn a_mistake_that_comes_from_elsewhere_says_from_where() {
    let lookup = |name: &str| match name {
        "OPENFGA_API_TOKEN" => Some("geheim\ngeheim".to_owned()),
        "CLIENT_LIMIT" => Some("many".to_owned()),
        "ZITADEL_API_URL" => None,
        "UPSTREAM_URL" => Some("app:8080".to_owned()),
        _ => testing::environment(name),
    };
    let overrides = Overrides { listen: Some("here".to_owned()), ..Overrides::default() };
    let told = parse("", &overrides, &lookup).unwrap_err().to_string();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(
        lines,
        [
            "openfga.api_token: holds a line break or another control character (from \
             OPENFGA_API_TOKEN)",
            "upstreams.zitadel.url: the environment variable ZITADEL_API_URL is not set",
            "limits.client.limit: \"many\" is not a number from 1 to 1000000000, or off (from \
             CLIENT_LIMIT)",
            "server.listen: \"here\" is not an address and port like 0.0.0.0:3000 (from --listen)",
            "upstreams.app.url: \"app:8080\" is not an http or https URL without credentials (from \
             UPSTREAM_URL)",
        ]
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    std::fs::write(&file, "\u{feff}server: {listen: 127.0.0.1:4000}\n").unwrap();
    let overrides = Overrides { config: Some(file), ..Overrides::default() };
    let settings = load_with(&overrides, &testing::environment).unwrap();
    assert_eq!(settings.server.listen.port(), 4000);
}

#[test]
fn what_is_no_text_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    let told = |content: &[u8]| {
        std::fs::write(&file, content).unwrap();
        let overrides = Overrides { config: Some(file.clone()), ..Overrides::default() };
        let error = load_with(&overrides, &testing::environment).unwrap_err();
        let path = file.display().to_string();
        error.to_string().strip_prefix(&path).map(str::to_owned).expect("the file is named")
    };
    let latin = told(b"server:\n  name: \xc3\xa4\xe4\n");
    assert_eq!(latin, ": cannot read the file: line 2, column 10 is not UTF-8");
    let control = told(b"# \t\xc2\x85\r\nserver:\n  name: \x07a\n");
    assert_eq!(control, ":3:9: the file is not valid YAML: it has the control character \\u{7}");
    let large = told(&vec![b'#'; 4 * 1024 * 1024]);
    assert_eq!(large, ": cannot read the file: it has 4194304 bytes or more");
}

#[test]
fn a_file_that_never_ends_is_refused() {
    let overrides = Overrides { config: Some("/dev/zero".into()), ..Overrides::default() };
    let error = load_with(&overrides, &testing::environment).unwrap_err();
    assert!(error.to_string().contains("bytes or more"), "{error}");
    let told = testing::problems("admin: {token: '${file:/dev/zero}'}");
    assert!(told.contains("admin.token") && told.contains("bytes or more"), "{told}");
}

#[test]
fn nothing_is_configured_when_no_variable_is_set_that_has_to_be() {
    let of = |lookup: &dyn Fn(&str) -> Option<String>| {
        parse("", &Overrides::default(), lookup).unwrap_err()
    };
    assert!(of(&|_| None).is_of_nothing());
    let slip = parse("servr: {}", &Overrides::default(), &|_| None).unwrap_err();
    assert!(!slip.is_of_nothing(), "{slip}");
    assert!(!of(&|name| (name == "UPSTREAM_URL").then(|| "http://app".to_owned())).is_of_nothing());
    let unset: Vec<_> = of(&|_| None).unset.into_iter().collect();
    let mut named = VARIABLES;
    named.sort_unstable();
    assert_eq!(unset, named);
}
