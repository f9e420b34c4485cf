//! `auth-gateway health`: one request to this machine's own gateway.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

const HEALTHY: &str = "HTTP/1.1 200 ";
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits until the gateway at `listen` is healthy, ten seconds at most.
pub(super) fn wait(listen: SocketAddr) -> bool {
    (0..500).any(|_| {
        let is_healthy = status_line(reachable(listen)).is_ok_and(|line| line.starts_with(HEALTHY));
        if !is_healthy {
            std::thread::sleep(Duration::from_millis(20));
        }
        is_healthy
    })
}

/// Exit status 0 when `/health` answers 200, 1 otherwise.
pub(super) fn ask(listen: SocketAddr) -> ExitCode {
    match status_line(reachable(listen)) {
        Ok(line) if line.starts_with(HEALTHY) => {
            println!("OK");
            ExitCode::SUCCESS
        }
        Ok(line) => {
            eprintln!("auth-gateway: /health answered {line:?}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("auth-gateway: cannot ask {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A wildcard is where one listens, not where one calls.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn status_line(addr: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
