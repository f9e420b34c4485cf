use super::testing::environment;
use super::*;

/// Every problem of a file laid over the shipped one, a line for each.
fn problems(text: &str) -> String {
    match parse(text, &Overrides::default(), &environment) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_admin_port_is_not_the_traffic_port() {
    let told = |listen: &str, admin: &str| {
        let overrides = Overrides {
            listen: Some(listen.to_owned()),
            admin_listen: Some(admin.to_owned()),
            ..Overrides::default()
        };
        parse("admin: {token: t}", &overrides, &environment)
            .map_or_else(|error| error.to_string(), |_| String::new())
    };
    for (listen, admin) in [
        ("127.0.0.1:3000", "127.0.0.1:3000"),
        ("0.0.0.0:3000", "127.0.0.1:3000"),
        ("127.0.0.1:3000", "[::]:3000"),
        ("127.0.0.1:3000", "[::ffff:127.0.0.1]:3000"),
    ] {
        assert_eq!(
            told(listen, admin),
            format!(
                "admin.listen (--admin-listen): {admin} takes the port of server.listen (--listen), {listen}"
            )
        );
    }
    for (listen, admin) in [
        ("127.0.0.1:3000", "127.0.0.1:3001"),
        ("127.0.0.1:3000", "127.0.0.2:3000"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ] {
        assert_eq!(told(listen, admin), "", "{listen} {admin}");
    }
    let text = "server: {listen: 0.0.0.0:3001}";
    assert!(problems(text).contains("admin.listen"), "{}", problems(text));
}

#[test]
fn one_mistake_is_told_once_and_hides_no_other() {
    let redis = "redis: {url: 'redis://redis/'}\n";
    let told = problems(&format!("{redis}openfga: {{timeout: soon}}"));
    assert_eq!(told, "openfga.timeout: \"soon\" is not a duration like 500ms, 10s, 5m");
    let told = problems(&format!("{redis}openfga: {{store_id: a b}}"));
    assert!(told.starts_with("openfga.store_id: ") && told.lines().count() == 1, "{told}");

    let told = problems("issuers: [{url: x, discovery_url: y, audience: '', algorithms: RS1}]");
    let keys: Vec<_> = told.lines().filter_map(|line| line.split_once(": ")).collect();
    let keys: Vec<_> = keys.into_iter().map(|(key, _)| key).collect();
    assert_eq!(
        keys,
        [
            "issuers[0].url",
            "issuers[0].discovery_url",
            "issuers[0].audience",
            "issuers[0].algorithms"
        ]
    );
    let told = problems("issuers: [{algorithms: ''}]");
    assert!(told.starts_with("issuers[0].algorithms: is empty"), "{told}");
}

#[test]
fn a_bad_redis_url_is_told_with_its_key_and_without_its_password() {
    let told = problems("redis: {url: 'redis://:geheim@h:99999/'}");
    assert_eq!(told, "redis.url (REDIS_URL): not a redis:// or rediss:// URL");
    let told = problems("redis: {url: 'redis://h/', namespace: a b}");
    assert!(told.starts_with("redis.namespace: "), "{told}");
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
fn an_embedded_engine_shares_redis_only_under_a_name_of_its_own() {
    let told = |redis: &str| {
        problems(&format!("authz: {{mode: embedded, model_file: m.fga}}\nredis: {{{redis}}}"))
    };
    let refused = told("url: 'redis://h/'");
    assert!(refused.starts_with("redis.namespace: is required"), "{refused}");
    assert_eq!(refused.lines().count(), 1, "{refused}");
    assert_eq!(told("url: 'redis://h/', namespace: mine"), "");
    assert_eq!(told("url: ''"), "");
}

#[test]
fn what_is_stripped_and_who_is_private_are_names() {
    let told = problems("server: {strip_headers: 'Remote-User, Authorization, a b, x-*'}");
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(
        lines,
        [
            "server.strip_headers: \"Authorization\" covers authorization, which is not for an operator \
             to strip",
            "server.strip_headers: \"a b\" is neither a header name nor, with a * at its end, the \
             beginning of some",
            "server.strip_headers: \"x-*\" covers x-request-id, which is not for an operator to strip",
        ]
    );
    let told = problems("server: {private_hosts: 'gateway.prod.svc, gateway:3000, *.svc, a/b'}");
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.contains("\"gateway:3000\" has an invalid port"), "{told}");
}

#[test]
fn an_origin_that_no_browser_sends_is_told() {
    let told = problems(
        "cors: {allowed_origins: 'https://app.example.com/, *, https://*.com, https://u:geheim@x'}",
    );
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "cors.allowed_origins: \"https://app.example.com/\" never matches: browsers send \
             https://app.example.com",
            "cors.allowed_origins: \"*\" allows every origin and stands alone",
            "cors.allowed_origins: \"https://*.com\" has a * in a place where it has no meaning: write \
             https://*.example.com, with two labels or more behind it",
            "cors.allowed_origins: \"the value (not shown)\" is not an origin like https://app.example.com",
        ]
    );
    assert_eq!(
        problems("cors: {allowed_origins: 'https://*.example.com, http://localhost:5173'}"),
        ""
    );
    assert_eq!(problems("cors: {allowed_origins: '*'}"), "");
}

