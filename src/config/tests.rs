use super::testing::problems;
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

#[test]
fn a_section_left_blank_is_as_shipped() {
    for section in ["server", "issuers", "upstreams", "limits", "openfga"] {
        assert_eq!(problems(&format!("{section}:")), "", "{section}");
    }
}
