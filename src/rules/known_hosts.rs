//! Hosts under which no stranger's page can be.

use std::net::Ipv4Addr;

use http::HeaderMap;
use http::header::HOST;

use super::host::Authority;
use super::host_pattern::HostPattern;

/// Addresses, `localhost`, and names that only our own network gives out.
///
/// For its browser, a page whose name has come to resolve to one of our addresses is of our own origin
/// (DNS rebinding); the name in Host is what tells it from ours.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts(Vec<HostPattern>);

impl KnownHosts {
    /// Addresses, `localhost`, and `names`.
    pub const fn new(names: Vec<HostPattern>) -> Self {
        Self(names)
    }

    /// Names below `localhost` besides, which browsers do not look up.
    #[must_use]
    pub fn with_names_below_localhost(mut self) -> Self {
        self.0.push(HostPattern::Below("localhost".into()));
        self
    }

    /// Whether `host`, as [`Target::host`](super::Target::host) spells it, is one of these. None is not:
    /// only HTTP/1.0 can do without Host, and whoever is to be answered can send one.
    pub fn has(&self, host: Option<&str>) -> bool {
        host.is_some_and(|host| {
            host.starts_with('[')
                || host.parse::<Ipv4Addr>().is_ok()
                || host == "localhost"
                || self.0.iter().any(|known| known.matches(host))
        })
    }

    /// Whether the only Host of a request is one of these.
    pub fn are_asked_by(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        Authority::parse(host.as_bytes()).is_ok_and(|authority| self.has(Some(&authority.host)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(names: &[&str]) -> KnownHosts {
        KnownHosts::new(names.iter().map(|name| HostPattern::parse(name).unwrap()).collect())
    }

    fn has(names: &[&str], host: &str) -> bool {
        let headers = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
        known(names).are_asked_by(&headers)
    }

    #[test]
    fn addresses_and_localhost_are_nobodys_names() {
        for host in ["10.0.0.2", "192.0.2.1:3000", "[::1]", "[2001:DB8::1]:3000", "LOCALHOST.:80"] {
            assert!(has(&[], host), "{host}");
        }
        for host in [
            "evil.example",
            "10.0.0.2.evil.example",
            "x.localhost",
            "localhost.evil.example",
            "localhost@evil.example",
            "auth-gateway",
            "1.2.3",
            "",
        ] {
            assert!(!has(&[], host), "{host}");
        }
    }

    #[test]
    fn names_are_known_when_they_are_listed() {
        let names = ["Gateway.prod.svc", "*.svc.cluster.local"];
        for host in ["gateway.prod.svc", "GATEWAY.prod.svc.:3000", "a.b.svc.cluster.local"] {
            assert!(has(&names, host), "{host}");
        }
        for host in [
            "gateway.prod.svc.evil.example",
            "evil-gateway.prod.svc",
            "svc.cluster.local",
            "evilsvc.cluster.local",
        ] {
            assert!(!has(&names, host), "{host}");
        }
        assert!(known(&[]).with_names_below_localhost().has(Some("a.localhost")));
    }

    #[test]
    fn a_request_names_one_host() {
        assert!(!known(&[]).are_asked_by(&HeaderMap::new()));
        assert!(!known(&[]).has(None));
        let mut twice = HeaderMap::new();
        twice.append(HOST, "localhost".parse().unwrap());
        twice.append(HOST, "localhost".parse().unwrap());
        assert!(!known(&[]).are_asked_by(&twice));
    }
}
