//! The one list of names: what marks a relay, what is stripped from whom, and by which aliases and
//! spellings applications would take something else for it.

mod pattern;
mod table;

pub use pattern::{NameError, NamePattern};

use table::Table;

/// Lower case; `-` stands for any separator, a last `*` for whatever follows.
const LISTED: [(Kind, &[&str]); 9] = [
    // Ours to say, and meant for us.
    (Kind::Reserved, &["proxy-authorization", "x-user-id"]),
    // They make upstreams look at another request than the one that was admitted; gunicorn takes those of
    // CGI for the server's own word.
    (
        Kind::Reserved,
        &[
            "path-info",
            "path-translated",
            "query-string",
            "request-method",
            "request-uri",
            "script-name",
            "x-host",
            "x-host-override",
            "x-http-host-override",
            "x-http-method*",
            "x-method",
            "x-method-override",
            "x-original-host",
            "x-original-method",
            "x-original-path",
            "x-original-uri",
            "x-original-url",
            "x-override-url",
            "x-path-info",
            "x-proxycontextpath",
            "x-replaced-path",
            "x-rewrite-uri",
            "x-rewrite-url",
            "x-script-name",
            "x-waws-unencoded-url",
        ],
    ),
    // Between the parts of one application: CGI (httpoxy), nginx and Rack, Next.js, Astro, React Router,
    // IIS, WebSphere.
    (
        Kind::Reserved,
        &[
            "-ws*",
            "ms-aspnetcore*",
            "proxy",
            "x-accel*",
            "x-astro-locals",
            "x-astro-path",
            "x-invoke*",
            "x-matched-path",
            "x-middleware-invoke",
            "x-middleware-next",
            "x-middleware-override*",
            "x-middleware-re*",
            "x-middleware-s*",
            "x-now-route-matches",
            "x-react-router*",
            "x-sendfile*",
        ],
    ),
    // They choose ZITADEL's instance and login past its Host; x-zitadel-orgid is the client's to say.
    (
        Kind::Reserved,
        &[
            "x-zitadel-forwarded*",
            "x-zitadel-host*",
            "x-zitadel-instance*",
            "x-zitadel-login*",
            "x-zitadel-public*",
        ],
    ),
    (
        Kind::Way,
        &[
            "forwarded*",
            "x-envoy-original*",
            "x-forward*",
            // What ingress-nginx calls the client's own word.
            "x-original-forwarded*",
            "x-real-*",
            "x-realip",
        ],
    ),
    (
        Kind::Report,
        &[
            "akamai-client-ip",
            "ali-cdn-real-ip",
            "cf-connecting*",
            "cf-ew-via",
            "cf-ipcountry",
            "cf-pseudo*",
            "cf-visitor",
            "cf-worker",
            "client-ip",
            "clientip",
            "cloudfront*",
            "coming-from",
            "do-connecting-ip",
            "fastly-client*",
            "fastly-ff",
            "fastly-ssl",
            "fastly-temp-xff",
            "fly-client-ip",
            "fly-forwarded*",
            "front-end-https",
            "incap-client-ip",
            "ns-client-ip",
            "proxy-client-ip",
            "rlnclientipaddr",
            "source-ip",
            "true-client*",
            "wl-proxy-client-ip",
            "wl-proxy-ssl",
            "x-appengine-user-ip",
            "x-azure-clientip",
            "x-azure-fdid",
            "x-azure-requestchain",
            "x-azure-socketip",
            "x-client-ip",
            "x-client-port",
            "x-client-scheme",
            "x-clientip",
            "x-cluster-client*",
            "x-coming-from",
            "x-envoy*",
            "x-ip",
            "x-nf-client-connection-ip",
            "x-ns-client-ip",
            "x-origin-ip",
            "x-originating-ip",
            "x-proxyuser-ip",
            "x-remote-addr",
            "x-remote-host",
            "x-remote-ip",
            "x-remote-port",
            "x-scheme",
            "x-source-ip",
            "x-sucuri-clientip",
            "x-true-client*",
            "x-url-scheme",
            "x-user-ip",
            "x-vercel-forwarded*",
            "x-vercel-ip*",
            "x-vercel-proxied*",
            "z-forwarded*",
        ],
    ),
    (Kind::Hop, &["cdn-loop", "via"]),
    (Kind::Credential, &["authorization"]),
    (
        Kind::Message,
        &[
            "connection",
            "content-length",
            "content-type",
            "cookie",
            "expect",
            "host",
            "keep-alive",
            "sec-websocket*",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "x-request-id",
        ],
    ),
];

