use super::*;

const OURS: HeaderValue = HeaderValue::from_static("https://app.example");

fn cors(origins: &[&str]) -> Cors {
    let origins: Vec<_> = origins.iter().map(|origin| (*origin).to_owned()).collect();
    Cors {
        origins: Origins::parse(&origins).unwrap(),
        allowed_headers: HeaderValue::from_static("Authorization"),
        exposed_headers: HeaderValue::from_static("Retry-After, X-Request-ID"),
        allow_credentials: true,
        max_age: HeaderValue::from_static("600"),
    }
}

/// An upstream's answer with these headers, as `origin` gets it.
fn overruled(cors: &Cors, origin: Option<&HeaderValue>, said: &[(&str, &str)]) -> HeaderMap {
    let mut response = HeaderMap::new();
    for (name, value) in said {
        let name = HeaderName::try_from(*name).unwrap();
        response.append(name, value.parse().unwrap());
    }
    cors.overrule(origin, &mut response);
    response
}

#[test]
fn the_upstream_cannot_open_what_is_closed_here() {
    let said = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "X-Secret"),
        ("access-control-allow-methods", "DELETE"),
        ("access-control-allow-headers", "*"),
        ("access-control-max-age", "86400"),
        ("access-control-allow-private-network", "true"),
    ];
    let response = overruled(&cors(&["https://app.example"]), None, &said);
    assert_eq!(response, HeaderMap::from_iter([(VARY, HeaderValue::from_static("Origin"))]));
    let response = overruled(&cors(&["https://app.example"]), Some(&OURS), &said);
    assert_eq!(response.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter().collect::<Vec<_>>(), [OURS]);
    assert!(!response.contains_key(ACCESS_CONTROL_ALLOW_METHODS));
    assert!(!response.contains_key(ACCESS_CONTROL_MAX_AGE));
}

#[test]
fn what_the_application_exposes_is_joined_with_ours() {
    let cors = cors(&["https://app.example"]);
    let exposed = |lines: &[&str]| {
        let said: Vec<_> =
            lines.iter().map(|line| ("access-control-expose-headers", *line)).collect();
        let response = overruled(&cors, Some(&OURS), &said);
        let found: Vec<_> = response.get_all(ACCESS_CONTROL_EXPOSE_HEADERS).iter().collect();
        assert_eq!(found.len(), 1, "{lines:?}");
        found[0].to_str().unwrap().to_owned()
    };
    assert_eq!(exposed(&[]), "Retry-After, X-Request-ID");
    assert_eq!(
        exposed(&["X-Total", "ETag,retry-after"]),
        "Retry-After, X-Request-ID, X-Total, ETag"
    );
    assert_eq!(exposed(&["x-total, X-Total,,"]), "Retry-After, X-Request-ID, x-total");
    assert_eq!(exposed(&["*"]), "Retry-After, X-Request-ID, *");
}

#[test]
fn an_application_that_is_asked_nothing_keeps_its_own_headers() {
    let said = [("access-control-allow-origin", "*"), ("access-control-expose-headers", "X-A")];
    let response = overruled(&cors(&[]), None, &said);
    assert_eq!(response.len(), 2);
}

#[test]
fn nothing_is_exposed_where_nobody_exposes_anything() {
    let mut cors = cors(&["https://app.example"]);
    cors.exposed_headers = HeaderValue::from_static("");
    let response = overruled(&cors, Some(&OURS), &[]);
    assert!(!response.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS), "{response:?}");
}
