//! `server`: the traffic port and what a request may look like.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::problems::Problems;
use crate::config::values::{each, known_hosts, listen_address};
use crate::edge::Patience;
use crate::proxy::framing::MessageLimits;
use crate::proxy::headers::names::NamePattern;
use crate::rules::{KnownHosts, PathPolicy};
use crate::span::Span;

/// A WebSocket may be silent this long; applications that need more send pings.
const WEBSOCKET_SILENCE: Duration = Duration::from_hours(1);

/// The traffic listener and what a request may look like.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerSection {
    listen: String,
    #[schemars(range(max = 1024))]
    threads: usize,
    name: String,
    trusted_proxies: Vec<String>,
    private_hosts: Vec<String>,
    strip_headers: Vec<String>,
    keepalive_timeout: Span,
    header_timeout: Span,
    read_timeout: Span,
    write_timeout: Span,
    shutdown_delay: Span,
    drain_timeout: Span,
    #[schemars(range(min = 1024, max = 1_000_000))]
    max_header_bytes: usize,
    #[schemars(range(min = 8, max = 250))]
    max_headers: usize,
    #[schemars(range(min = 256, max = 65536))]
    max_uri_bytes: usize,
    max_body_bytes: u64,
    allow_empty_segments: bool,
    allow_semicolons: bool,
}

/// The traffic port.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Worker threads.
    pub threads: usize,
    /// Our name in Via.
    pub name: String,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Under which private peers may call us.
    pub private_hosts: KnownHosts,
    /// Headers that no upstream gets from anybody.
    pub strip_headers: Vec<NamePattern>,
    /// How long clients may be silent.
    pub patience: Patience,
    /// How long requests are still taken after SIGTERM.
    pub shutdown_delay: Duration,
    /// How long requests in flight get after that.
    pub drain_timeout: Duration,
    /// How large requests may be.
    pub limits: MessageLimits,
    /// What paths may look like.
    pub paths: PathPolicy,
}

impl ServerSection {
    pub(super) fn read(self, problems: &mut Problems) -> Option<Server> {
        let listen = listen_address("server.listen", &self.listen, problems);
        let patience = self.patience(problems);
        let is_token = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if self.name.is_empty() || !self.name.bytes().all(is_token) {
            let message = format!("{:?} is not a name of letters, digits, -._", self.name);
            problems.add("server.name", message);
        }
        let trusted_proxies =
            each("server.trusted_proxies", &self.trusted_proxies, problems, network);
        let private_hosts = known_hosts("server.private_hosts", &self.private_hosts, problems);
        let strip_headers =
            each("server.strip_headers", &self.strip_headers, problems, NamePattern::parse);
        Some(Server {
            listen: listen?,
            threads: match self.threads {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                threads => threads,
            },
            name: self.name,
            trusted_proxies,
            private_hosts,
            strip_headers,
            patience,
            shutdown_delay: self.shutdown_delay.0,
            drain_timeout: self.drain_timeout.0,
            limits: MessageLimits {
                max_header_bytes: self.max_header_bytes,
                max_headers: self.max_headers,
                max_uri_bytes: self.max_uri_bytes,
                max_body_bytes: self.max_body_bytes,
            },
            paths: PathPolicy {
                allow_empty_segments: self.allow_empty_segments,
                allow_semicolons: self.allow_semicolons,
            },
        })
    }

    fn patience(&self, problems: &mut Problems) -> Patience {
        let waits = [
            ("keepalive_timeout", self.keepalive_timeout),
            ("header_timeout", self.header_timeout),
            ("read_timeout", self.read_timeout),
            ("write_timeout", self.write_timeout),
        ];
        problems.refuse_zero("server", &waits);
        Patience {
            // A new connection is idle until its first byte.
            keepalive: self.keepalive_timeout.0.max(Duration::from_secs(1)),
            head: self.header_timeout.0,
            read: self.read_timeout.0,
            write: self.write_timeout.0,
            websocket: WEBSOCKET_SILENCE,
            // Above what is refused in full, so that few are cut off.
            head_bytes: 2 * (self.max_header_bytes + self.max_uri_bytes),
        }
    }
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    let address = || text.parse().ok().map(IpAddr::into);
    text.parse().ok().or_else(address).ok_or("is not an address or a network like 10.0.0.0/8")
}

#[cfg(test)]
mod tests {
    use crate::config::testing::problems;

    #[test]
    fn what_is_stripped_and_who_is_private_are_names() {
        let told = problems("server: {strip_headers: 'Remote-User, Authorization, a b, x-*'}");
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(
            lines,
            [
                "server.strip_headers: \"Authorization\" covers authorization, which is not for an \
                 operator to strip",
                "server.strip_headers: \"a b\" is neither a header name nor, with a * at its end, the \
                 beginning of some",
                "server.strip_headers: \"x-*\" covers x-request-id, which is not for an operator to \
                 strip",
            ]
        );
        let told =
            problems("server: {private_hosts: 'gateway.prod.svc, gateway:3000, *.svc, a/b'}");
        assert_eq!(told.lines().count(), 2, "{told}");
        assert!(told.contains("\"gateway:3000\" has an invalid port"), "{told}");
    }

    #[test]
    fn a_proxy_that_is_no_network_is_told_beside_other_mistakes() {
        let told = problems(
            "server: {trusted_proxies: '10.0.0.0/8, 192.0.2.1, proxy', listen: here, name: 'a b', \
             threads: many}",
        );
        let keys: Vec<_> = told.lines().filter_map(|line| line.split(": ").next()).collect();
        let expected = ["server.threads", "server.listen", "server.name", "server.trusted_proxies"];
        assert_eq!(keys, expected, "{told}");
    }
}
