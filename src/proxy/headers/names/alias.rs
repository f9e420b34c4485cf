//! Longer names by which applications know a header, too.

use super::pattern::starts_like;

const ALIASES: [(&str, Alias); 3] =
    [("grpc-metadata-", Alias::Grpc), ("grpcgateway-", Alias::Grpc), ("http-", Alias::Cgi)];

/// By which longer names applications know a header, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alias {
    /// grpc-gateway hands `Grpc-Metadata-NAME` to services as NAME, and calls the headers of HTTP
    /// `grpcgateway-NAME`. Nothing at an edge needs these.
    Grpc,
    /// CGI's `HTTP_NAME`, which many Java applications look for among the headers.
    Cgi,
}

/// The name for which an application may take `name`, however often it is wrapped.
pub(super) fn real_name(name: &str) -> (&str, Option<Alias>) {
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
    let (prefix, alias) = ALIASES.iter().find(|(prefix, _)| starts_like(name, prefix))?;
    Some((name.get(prefix.len()..)?, *alias))
}
