//! Sixty spellings of everything that a client may not say, sent to a real application behind
//! grpc-gateway, by a stranger and by a trusted proxy, to each target.

use std::collections::HashSet;
use std::fmt::Write;

use auth_gateway::proxy::headers::names::{Kind, listed};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::support::gateway::{Gateway, Wire};
use crate::support::grpc_gateway::GrpcGateway;
use crate::support::process::root;
use crate::support::world::Services;
use crate::support::{Mint, World, story};

const SPELLINGS: usize = 60;
/// Below `server.max_headers`, with room for what every request has.
const PER_REQUEST: usize = 80;
const TARGETS: [&str; 3] = ["app", "openfga", "zitadel"];

/// What applications, frameworks and other gateways are known to believe, whatever our list says.
const KNOWN: &[&str] = &[
    "X-User-ID",
    "X-Real-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "CF-Connecting-IPv6",
    "X-Client-IP",
    "Client-IP",
    "X-Cluster-Client-IP",
    "Fastly-Client-IP",
    "X-Original-Forwarded-For",
    "X-Envoy-External-Address",
    "Fly-Client-IP",
    "X-Azure-ClientIP",
    "X-Azure-SocketIP",
    "X-Remote-IP",
    "X-Remote-Addr",
    "X-Originating-IP",
    "X-ProxyUser-Ip",
    "X-Appengine-User-Ip",
    "X-Forward-For",
    "Forwarded-For",
    "X-Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-User",
    "X-Forwarded-Client-Cert",
    "Forwarded",
    "X-Original-URI",
    "X-Original-URL",
    "X-Original-Method",
    "X-Original-Host",
    "X-Rewrite-URI",
    "X-Rewrite-URL",
    "X-HTTP-Host-Override",
    "X-Host",
    "X-Method",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "SCRIPT_NAME",
    "PATH_INFO",
    "X-Script-Name",
    "X-Scheme",
    "X-Url-Scheme",
    "Front-End-Https",
    "Proxy",
    "Proxy-Authorization",
    "X-Middleware-Subrequest",
    "X-Middleware-Rewrite",
    "X-Accel-Mapping",
    "X-Sendfile-Type",
    "X-Zitadel-Login-Client",
    "X-Zitadel-Forwarded",
    "X-Zitadel-Instance-Host",
    "X-Zitadel-Public-Host",
    "X-Coming-From",
    "WL-Proxy-Client-IP",
    "Proxy-Client-IP",
    "X-ARR-ClientCert",
    "X-SSL-Client-Cert",
    "X-SSL-Client-Verify",
    "X-SSL-Client-S-DN",
    "SSL-Client-Cert",
    "X-Client-Cert",
    "Remote-User",
    "X-Remote-User",
    "X-WEBAUTH-USER",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-Access-Token",
    "X-Authenticated-User",
    "X-Authenticated-Userid",
    "X-Goog-Authenticated-User-Email",
    "X-Goog-Authenticated-User-ID",
    "X-Goog-IAP-JWT-Assertion",
    "X-Amzn-Oidc-Data",
    "X-Amzn-Oidc-Identity",
    "X-Amzn-Oidc-Accesstoken",
    "X-MS-CLIENT-PRINCIPAL",
    "X-MS-CLIENT-PRINCIPAL-ID",
    "Cf-Access-Jwt-Assertion",
    "Cf-Access-Authenticated-User-Email",
    "X-Vouch-User",
    "X-Token-Subject",
    "HTTP_CLIENT_IP",
    "HTTP_X_FORWARDED_FOR",
];

/// A header of which nobody else sends the value.
struct Spoofed {
    name: String,
    value: String,
    kind: Kind,
}

impl Spoofed {
    /// Whether our own proxies may say it.
    fn comes_from_proxies(&self) -> bool {
        let is_plain = self.name.bytes().all(|b| b == b'-' || b.is_ascii_alphanumeric());
        self.kind == Kind::Report && is_plain
    }

