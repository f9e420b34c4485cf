//! What the configuration and the rules mean, in a page.

use std::io::Write;

use crate::authn::Audiences;
use crate::config::{Embedded, OpenFga, Settings};
use crate::gate::policy::Policy;
use crate::upstream::HostHeader;

/// What was understood.
pub(super) fn write(
    out: &mut impl Write,
    settings: &Settings,
    policy: &Policy,
) -> std::io::Result<()> {
    writeln!(out, "listen      {}", settings.server.listen)?;
    writeln!(out, "admin       {}", settings.admin.listen)?;
    for issuer in &settings.issuers {
        let audience = match &issuer.audiences {
            Audiences::Any => "any audience".to_owned(),
            Audiences::List(list) => format!("audience {}", list.join(" or ")),
        };
        let opaque = if issuer.introspection.is_some() { ", opaque tokens" } else { "" };
        writeln!(out, "issuer      {} ({audience}{opaque})", issuer.url)?;
    }
    match &settings.embedded {
        Some(embedded) => write_files(out, embedded)?,
        None => write_server(out, &settings.openfga)?,
    }
    let redis = settings.redis.as_ref().map_or("none", |redis| redis.redacted_url());
    writeln!(out, "redis       {redis}")?;
    for limit in settings.limits.iter() {
        writeln!(out, "limit       {limit}")?;
    }
    for (_, upstream) in &settings.upstreams {
        let host = match &upstream.host {
            HostHeader::Client => "the client's Host".to_owned(),
            HostHeader::Fixed { host, .. } => format!("Host {}", host.to_str().unwrap_or_default()),
        };
        writeln!(out, "upstream    {}: {} ({host})", upstream.name, upstream.url)?;
    }
    let rules = policy.rules();
    writeln!(out, "rules       {}, version {}", settings.rules.file.display(), rules.version())?;
    for bound in policy.bound() {
        writeln!(out, "  {:>3}  {bound}", bound.rule.index())?;
    }
    Ok(())
}

fn write_files(out: &mut impl Write, embedded: &Embedded) -> std::io::Result<()> {
    write!(out, "embedded    {}", embedded.model_file.display())?;
    if let Some(tuples) = &embedded.tuples_file {
        write!(out, ", tuples {}", tuples.display())?;
    }
    writeln!(out)
}

fn write_server(out: &mut impl Write, openfga: &OpenFga) -> std::io::Result<()> {
    let model = openfga.model_id.as_deref().unwrap_or("latest");
    let store = &openfga.client.store_id;
    writeln!(out, "openfga     {} (store {store}, model {model})", openfga.client.url)
}