#[test]
fn every_mistake_in_where_tokens_are_looked_for_is_told() {
    let told = |text: &str| problems(&format!("credentials: {{{text}}}"));
    assert_eq!(
        told("sources: 'authorization, cookie:sid, query:access_token, websocket_protocol'"),
        ""
    );
    assert_eq!(told("websocket_prefix: bearer., websocket_companion: chat"), "");
    let all =
        told("sources: [header, 'cookie:a b', 'query:a[b]', 'cookie:'], websocket_prefix: 'a b'");
    let expected = [
        "credentials.sources: \"header\" is not authorization, cookie:NAME, query:NAME or",
        "credentials.sources: \"cookie:a b\" does not name a cookie",
        "credentials.sources: \"query:a[b]\" does not name a parameter",
        "credentials.sources: \"cookie:\" does not name a cookie",
        "credentials.websocket_prefix: \"a b\" is not a subprotocol's name",
    ];
    assert_eq!(all.lines().count(), expected.len(), "{all}");
    for (line, start) in all.lines().zip(expected) {
        assert!(line.starts_with(start), "{line}");
    }
    assert!(told("sources: []").starts_with("credentials.sources: is empty"));
    for twice in ["authorization, authorization", "cookie:a_b, 'cookie:A.b'", "query:t, query:T"] {
        let told = told(&format!("sources: [{twice}]"));
        assert!(told.starts_with("credentials.sources: ") && told.contains("twice"), "{told}");
    }
    let companion = "websocket_prefix: bearer., websocket_companion: bearer.x";
    assert!(told(companion).starts_with("credentials.websocket_companion: must not"));
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
    let text = "issuers: [{introspection: {timeout: 0s}}]";
    assert_eq!(problems(text), "issuers[0].introspection.timeout: must not be zero");
}

#[test]
fn a_section_left_blank_is_as_shipped() {
    for section in ["server", "issuers", "upstreams", "limits", "openfga"] {
        assert_eq!(problems(&format!("{section}:")), "", "{section}");
    }
}

#[test]
fn an_upstream_s_host_is_a_host() {
    for host in ["client", "upstream", "app.example", "app.example:8080", "https://app.example"] {
        assert_eq!(problems(&format!("upstreams: {{app: {{host: '{host}'}}}}")), "", "{host}");
    }
    for host in [
        "foo bar",
        "ftp://app.example",
        "http://user:secret@app.example",
        "http://app.example/path",
        "http://app.example?query",
        "app.example:port",
        "user@app.example",
        "app.example/path",
    ] {
        let told = problems(&format!("upstreams: {{app: {{host: '{host}'}}}}"));
        assert!(told.starts_with("upstreams.app.host: is not"), "{host}: {told}");
        assert!(!told.contains("secret"), "{told}");
    }
}
