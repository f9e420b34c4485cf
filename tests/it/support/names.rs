//! Names with the addresses that a story wants, on any machine and without changing it.

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::gateway::Plan;
use super::{SOON, eventually};

/// What the gateway's libc finds instead of what the machine knows.
#[derive(Debug)]
pub struct Names(TempDir);

impl Names {
    pub fn of(name: &str, addresses: &[IpAddr]) -> Self {
        let names = Self(TempDir::new().unwrap());
        names.write(name, addresses, SystemTime::now());
        let found = Command::new("getent").args(["ahosts", name]).envs(names.env()).output();
        let found = String::from_utf8(found.unwrap().stdout).unwrap();
        let is_found = |address: &IpAddr| found.contains(&format!("{address} "));
        assert!(
            addresses.iter().all(is_found),
            "libnss_wrapper is missing: run scripts/install-tools test\n{found}"
        );
        names
    }

    /// The name has these addresses from now on.
    pub fn change(&self, name: &str, addresses: &[IpAddr]) {
        // The wrapper takes a file of the same second for the same.
        self.write(name, addresses, SystemTime::now() + Duration::from_secs(10));
    }

    fn write(&self, name: &str, addresses: &[IpAddr], modified: SystemTime) {
        let mut file = File::create(self.file()).unwrap();
        for address in addresses {
            writeln!(file, "{address} {name}").unwrap();
        }
        file.set_modified(modified).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("hosts")
    }

    fn env(&self) -> [(&'static str, String); 2] {
        let file = self.file().into_os_string().into_string().unwrap();
        [("LD_PRELOAD", "libnss_wrapper.so".into()), ("NSS_WRAPPER_HOSTS", file)]
    }

    /// The gateway finds these names and no others.
    pub fn known_to(&self, plan: Plan) -> Plan {
        self.env().into_iter().fold(plan, |plan, (name, value)| plan.env(name, value))
    }
}

/// An address that neither takes connections nor refuses them: its queue is full.
#[derive(Debug)]
pub struct Swallower {
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Swallower {
    pub async fn listen(address: Ipv4Addr, port: u16) -> Self {
        // Whoever listened there before may be about to leave.
        let listener = eventually("the address is free", SOON, async || {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind((address, port).into()).ok()?;
            socket.listen(0).ok()
        })
        .await;
        let mut queued = Vec::new();
        let knock = || timeout(Duration::from_millis(500), TcpStream::connect((address, port)));
        while let Ok(stream) = knock().await {
            queued.push(stream.unwrap());
        }
        Self { _listener: listener, _queued: queued }
    }
}
