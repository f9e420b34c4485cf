//! The binary under test, and a client that stands in front of it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use auth_gateway::dev::issuer::TokenBuilder;
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::http1::{self, read_response};
use super::issuer::{Mint, finds_a_token_in};
use super::process::{Process, accepts, free_port, root};
use super::reply::Reply;
use super::websocket::{Frame, read_frame};
use super::{SOON, eventually};

pub const BINARY: &str = env!("CARGO_BIN_EXE_auth-gateway");

/// How to start a gateway.
#[derive(Clone, Debug)]
pub struct Plan {
    rules: String,
    rules_file: Option<PathBuf>,
    env: BTreeMap<String, String>,
    settings: Vec<(String, serde_yaml::Value)>,
    port: Option<u16>,
}

impl Plan {
    pub fn new(rules: &Value) -> Self {
        Self {
            rules: rules.to_string(),
            rules_file: None,
            env: BTreeMap::new(),
            settings: Vec::new(),
            port: None,
        }
    }

    pub fn rules(mut self, rules: &Value) -> Self {
        self.rules = rules.to_string();
        self
    }

    /// The content of the rule file, whatever it is.
    pub fn rules_text(mut self, text: &str) -> Self {
        text.clone_into(&mut self.rules);
        self
    }

    /// A file that the story writes itself.
    pub fn rules_file(mut self, file: &Path) -> Self {
        self.rules_file = Some(file.to_owned());
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Unset, unlike empty.
    pub fn without_env(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// One key of `conf/gateway.yaml`, with dots between the levels.
    pub fn set(mut self, key: &str, value: impl Into<serde_yaml::Value>) -> Self {
        self.settings.push((key.to_owned(), value.into()));
        self
    }

    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    fn files(&self) -> Files {
        let folder = TempDir::new().unwrap();
        let rules = self.rules_file.clone().unwrap_or_else(|| {
            let file = folder.path().join("access_rules.json");
            std::fs::write(&file, &self.rules).unwrap();
            file
        });
        let config = if self.settings.is_empty() {
            root().join("conf/gateway.yaml")
        } else {
            // Laid over the shipped file, so it holds what differs.
            let mut config = serde_yaml::Value::Null;
            for (key, value) in &self.settings {
                set(&mut config, key, value.clone());
            }
            let file = folder.path().join("gateway.yaml");
            std::fs::write(&file, serde_yaml::to_string(&config).unwrap()).unwrap();
            file
        };
        Files { folder, rules, config }
    }

    fn command(&self, word: &str, files: &Files) -> Command {
        let mut command = Command::new(BINARY);
        command
            .env_clear()
            .envs(&self.env)
            .current_dir(files.folder.path())
            .arg(word)
            .arg("--config")
            .arg(&files.config)
            .arg("--rules")
            .arg(&files.rules);
        command
    }

    /// Runs `auth-gateway check`: exit status, and both outputs together.
    pub async fn check(&self) -> (ExitStatus, String) {
        let files = self.files();
        let process = Process::spawn("auth-gateway check", &mut self.command("check", &files));
        self.ended(&process).await
    }

    /// Runs another command with this configuration, and `input` on its standard input: exit status and
    /// both outputs.
    pub async fn pipe(&self, words: &[&str], input: &str) -> (Option<i32>, String, String) {
        let files = self.files();
        let mut command = tokio::process::Command::new(BINARY);
        command.env_clear().envs(&self.env).current_dir(files.folder.path()).args(words);
        command.arg("--config").arg(&files.config).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // One that does not read has ended, or will.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = timeout(SOON * 3, child.wait_with_output()).await.expect("it ends").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// Runs `auth-gateway check --json`: exit status, and the document that is all of its output.
    pub async fn check_for_machines(&self) -> (ExitStatus, Value) {
        let files = self.files();
        let process = Process::spawn(
            "auth-gateway check --json",
            self.command("check", &files).arg("--json"),
        );
        let (status, text) = self.ended(&process).await;
        assert_eq!(process.output().stderr(), Vec::<String>::new());
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// Runs `auth-gateway run` that is expected to end by itself.
    pub async fn run_to_the_end(&self) -> (ExitStatus, String) {
        let files = self.files();
        let mut command = self.command("run", &files);
        let listen = format!("127.0.0.1:{}", self.port.unwrap_or_else(free_port));
        let admin = format!("127.0.0.1:{}", free_port());
        command.args(["--listen", &listen, "--admin-listen", &admin]);
        let process = Process::spawn("auth-gateway run", &mut command);
        self.ended(&process).await
    }

    async fn ended(&self, process: &Process) -> (ExitStatus, String) {
        let status = process.exit(SOON).await;
        // The pipes are read by threads: the last lines may still be on their way.
        let mut before = usize::MAX;
        let text = eventually("the output ends", SOON, async || {
            let lines = [process.output().stdout(), process.output().stderr()].concat();
            let settled = lines.len() == before && !lines.is_empty();
            before = lines.len();
            settled.then(|| lines.join("\n"))
        })
        .await;
        (status, text)
    }
}

fn set(config: &mut serde_yaml::Value, key: &str, value: serde_yaml::Value) {
    let mut place = config;
    for part in key.split('.') {
        if !place.is_mapping() {
            *place = serde_yaml::Value::Mapping(serde_yaml::Mapping::new());
        }
        let level = place.as_mapping_mut().unwrap();
        place = level.entry(part.into()).or_insert(serde_yaml::Value::Null);
    }
    *place = value;
}

#[derive(Debug)]
struct Files {
    folder: TempDir,
    rules: PathBuf,
    config: PathBuf,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    port: u16,
    admin_port: u16,
    files: Files,
    process: Process,
    client: Mutex<Client>,
}

#[derive(Clone, Debug)]
struct Client {
    address: Ipv4Addr,
    http: reqwest::Client,
}

impl Client {
    /// From an address of its own: limits per address do not meet those of other stories.
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0x7f01_0001);
        let address = Ipv4Addr::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .local_address(IpAddr::V4(address))
            .timeout(Duration::from_secs(30));
        Self { address, http: http.build().unwrap() }
    }
}

impl Gateway {
    /// Starts and waits until the port is open; it may not be ready yet.
    pub async fn launch(plan: &Plan) -> Self {
        Self::open(plan, Process::spawn).await
    }

    async fn open(plan: &Plan, spawn: impl FnOnce(&str, &mut Command) -> Process) -> Self {
        let files = plan.files();
        let (port, admin_port) = (plan.port.unwrap_or_else(free_port), free_port());
        let mut command = plan.command("run", &files);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        command.args(["--admin-listen", &format!("127.0.0.1:{admin_port}")]);
        let process = spawn("auth-gateway", &mut command);
        process.ready(async || accepts(port).await && accepts(admin_port).await).await;
        Self { port, admin_port, files, process, client: Mutex::new(Client::new()) }
    }

    /// Starts a gateway whose output nobody reads, and waits until `/health` is 200.
    pub async fn start_unread(plan: &Plan) -> Self {
        let gateway = Self::open(plan, Process::spawn_unread).await;
        gateway.ready().await;
        gateway
    }

    /// Starts and waits until `/health` is 200.
    pub async fn start(plan: &Plan) -> Self {
        let gateway = Self::launch(plan).await;
        gateway.ready().await;
        gateway
    }

    pub async fn ready(&self) {
        self.process.ready(async || self.get("/health").send().await.status == 200).await;
    }

    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn admin_port(&self) -> u16 {
        self.admin_port
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Where requests come from.
    pub fn client_address(&self) -> Ipv4Addr {
        self.client.lock().unwrap().address
    }

    /// Requests come from another address from now on, over new connections.
    pub fn change_client(&self) {
        *self.client.lock().unwrap() = Client::new();
    }

    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    pub fn request(&self, method: Method, path: &str) -> Request {
        self.to(self.port, method, path)
    }

    pub fn admin(&self, method: Method, path: &str) -> Request {
        self.to(self.admin_port, method, path)
    }

    fn to(&self, port: u16, method: Method, path: &str) -> Request {
        let client = self.client.lock().unwrap().http.clone();
        Request(client.request(method, format!("http://127.0.0.1:{port}{path}")))
    }

    /// A connection to write bytes on.
    pub async fn connect(&self) -> Wire {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((self.client_address(), 0))).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Wire(BufReader::new(stream))
    }

    /// A request as bytes, with this gateway as its host.
    pub fn bytes(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> String {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.authority());
        for (name, value) in headers {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        text + "\r\n"
    }

    /// Sends these bytes on a new connection and reads one response; `None` when the gateway closes
    /// without one.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> Option<Reply> {
        let bytes = bytes.as_ref();
        let method = bytes.split(|b| *b == b' ').next().unwrap_or_default();
        let mut wire = self.connect().await;
        wire.send(bytes).await;
        wire.reply(&String::from_utf8_lossy(method)).await
    }

    /// The same on the admin listener.
    pub async fn raw_admin(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.admin_port)).await.unwrap();
        let mut wire = Wire(BufReader::new(stream));
        wire.send(bytes).await;
        wire.reply("GET").await.expect("an answer")
    }

