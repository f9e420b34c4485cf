//! What the sandbox says first: where everything is, and lines to copy.

use std::net::SocketAddr;

use crate::dev::Sandbox;

/// Where the parts are, and what they decide by.
pub(super) struct Places<'a> {
    pub(super) gateway: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) sandbox: &'a Sandbox,
    pub(super) store: &'a str,
    pub(super) rules: &'a str,
    /// What there is to say of ports that are others than usual.
    pub(super) moves: Option<&'a str>,
    /// Whether rules, model and tuples are the example's, which the lines to copy are about.
    pub(super) is_example: bool,
}

pub(super) fn text(places: &Places<'_>) -> String {
    let Places { gateway, admin, sandbox, store, rules, moves, is_example } = places;
    let issuer = sandbox.issuer_url();
    let (engine, app) = (sandbox.engine_url(), sandbox.app_url());
    let moves = moves.map(|moves| format!("{moves}\n\n")).unwrap_or_default();
    let lines = if *is_example { example(places) } else { own(places) };
    format!(
        "{moves}gateway      http://{gateway}
admin        http://{admin}/readyz
issuer       {issuer}   (tokens of ann, bob, carol or anybody: {issuer}/token/NAME)
openfga      {engine}   (embedded engine, store {store})
application  {app}
rules        {rules}   (edit it: changes are effective at once)

{lines}
Ctrl-C stops everything. One log line per request follows.

"
    )
}

fn bearer(issuer: &str, user: &str) -> String {
    format!("-H \"Authorization: Bearer $(curl -s {issuer}/token/{user})\"")
}

fn own(places: &Places<'_>) -> String {
    let ann = bearer(places.sandbox.issuer_url(), "ann");
    format!("# as ann\ncurl -si {ann} http://{}/\n", places.gateway)
}

fn example(places: &Places<'_>) -> String {
    let (gateway, store) = (places.gateway, places.store);
    let [ann, bob, carol] =
        ["ann", "bob", "carol"].map(|user| bearer(places.sandbox.issuer_url(), user));
    let write = |change: &str| {
        format!(
            "curl -s -X POST http://{gateway}/stores/{store}/write -H 'Content-Type: application/json' \
             -d '{{\"{change}\":{{\"tuple_keys\":[{{\"user\":\"user:bob\",\"relation\":\"viewer\",\
             \"object\":\"feature:report_viewer\"}}]}}}}'"
        )
    };
    let (grant, revoke) = (write("writes"), write("deletes"));
    format!(
        "# allowed: ann is a viewer of feature:report_viewer
curl -si {ann} http://{gateway}/api/reports
# denied: bob is not (403)
curl -si {bob} http://{gateway}/api/reports
# unauthenticated (401)
curl -si http://{gateway}/api/reports
# grant it to bob, effective at once
{grant}
curl -si {bob} http://{gateway}/api/reports
# take it back
{revoke}
curl -si {bob} http://{gateway}/api/reports
# rate limited: 100 requests a minute for each principal, then 429
for i in $(seq 1 105); do curl -s -o /dev/null -w '%{{http_code}} ' {carol} http://{gateway}/api/reports; done; echo
"
    )
}