    /// Whether its value is read for what we write ourselves.
    fn is_read_from_proxies(&self) -> bool {
        ["x-forwarded-for", "x-forwarded-host"].iter().any(|n| self.name.eq_ignore_ascii_case(n))
    }
}

/// Names of every entry of the list and of the shipped configuration.
fn names() -> Vec<(String, Kind)> {
    let config = std::fs::read_to_string(root().join("conf/gateway.yaml")).unwrap();
    let config: serde_yaml::Value = serde_yaml::from_str(&config).unwrap();
    let stripped = config["server"]["strip_headers"].as_sequence().unwrap().iter();
    let stripped = stripped.map(|text| (member(text.as_str().unwrap()), Kind::Reserved));
    let is_ours = |kind| matches!(kind, Kind::Reserved | Kind::Way | Kind::Report);
    let ours = listed().filter(|(kind, _)| is_ours(*kind));
    ours.map(|(kind, text)| (member(text), kind)).chain(stripped).collect()
}

/// Of a family, a name that begins so; a name begins with no dash.
fn member(text: &str) -> String {
    let name = text.strip_suffix('*').map_or(text.to_owned(), |stem| format!("{stem}x"));
    name.strip_prefix('-').map_or(name.clone(), |rest| format!("${rest}"))
}

/// The same spellings in each run: any case, any separators, behind any number of prefixes.
fn spellings(name: &str, prefixed_only: bool) -> Vec<String> {
    const PREFIXES: [&str; 6] = [
        "",
        "",
        "grpc-metadata-",
        "grpcgateway-",
        "grpc-metadata-grpcgateway-",
        "grpc-metadata-grpc-metadata-",
    ];
    let mut random = Rng::with_seed(name.len() as u64);
    let mut found = HashSet::new();
    let mut spellings = Vec::new();
    let prefixes = if prefixed_only { &PREFIXES[2..] } else { &PREFIXES[..] };
    for prefix in prefixes.iter().cycle() {
        if spellings.len() == SPELLINGS {
            break;
        }
        // Every other one has the separators that proxies use.
        let is_plain = random.bool();
        let spelled = |c: char| match c {
            '-' | '_' | '.' if is_plain => '-',
            '-' | '_' | '.' => *random.choice(['-', '_', '.'].iter()).unwrap(),
            c if random.bool() => c.to_ascii_uppercase(),
            c => c.to_ascii_lowercase(),
        };
        let spelling: String = format!("{prefix}{name}").chars().map(spelled).collect();
        if found.insert(spelling.clone()) {
            spellings.push(spelling);
        }
    }
    spellings
}

fn spoofed(names: &[(String, Kind)], prefixed_only: bool) -> Vec<Spoofed> {
    let mut spoofed = Vec::new();
    for (name, kind) in names {
        for name in spellings(name, prefixed_only) {
            let value = format!("spoofed-{}-", spoofed.len());
            spoofed.push(Spoofed { name, value, kind: *kind });
        }
    }
    spoofed
}

/// A gateway whose upstreams are all the one application.
struct Rig {
    gateway: Gateway,
    services: Services,
    _app: GrpcGateway,
}

impl Rig {
    async fn start(trusted_proxies: &str) -> Self {
        let rule = |kind: &str, feature: &str, target: &str| {
            let path = format!("/{kind}/{target}/*path");
            let mut rule =
                json!({"path": path, "method": "GET", "feature": feature, "target": target});
            if (kind, target) == ("public", "openfga") {
                rule["expose_openfga"] = true.into();
            }
            rule
        };
        let public = TARGETS.map(|target| rule("public", "public_access", target));
        let protected = TARGETS.map(|target| rule("protected", "authenticated", target));
        let rules = Value::from([public, protected].concat());
        let world = World::build().rules(rules).without_redis();
        let (services, app) = tokio::join!(world.services(), GrpcGateway::start());
        let plan = world
            .plan(&services)
            .env("UPSTREAM_URL", app.url())
            .env("ZITADEL_API_URL", app.url())
            .set("upstreams.openfga.url", app.url())
            .env("TRUSTED_PROXIES", trusted_proxies)
            .env("CLIENT_LIMIT", "1000000")
            .env("PRINCIPAL_LIMIT", "1000000");
        Self { gateway: Gateway::start(&plan).await, services, _app: app }
    }