    /// Log lines that are not access lines.
    pub fn log_lines(&self) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["log"] != "access").collect()
    }

    pub fn access_lines(&self) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["log"] == "access").collect()
    }

    fn lines(&self) -> Vec<Value> {
        let lines = self.process.output().stdout();
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub async fn await_log(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually("the line is logged", SOON, async || {
            self.log_lines().into_iter().find(|line| wanted(line))
        })
        .await
    }

    /// A line with this message; the words may be followed by more.
    pub async fn await_message(&self, message: &str) -> Value {
        self.await_log(|line| text_of(line).contains(message)).await
    }

    pub async fn await_access(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually("the access line is written", SOON, async || {
            self.access_lines().into_iter().find(|line| wanted(line))
        })
        .await
    }

    /// How many log lines carry this message so far.
    pub fn count_messages(&self, message: &str) -> usize {
        self.log_lines().iter().filter(|line| text_of(line).contains(message)).count()
    }

    pub fn output(&self) -> String {
        [self.process.output().stdout(), self.process.output().stderr()].concat().join("\n")
    }

    /// The sum of all series of this name that carry these labels; `None` when there is none.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let text = self.admin(Method::GET, "/metrics").send().await.text();
        let series = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, found_labels) = series.split_once('{').unwrap_or((series, ""));
            let wanted = labels.iter().all(|(k, v)| found_labels.contains(&format!("{k}=\"{v}\"")));
            (found == name && wanted).then(|| value.parse::<f64>().unwrap())
        });
        series.reduce(|a, b| a + b)
    }

    /// Replaces the rule file in one step, as a careful editor would.
    pub fn write_rules(&self, rules: &Value) {
        self.write_rules_text(&rules.to_string());
    }

    pub fn write_rules_text(&self, text: &str) {
        let next = self.files.rules.with_extension("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, &self.files.rules).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    pub async fn exit(&self, deadline: Duration) -> ExitStatus {
        self.process.exit(deadline).await
    }

    pub fn has_exited(&self) -> bool {
        self.process.exited().is_some()
    }

    /// Panics when a token stands anywhere in what the gateway wrote.
    #[track_caller]
    pub fn wrote_no_token(&self) {
        let output = self.output();
        let leak = output.lines().find(|line| finds_a_token_in(line));
        assert!(leak.is_none(), "a token was written: {leak:?}");
    }
}

