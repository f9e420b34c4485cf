//! `admin`: the operators' port.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::problems::Problems;
use crate::config::values::{header_text, known_hosts, listen_address};
use crate::rules::KnownHosts;
use crate::secret::Secret;

/// The operators' listener.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminSection {
    listen: String,
    hosts: Vec<String>,
    token: String,
}

/// The operators' port.
#[derive(Debug)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What opens the endpoints that change or reveal.
    pub token: Option<Secret>,
    /// Under which it may be called.
    pub hosts: KnownHosts,
}

impl AdminSection {
    pub(super) fn read(
        &self,
        traffic: Option<SocketAddr>,
        problems: &mut Problems,
    ) -> Option<Admin> {
        let hosts = known_hosts("admin.hosts", &self.hosts, problems);
        let token = header_text("admin.token", &self.token, problems).map(Secret::new);
        let listen = listen_address("admin.listen", &self.listen, problems)?;
        if token.is_none() && !listen.ip().is_loopback() {
            let message = "is required when admin.listen is not a loopback address";
            problems.require("admin.token", message);
        }
        if let Some(traffic) = traffic.filter(|_| !problems.is_replaced("server.listen")) {
            check_port(traffic, listen, problems);
        }
        Some(Admin { listen, token, hosts: hosts.with_names_below_localhost() })
    }
}

/// Listeners share ports (`SO_REUSEPORT`), so the system would not refuse the second one: clients
/// would reach the admin API in turns.
fn check_port(traffic: SocketAddr, admin: SocketAddr, problems: &mut Problems) {
    let (at, other) = (traffic.ip().to_canonical(), admin.ip().to_canonical());
    let overlap = at == other || at.is_unspecified() || other.is_unspecified();
    if overlap && traffic.port() == admin.port() && traffic.port() != 0 {
        let message = format!("{admin} takes the port of server.listen, {traffic}");
        problems.add("admin.listen", message);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{environment, problems};
    use crate::config::{Overrides, parse};

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
                    "admin.listen: {admin} takes the port of server.listen, {listen} (from \
                     --admin-listen)"
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
        // What stands in for a mistake clashes with nobody.
        let told = problems("server: {listen: 7}\nadmin: {listen: 0.0.0.0:3000, token: t}");
        assert_eq!(told, "server.listen: 7 is not of type \"string\"");
    }

    #[test]
    fn a_port_that_others_reach_needs_a_token() {
        let told = problems("admin: {listen: 0.0.0.0:3001}");
        assert!(told.starts_with("admin.token: is required"), "{told}");
        assert_eq!(problems("admin: {listen: 0.0.0.0:3001, token: t}"), "");
    }
}