    /// Sends all of them to each target, on a public and on a protected rule; `seen` looks at each
    /// answer, in which the application tells what has reached it.
    async fn send(&self, spoofed: &[Spoofed], mut seen: impl FnMut(&str, &[Spoofed], &str)) {
        let bearer = format!("Bearer {}", self.services.issuer.token("ann").jwt());
        for target in TARGETS {
            for kind in ["public", "protected"] {
                let path = format!("/{kind}/{target}/x");
                let token = (kind == "protected").then_some(bearer.as_str());
                let mut wire = self.gateway.connect().await;
                for some in spoofed.chunks(PER_REQUEST) {
                    let answer = self.ask(&mut wire, &path, token, some).await;
                    knows_the_caller(&answer, token.is_some().then_some("ann"));
                    seen(target, some, &answer.to_string());
                }
            }
        }
    }

    async fn ask(
        &self,
        wire: &mut Wire,
        path: &str,
        token: Option<&str>,
        some: &[Spoofed],
    ) -> Value {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", self.gateway.authority());
        for Spoofed { name, value, .. } in some {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        if let Some(token) = token {
            write!(request, "Authorization: {token}\r\n").unwrap();
        }
        wire.send(request + "\r\n").await;
        wire.reply("GET").await.expect("an answer").is(200).json()
    }
}

/// The application has its caller's name from us, once.
#[track_caller]
fn knows_the_caller(answer: &Value, caller: Option<&str>) {
    let expected = caller.map_or(Value::Null, |caller| json!([caller]));
    assert_eq!(answer["metadata"]["x-user-id"], expected, "{answer}");
    assert_eq!(answer["headers"]["X-User-Id"], expected, "{answer}");
}

#[test]
fn a_stranger_says_nothing_that_applications_believe() {
    story(async {
        let rig = Rig::start("").await;
        let mut names = names();
        names.extend(KNOWN.iter().map(|name| ((*name).to_owned(), Kind::Reserved)));
        rig.send(&spoofed(&names, false), |target, some, answer| {
            let through = some.iter().filter(|s| answer.contains(&s.value));
            let through: Vec<_> = through.map(|s| &s.name).collect();
            assert!(through.is_empty(), "{target} got {through:?}");
        })
        .await;
    });
}

#[test]
fn a_trusted_proxy_says_what_proxies_say_and_no_more() {
    story(async {
        let rig = Rig::start("127.0.0.0/8").await;
        rig.send(&spoofed(&names(), false), |target, some, answer| {
            for sent in some.iter().filter(|sent| !sent.is_read_from_proxies()) {
                let arrives = answer.contains(&sent.value);
                assert_eq!(arrives, sent.comes_from_proxies(), "{target} {}", sent.name);
            }
        })
        .await;
    });
}

#[test]
fn a_credential_goes_by_an_alias_only_from_a_proxy_to_who_is_given_credentials() {
    story(async {
        let name = [("authorization".to_owned(), Kind::Report)];
        for (trusted, believed) in [("", false), ("127.0.0.0/8", true)] {
            let rig = Rig::start(trusted).await;
            rig.send(&spoofed(&name, true), |target, some, answer| {
                for sent in some {
                    let may = believed && target == "zitadel" && sent.comes_from_proxies();
                    assert_eq!(answer.contains(&sent.value), may, "{target} {}", sent.name);
                }
            })
            .await;
        }
    });
}

#[test]
fn a_key_does_not_reach_openfga_by_an_alias() {
    story(async {
        let world = World::build().openfga_key("preshared").start().await;
        let path = format!("/stores/{}", world.store);
        for name in spellings("authorization", true) {
            let answer = world.gateway.get(&path).header(&name, "Bearer preshared").send().await;
            assert_eq!(answer.status, 401, "{name}: {answer:?}");
        }
    });
}
