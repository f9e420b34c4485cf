//! Where the parts of the sandbox listen: the same four ports every time, or the next four.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::app::{self, StartError};

/// Of the first four.
const FIRST_PORT: u16 = 3000;
/// In this order: gateway, admin, issuer, application.
const PARTS: u16 = 4;

/// What somebody has chosen; the rest is ours to choose.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) gateway: Option<SocketAddr>,
    pub(super) admin: Option<SocketAddr>,
    /// Of the first of the four; 0 stands for any that are free.
    pub(super) port: Option<u16>,
}

/// Addresses that are ours.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) gateway: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) issuer: TcpListener,
    pub(super) app: TcpListener,
    /// Keep others from the gateway's two until it listens there itself.
    pub(super) held: Vec<TcpListener>,
    /// What was not free on the way to these.
    pub(super) taken: Vec<u16>,
}

/// Why the sandbox has no ports.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPorts {
    #[error(transparent)]
    Listen(#[from] StartError),
    #[error(
        "--port {first}: {taken} is taken, and the sandbox has four ports from {first} on; end what \
         listens there, choose another --port, or leave it out"
    )]
    Taken { first: u16, taken: u16 },
    #[error("--port {0}: three more ports must follow")]
    TooHigh(u16),
    #[error("no four ports from {FIRST_PORT} on are free; choose some with --port")]
    NoneFree,
    #[error("cannot listen on loopback: {0}")]
    Io(#[from] io::Error),
}

/// Takes what was asked for and, beside each other, what was not.
pub(super) fn claim(asked: Asked) -> Result<Claim, NoPorts> {
    let mut held = Vec::new();
    let mut take = |key, addr: Option<SocketAddr>| -> Result<Option<SocketAddr>, NoPorts> {
        let Some(addr) = addr else { return Ok(None) };
        let listener = app::listen(key, addr)?;
        // Another port where it was asked for any.
        let addr = listener.local_addr()?;
        held.push(listener);
        Ok(Some(addr))
    };
    let gateway = take(app::SERVER_LISTEN, asked.gateway)?;
    let admin = take(app::ADMIN_LISTEN, asked.admin)?;
    let fill = |first| fill(gateway, admin, first);
    let mut claim = match asked.port {
        Some(first) if first > u16::MAX - (PARTS - 1) => return Err(NoPorts::TooHigh(first)),
        Some(first) => fill(first).map_err(|taken| NoPorts::Taken { first, taken })?,
        None => first_free(fill)?,
    };
    claim.held.append(&mut held);
    Ok(claim)
}

fn first_free(fill: impl Fn(u16) -> Result<Claim, u16>) -> Result<Claim, NoPorts> {
    let mut taken = Vec::new();
    for first in (FIRST_PORT..=u16::MAX - PARTS).step_by(PARTS.into()) {
        match fill(first) {
            Ok(claim) => return Ok(Claim { taken, ..claim }),
            Err(port) => taken.push(port),
        }
    }
    Err(NoPorts::NoneFree)
}

/// The ports from `first` on, or the first of them that is taken.
///
/// The issuer's and the application's are never given back, while the gateway opens its own anew; so
/// theirs come first: of two sandboxes that start at once, whoever has those has all four.
fn fill(gateway: Option<SocketAddr>, admin: Option<SocketAddr>, first: u16) -> Result<Claim, u16> {
    let open = |part: u16| {
        let port = if first == 0 { 0 } else { first + part };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|_| port)?;
        let addr = listener.local_addr().map_err(|_| port)?;
        Ok::<_, u16>((listener, addr))
    };
    let mut held = Vec::new();
    let mut place = |chosen: Option<SocketAddr>, part| {
        if let Some(addr) = chosen {
            return Ok(addr);
        }
        let (listener, addr) = open(part)?;
        held.push(listener);
        Ok::<_, u16>(addr)
    };
    let all = (|| {
        let ((issuer, _), (app, _)) = (open(2)?, open(3)?);
        Ok((place(gateway, 0)?, place(admin, 1)?, issuer, app))
    })();
    let (gateway, admin, issuer, app) = all.map_err(|failed: u16| {
        // What was free is ours by now, and must not be taken for what was not.
        held.clear();
        let is_needed = [gateway.is_none(), admin.is_none(), true, true];
        let taken =
            (0..PARTS).zip(is_needed).find(|(part, needed)| *needed && open(*part).is_err());
        taken.map_or(failed, |(part, _)| first + part)
    })?;
    Ok(Claim { gateway, admin, issuer, app, held, taken: Vec::new() })
}

