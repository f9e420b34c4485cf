//! Child processes on free ports, with their output, gone when their owner is.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::eventually;

/// Below the ephemeral range, so that no outgoing connection can take one before its server does.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port of the loopback address that nobody listens on, never the same twice in one run.
pub fn free_port() -> u16 {
    static TAKEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    let mut taken = TAKEN.lock().unwrap();
    loop {
        let port = fastrand::u16(PORTS);
        if taken.insert(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Finds a server that `scripts/install-tools test` installs.
pub fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(tools().join("bin")).chain(std::env::split_paths(&path));
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: run scripts/install-tools test"))
}

/// The folder that `scripts/install-tools` fills.
pub fn tools() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    from("AUTH_GATEWAY_TOOLS").unwrap_or_else(|| {
        let cache = from("XDG_CACHE_HOME")
            .or_else(|| from("HOME").map(|home| home.join(".cache")))
            .expect("HOME is set");
        cache.join("auth-gateway-tools")
    })
}

/// What a process has in memory.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    resident.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A shell that waits for this process to end, however it ends, and then kills what is left.
/// Worlds that are kept for the next story are never dropped, and a killed test run drops nothing.
#[derive(Debug)]
pub struct Reaper(ChildStdin);

static REAPER: LazyLock<Mutex<Reaper>> = LazyLock::new(|| Mutex::new(Reaper::start()));

impl Reaper {
    pub fn start() -> Self {
        let script = r#"
            pids=" "
            while read -r word pid; do
                case $word in
                watch) pids="$pids$pid " ;;
                forget) pids="${pids%% $pid *} ${pids#* $pid }" ;;
                esac
            done
            for pid in $pids; do kill -9 "$pid"; done 2>/dev/null"#;
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdin(Stdio::piped());
        shell.stdout(Stdio::null()).stderr(Stdio::null());
        Self(shell.spawn().unwrap().stdin.take().unwrap())
    }

    pub fn watch(&mut self, pid: u32) {
        writeln!(self.0, "watch {pid}").unwrap();
    }

    pub fn forget(&mut self, pid: u32) {
        writeln!(self.0, "forget {pid}").unwrap();
    }
}

/// A running server.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Mutex<Child>,
    pid: u32,
    output: Output,
}

/// What a process wrote so far, line by line.
#[derive(Clone, Debug, Default)]
pub struct Output {
    stdout: Arc<Mutex<Vec<String>>>,
    stderr: Arc<Mutex<Vec<String>>>,
}

impl Output {
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.lock().unwrap().clone()
    }

    pub fn stderr(&self) -> Vec<String> {
        self.stderr.lock().unwrap().clone()
    }

    fn tail(&self) -> String {
        let lines = [self.stdout(), self.stderr()].concat();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Process {
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        let process = Self::spawn_unread(name, command);
        let (stdout, stderr) = {
            let mut child = process.child.lock().unwrap();
            (child.stdout.take().unwrap(), child.stderr.take().unwrap())
        };
        follow(stdout, &process.output.stdout);
        follow(stderr, &process.output.stderr);
        process
    }

    /// What it writes stays in the pipes, until they are full.
    pub fn spawn_unread(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
        let pid = child.id();
        REAPER.lock().unwrap().watch(pid);
        Self { name: name.to_owned(), child: Mutex::new(child), pid, output: Output::default() }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    pub fn output(&self) -> &Output {
        &self.output
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid.try_into().unwrap()), signal).unwrap();
    }

    pub fn exited(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().try_wait().unwrap()
    }

    /// Waits until the process has ended by itself.
    pub async fn exit(&self, deadline: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        eventually(&what, deadline, async || self.exited()).await
    }

    /// Waits until `ready`, or panics with the end of the output when the process ends first.
    pub async fn ready(&self, mut ready: impl AsyncFnMut() -> bool) {
        let what = format!("{} is ready", self.name);
        eventually(&what, Duration::from_secs(30), async || {
            if let Some(status) = self.exited() {
                panic!("{} ended with {status}:\n{}", self.name, self.output.tail());
            }
            ready().await.then_some(())
        })
        .await;
    }

    /// Kills and waits: its ports are free afterwards.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        // Fails when the process is gone already, which is what was asked for.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        REAPER.lock().unwrap().forget(self.pid);
        if std::thread::panicking() {
            eprintln!("--- the end of the output of {}:\n{}", self.name, self.output.tail());
        }
    }
}

fn follow(stream: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { return };
            lines.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
        }
    });
}

/// Whether something accepts connections there.
pub async fn accepts(port: u16) -> bool {
    tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok()
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