const ALIASES: [(&str, Alias); 3] =
    [("grpc-metadata-", Alias::Grpc), ("grpcgateway-", Alias::Grpc), ("http-", Alias::Cgi)];

/// What headers of a name are to us. Where several entries fit a name, the first kind wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Said by us or by nobody: never passes as it came.
    Reserved,
    /// Tells of the way that a request has come, which we write ourselves; only a relay sends it.
    Way,
    /// What a proxy tells of its client. Applications believe it, so strangers may not say it.
    Report,
    /// Passes, and only a relay sends it.
    Hop,
    /// The client's credential.
    Credential,
    /// Part of the message, and passes; whatever would be taken for it does not.
    Message,
}

/// Under which conditions a header goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Whoever sends it.
    Free,
    /// From our own proxies.
    FromProxies,
    /// To upstreams that are given credentials.
    WithCredentials,
    /// From our own proxies, to upstreams that are given credentials.
    FromProxiesWithCredentials,
    /// Not as it came.
    Never,
}

/// By which longer names applications know a header, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alias {
    /// grpc-gateway hands `Grpc-Metadata-NAME` to services as NAME, and calls the headers of HTTP
    /// `grpcgateway-NAME`. Nothing at an edge needs these.
    Grpc,
    /// CGI's `HTTP_NAME`, which many Java applications look for among the headers.
    Cgi,
}

/// The list, with what a configuration adds, to be asked for every header of every request.
#[derive(Debug)]
pub struct Names {
    table: Table,
}

impl Names {
    /// The list, and further names that never pass.
    pub fn new(reserved: impl IntoIterator<Item = NamePattern>) -> Self {
        let listed = listed().map(|(kind, text)| (NamePattern::listed(text), kind));
        let reserved = reserved.into_iter().map(|pattern| (pattern, Kind::Reserved));
        Self { table: Table::new(listed.chain(reserved).collect()) }
    }

    /// Under which conditions a header that came as `name` goes on.
    pub fn passage(&self, name: &str) -> Passage {
        let (inner, alias) = real_name(name);
        if alias.is_some() && self.kind_of(name) == Some(Kind::Reserved) {
            return Passage::Never;
        }
        let Some((pattern, kind)) = self.table.find(inner) else {
            return if alias == Some(Alias::Grpc) { Passage::FromProxies } else { Passage::Free };
        };
        // Those that may say it spell it with dashes.
        if !pattern.is_stem(name) && is_odd(name) {
            return Passage::Never;
        }
        match (kind, alias) {
            (Kind::Report, Some(Alias::Grpc) | None) => Passage::FromProxies,
            (Kind::Credential, None) => Passage::WithCredentials,
            (Kind::Credential, Some(_)) => Passage::FromProxiesWithCredentials,
            (Kind::Hop | Kind::Message, None) => Passage::Free,
            _ => Passage::Never,
        }
    }

    /// Whether only a proxy sends a header of this name.
    pub fn marks_relay(&self, name: &str) -> bool {
        let (inner, _) = real_name(name);
        matches!(self.kind_of(inner), Some(Kind::Way | Kind::Report | Kind::Hop))
    }

    fn kind_of(&self, name: &str) -> Option<Kind> {
        self.table.find(name).map(|(_, kind)| kind)
    }
}

/// Every entry of the list, as it is written there.
pub fn listed() -> impl Iterator<Item = (Kind, &'static str)> {
    LISTED.into_iter().flat_map(|(kind, texts)| texts.iter().map(move |text| (kind, *text)))
}

/// The name for which an application may take `name`, however often it is wrapped.
fn real_name(name: &str) -> (&str, Option<Alias>) {
    let (mut inner, mut alias) = (name, None);
    while let Some((rest, found)) = unwrap_once(inner) {
        // One layer for gRPC is enough to make it no business of strangers.
        alias = if alias == Some(Alias::Grpc) { alias } else { Some(found) };
        inner = rest;
    }
    (inner, alias)
}

fn unwrap_once(name: &str) -> Option<(&str, Alias)> {
    // Most names end here.
    if !matches!(name.as_bytes().first(), Some(b'g' | b'h')) {
        return None;
    }
    let (prefix, alias) = ALIASES.iter().find(|(prefix, _)| pattern::starts_like(name, prefix))?;
    Some((name.get(prefix.len()..)?, *alias))
}

fn is_odd(name: &str) -> bool {
    name.bytes().any(|b| b != b'-' && !b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;