impl Claim {
    /// Which ports are others than usual, and why; nothing where all are as always.
    pub(super) fn moves(&self) -> io::Result<Option<String>> {
        let Some((last, before)) = self.taken.split_last() else { return Ok(None) };
        let before: Vec<_> = before.iter().map(u16::to_string).collect();
        let taken = if before.is_empty() {
            format!("{last} is taken")
        } else {
            format!("{} and {last} are taken", before.join(", "))
        };
        let (issuer, app) = (self.issuer.local_addr()?.port(), self.app.local_addr()?.port());
        Ok(Some(format!(
            "{taken}; the gateway is on {}, admin on {}, the issuer on {issuer}, the application on {app}",
            self.gateway.port(),
            self.admin.port(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(port: u16) -> Asked {
        Asked { port: Some(port), ..Asked::default() }
    }

    fn port(listener: &TcpListener) -> u16 {
        listener.local_addr().unwrap().port()
    }

    #[test]
    fn of_two_sandboxes_each_has_four_ports_of_its_own() {
        let (one, other) = (claim(Asked::default()).unwrap(), claim(Asked::default()).unwrap());
        for claim in [&one, &other] {
            let first = claim.gateway.port();
            let ports = [claim.admin.port(), port(&claim.issuer), port(&claim.app)];
            assert_eq!(ports, [first + 1, first + 2, first + 3]);
            assert_eq!((first - FIRST_PORT) % PARTS, 0);
        }
        let told = other.moves().unwrap().unwrap();
        let expected = format!("taken; the gateway is on {}, admin on", other.gateway.port());
        assert!(told.contains(&expected), "{told}");
        assert!(told.contains(&one.gateway.port().to_string()), "{told}");
    }

    #[test]
    fn what_was_asked_for_is_had_or_refused() {
        let mine = claim(asked(0)).unwrap();
        assert_eq!(mine.moves().unwrap(), None);
        let again = Asked { gateway: Some(mine.gateway), ..asked(0) };
        let refused = claim(again).unwrap_err().to_string();
        let expected = format!(
            "server.listen (--listen): cannot listen on {}: the port is taken",
            mine.gateway
        );
        assert!(refused.starts_with(&expected), "{refused}");
        let refused = claim(Asked { admin: Some(mine.admin), ..asked(0) }).unwrap_err().to_string();
        assert!(refused.starts_with("admin.listen (--admin-listen): "), "{refused}");
        let issuer = port(&mine.issuer);
        let refused = claim(asked(issuer - 2)).unwrap_err().to_string();
        assert!(refused.contains(&format!("{issuer} is taken")), "{refused}");
        // The admin's among four that are free, unless somebody else has one of them.
        let names_the_admins = || {
            let alone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let refused = claim(asked(port(&alone) - 1)).unwrap_err().to_string();
            refused.contains(&format!("{} is taken", port(&alone)))
        };
        assert!((0..50).any(|_| names_the_admins()));
        assert!(claim(asked(u16::MAX - 2)).unwrap_err().to_string().contains("three more"));
        let last = claim(asked(u16::MAX - 3)).err().map(|error| error.to_string());
        assert!(last.is_none_or(|error| error.contains("is taken")), "they are four");
        drop(mine.held);
        let taken = mine.gateway;
        let again = Asked { gateway: Some(taken), ..asked(0) };
        assert_eq!(claim(again).unwrap().gateway, taken);
    }
}
