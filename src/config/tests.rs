use super::*;

/// Enough of an environment for the shipped file.
fn environment(name: &str) -> Option<String> {
    let value = match name {
        "OPENFGA_URL" | "ZITADEL_ISSUER_URL" | "ZITADEL_API_URL" | "UPSTREAM_URL" => {
            "http://127.0.0.1:9"
        }
        "OPENFGA_STORE_ID" => "01HXXXXXXXXXXXXXXXXXXXXXXX",
        "REDIS_URL" | "ALLOWED_ORIGINS" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

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
