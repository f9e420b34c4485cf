use super::*;

fn names() -> Names {
    Names::new([NamePattern::parse("X-User-Roles").unwrap(), NamePattern::parse("SSL-*").unwrap()])
}

#[test]
fn every_spelling_of_a_reserved_name_is_reserved() {
    for name in [
        "x-user-id",
        "x_user_id",
        "x.user.id",
        "x-user_id",
        "x~user!id",
        "x_real.ip",
        "x.user_roles",
        "ssl_client_cert",
        "x_forwarded.for",
        "x-forwarded-uri",
        "transfer_encoding",
        "transfer~encoding",
        "content_length",
        "x_request_id",
        "$wsru",
    ] {
        assert_eq!(names().passage(name), Passage::Never, "{name}");
    }
}

#[test]
fn what_the_list_does_not_name_passes() {
    for name in [
        "x_user",
        "user_id",
        "x-trace_id",
        "x-request-id",
        "transfer-encoding",
        "x-user-identity",
        "xuserid",
        "via",
        "http-referer",
        "http2-settings",
        "grpc-timeout",
        "x-middleware-prefetch",
        "x-zitadel-orgid",
        "x-amzn-trace-id",
    ] {
        assert_eq!(names().passage(name), Passage::Free, "{name}");
    }
}

#[test]
fn an_alias_is_judged_by_what_it_stands_for() {
    for (name, passage) in [
        ("grpc-metadata-x-user-id", Passage::Never),
        ("grpc_metadata.x_user_id", Passage::Never),
        ("grpcgateway-x-user-id", Passage::Never),
        ("grpc-metadata-grpcgateway-grpc-metadata-x-user-id", Passage::Never),
        ("http_x_user_id", Passage::Never),
        ("http-http-x-user-id", Passage::Never),
        ("grpc-metadata-x-request-id", Passage::Never),
        ("grpc-metadata-content-length", Passage::Never),
        ("grpc-metadata-x-forwarded-for", Passage::Never),
        ("grpc-metadata-anything", Passage::FromProxies),
        ("grpc_metadata_anything", Passage::FromProxies),
        ("grpcgateway-", Passage::FromProxies),
        ("http-grpc-metadata-anything", Passage::FromProxies),
        ("grpc-metadata-true-client-ip", Passage::FromProxies),
        ("http-client-ip", Passage::Never),
        ("authorization", Passage::WithCredentials),
        ("grpc-metadata-authorization", Passage::FromProxiesWithCredentials),
        ("grpcgateway-authorization", Passage::FromProxiesWithCredentials),
        ("grpc_metadata_authorization", Passage::Never),
    ] {
        assert_eq!(names().passage(name), passage, "{name}");
    }
}

#[test]
fn proxies_tell_of_their_clients_in_the_usual_spelling_alone() {
    for (name, passage) in [
        ("true-client-ip", Passage::FromProxies),
        ("true_client_ip", Passage::Never),
        ("front-end-https", Passage::FromProxies),
        ("x-envoy-external-address", Passage::FromProxies),
        ("x-envoy-original-path", Passage::Never),
        ("x-original-forwarded-for", Passage::Never),
        ("cdn-loop", Passage::Free),
        ("cdn_loop", Passage::Never),
    ] {
        assert_eq!(names().passage(name), passage, "{name}");
        assert!(names().marks_relay(name), "{name}");
    }
    assert!(!names().marks_relay("x-user-id"));
}

#[test]
fn what_is_stripped_by_configuration_does_not_come_from_proxies_either() {
    let stripped = ["X-Envoy-*", "True-Client-IP", "Grpc-Metadata-Tenant"];
    let names = Names::new(stripped.map(|text| NamePattern::parse(text).unwrap()));
    for name in ["x-envoy-external-address", "true-client-ip", "grpc_metadata_tenant"] {
        assert_eq!(names.passage(name), Passage::Never, "{name}");
    }
}

#[test]
fn each_entry_of_the_list_is_found_under_its_own_kind() {
    let names = Names::new([]);
    let mut seen = std::collections::HashSet::new();
    for (kind, text) in listed() {
        assert!(seen.insert(text), "{text} is there twice");
        let stem = text.trim_end_matches('*');
        let found = names.kind_of(&stem.replacen('-', "$", usize::from(stem.starts_with('-'))));
        // An entry that a stricter family covers would be dead.
        assert_eq!(found, Some(kind), "{text}");
    }
}

#[test]
fn only_names_that_requests_can_do_without_are_stripped() {
    for text in ["", "*", "a b", "x-*-user", "X-User*Id", "näme", "x:y"] {
        assert_eq!(NamePattern::parse(text), Err(NameError::NotAName), "{text}");
    }
    for (text, needed) in [
        ("Host", "host"),
        ("AUTHORIZATION", "authorization"),
        ("Content_Length", "content-length"),
        ("Transfer-*", "transfer-encoding"),
        ("x-*", "x-request-id"),
        ("x*", "x-request-id"),
        ("Sec-WebSocket-Key", "sec-websocket*"),
        ("Sec-*", "sec-websocket*"),
        ("Via", "via"),
    ] {
        assert_eq!(NamePattern::parse(text), Err(NameError::Needed(needed)), "{text}");
    }
    for text in ["Remote-User", "X-Auth-Request-*", "SM_USER", "sec-gpc"] {
        assert!(NamePattern::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn families_of_few_letters_are_found_whatever_follows() {
    let short = ["Q*", "X-Q*", "z-*"].map(|text| NamePattern::parse(text).unwrap());
    let names = Names::new(short);
    for name in ["q", "qa", "q-b", "q9", "x-q", "x_qz", "x-q-r", "z-", "z_y"] {
        assert_eq!(names.passage(name), Passage::Never, "{name}");
    }
    for name in ["xq", "x-", "x", "za", "a-q"] {
        assert_eq!(names.passage(name), Passage::Free, "{name}");
    }
}