fn text_of(line: &Value) -> &str {
    line["message"].as_str().unwrap_or_default()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.wrote_no_token();
        }
    }
}

/// Something that goes behind `Bearer`.
pub trait Credential {
    fn text(self) -> String;
}

impl Credential for &str {
    fn text(self) -> String {
        self.to_owned()
    }
}

impl Credential for &String {
    fn text(self) -> String {
        self.clone()
    }
}

impl Credential for String {
    fn text(self) -> String {
        self
    }
}

impl Credential for TokenBuilder {
    fn text(self) -> String {
        self.jwt()
    }
}

/// A request that is not sent yet.
#[derive(Debug)]
#[must_use]
pub struct Request(reqwest::RequestBuilder);

impl Request {
    pub fn bearer(self, credential: impl Credential) -> Self {
        Self(self.0.bearer_auth(credential.text()))
    }

    /// Adds a header; one more of the same name stands beside it.
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.body(body))
    }

    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    pub async fn send(self) -> Reply {
        self.try_send().await.unwrap()
    }

    /// Fails when the connection does, before the response has been read to its end.
    pub async fn try_send(self) -> reqwest::Result<Reply> {
        let response = self.0.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Reply { status, headers, body: response.bytes().await? })
    }
}

/// A connection on which a story writes what it likes.
#[derive(Debug)]
pub struct Wire(BufReader<TcpStream>);

impl Wire {
    /// Writes all of it, unless the gateway has closed.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A gateway that answers before it has read everything resets the connection.
        let _ = self.0.get_mut().write_all(bytes.as_ref()).await;
    }

    /// The next response; `None` when the connection ends first.
    pub async fn reply(&mut self, method: &str) -> Option<Reply> {
        let read = timeout(SOON, read_response(&mut self.0, method)).await;
        match read.expect("an answer, or the end of the connection") {
            Ok(response) => response.map(Reply::from),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Head of the next response; its body is left on the connection.
    pub async fn head(&mut self) -> http1::Head {
        timeout(SOON, http1::read_head(&mut self.0)).await.unwrap().unwrap().unwrap()
    }

    /// Waits until these bytes have arrived next.
    pub async fn expect(&mut self, bytes: &[u8]) {
        let mut read = vec![0; bytes.len()];
        timeout(SOON, self.0.read_exact(&mut read)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(bytes));
    }

    /// The next frame of a WebSocket.
    pub async fn frame(&mut self) -> Frame {
        timeout(SOON, read_frame(&mut self.0)).await.unwrap().unwrap()
    }

    /// Everything until the gateway closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Whether it closes or resets, it ends.
        let end = timeout(SOON, self.0.read_to_end(&mut bytes)).await;
        assert!(end.is_ok(), "open after {:?}", String::from_utf8_lossy(&bytes));
        bytes
    }
}
