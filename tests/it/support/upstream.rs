//! An application that writes down every request, byte for byte, and answers as it is told.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::http1::{Head, read_head, read_request_body};
use super::process::free_port;
use super::websocket::{CLOSE, Frame, accept, read_frame, unmasked};
use super::{SOON, eventually};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub head: Head,
    pub body: Vec<u8>,
    /// The whole body has arrived.
    pub complete: bool,
}

impl Received {
    pub fn method(&self) -> &str {
        self.head.start.split(' ').next().unwrap()
    }

    /// Path and query, undecoded.
    pub fn target(&self) -> &str {
        self.head.start.split(' ').nth(1).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        self.head.named(name)
    }

    /// All values under names that a careless application would take for `name`.
    pub fn aliases(&self, name: &str) -> Vec<(String, String)> {
        let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '.'], "-");
        let same = |(n, _): &&(String, String)| plain(n) == plain(name);
        self.head.headers.iter().filter(same).cloned().collect()
    }
}

/// How requests are answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Status, headers, body with its length.
    Whole(u16, Vec<(String, String)>, Vec<u8>),
    /// 200 with chunks as they are fed.
    Chunks(Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Vec<u8>>>>),
    /// 200 and a length, then half of the body, then the connection is cut.
    AbortMidBody,
    /// The connection is cut before any answer.
    AbortAtOnce,
    /// 101, then everything comes back as it is.
    UpgradeAndEcho,
    /// A WebSocket of this subprotocol: texts come back, a close is answered.
    WebSocket(Option<&'static str>),
    /// The request body comes back.
    Echo,
    /// 200, before the body has come.
    AtOnce,
    /// These bytes, and the end of the connection.
    Bytes(String),
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self::Whole(status, Vec::new(), b"upstream".to_vec())
    }

    pub fn with_header(self, name: &str, value: &str) -> Self {
        match self {
            Self::Whole(status, mut headers, body) => {
                headers.push((name.into(), value.into()));
                Self::Whole(status, headers, body)
            }
            other => other,
        }
    }
}

#[derive(Debug)]
struct Shared {
    requests: Mutex<Vec<Received>>,
    answer: Mutex<Answer>,
    /// Answers wait while this is true.
    held: watch::Sender<bool>,
    connections: Mutex<u64>,
    frames: Mutex<Vec<Frame>>,
}

/// A running application.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddrV4,
    shared: Arc<Shared>,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl Upstream {
    pub async fn start() -> Self {
        Self::start_at(SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port())).await
    }

    pub async fn start_at(address: SocketAddrV4) -> Self {
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            answer: Mutex::new(Answer::status(200)),
            held: watch::Sender::new(false),
            connections: Mutex::new(0),
            frames: Mutex::default(),
        });
        let upstream = Self { address, shared, server: Mutex::new(None) };
        upstream.up().await;
        upstream
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.authority())
    }

    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub async fn up(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let server = tokio::spawn(serve(listener, Arc::clone(&self.shared)));
        *self.server.lock().unwrap() = Some(server);
    }

    /// Refuses connections; open ones are cut.
    pub async fn down(&self) {
        let server = self.server.lock().unwrap().take();
        if let Some(server) = server {
            server.abort();
            let _ = server.await;
        }
    }

    pub fn answer(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    /// Answers with what is sent to the handle, until it is dropped.
    pub fn answer_in_chunks(&self) -> mpsc::UnboundedSender<Vec<u8>> {
        let (feed, chunks) = mpsc::unbounded_channel();
        self.answer(Answer::Chunks(Arc::new(tokio::sync::Mutex::new(chunks))));
        feed
    }

    /// Requests arrive, answers wait until [`Upstream::release`].
    pub fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    pub fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// Requests since the last call.
    pub fn take_requests(&self) -> Vec<Received> {
        std::mem::take(&mut self.shared.requests.lock().unwrap())
    }

    /// The one request since the last call.
    #[track_caller]
    pub fn only_request(&self) -> Received {
        let mut requests = self.take_requests();
        assert_eq!(requests.len(), 1, "requests at the upstream: {requests:#?}");
        requests.remove(0)
    }

    #[track_caller]
    pub fn saw_nothing(&self) {
        let requests = self.take_requests();
        assert!(requests.is_empty(), "this reached the upstream: {requests:#?}");
    }

    /// Waits for a request that is as described, whole or not; it stays in the list.
    pub async fn await_request(&self, wanted: impl Fn(&Received) -> bool) -> Received {
        eventually("the request reaches the upstream", SOON, async || {
            self.shared.requests.lock().unwrap().iter().find(|r| wanted(r)).cloned()
        })
        .await
    }

    /// Waits for a frame of a WebSocket that is as described, and takes it.
    pub async fn await_frame(&self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        eventually("the frame reaches the upstream", SOON, async || {
            let mut frames = self.shared.frames.lock().unwrap();
            let at = frames.iter().position(&wanted)?;
            Some(frames.remove(at))
        })
        .await
    }

    /// Connections accepted since the start.
    pub fn connections(&self) -> u64 {
        *self.shared.connections.lock().unwrap()
    }

    /// As after the start, except for the count of connections.
    pub fn reset(&self) {
        self.answer(Answer::status(200));
        self.release();
        self.take_requests();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(server) = self.server.lock().unwrap().take() {
            server.abort();
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                *shared.connections.lock().unwrap() += 1;
                let shared = Arc::clone(&shared);
                // A connection that breaks is the story's own doing.
                connections.spawn(async move { drop(converse(stream, &shared).await) });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    while let Some(head) = read_head(&mut reader).await? {
        let index = {
            let mut requests = shared.requests.lock().unwrap();
            requests.push(Received { head: head.clone(), body: Vec::new(), complete: false });
            requests.len() - 1
        };
        if head.header("expect").is_some_and(|v| v.eq_ignore_ascii_case("100-continue")) {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let is_early = matches!(*shared.answer.lock().unwrap(), Answer::AtOnce);
        if is_early {
            whole(&mut writer, 200, &[], b"upstream", false).await?;
        }
        let mut body = Vec::new();
        read_request_body(&mut reader, &head, |part| {
            body.extend_from_slice(part);
            // Gone when the story took the list in the meantime.
            if let Some(request) = shared.requests.lock().unwrap().get_mut(index) {
                request.body.extend_from_slice(part);
            }
        })
        .await?;
        if let Some(request) = shared.requests.lock().unwrap().get_mut(index) {
            request.complete = true;
        }
        let _ = shared.held.subscribe().wait_for(|held| !held).await;
        let answer = shared.answer.lock().unwrap().clone();
        if let Answer::WebSocket(protocol) = answer {
            return serve_frames(protocol, &head, &shared.frames, &mut reader, &mut writer).await;
        }
        if !respond(answer, &head, body, &mut reader, &mut writer).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether the connection can go on.
async fn respond(
    answer: Answer,
    head: &Head,
    body: Vec<u8>,
    reader: &mut BufReader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
) -> io::Result<bool> {
    match answer {
        Answer::Whole(status, headers, body) => {
            whole(writer, status, &headers, &body, head.start.starts_with("HEAD ")).await?;
        }
        Answer::Echo => whole(writer, 200, &[], &body, false).await?,
        Answer::Chunks(chunks) => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            while let Some(chunk) = chunks.lock().await.recv().await {
                writer.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
                writer.write_all(&chunk).await?;
                writer.write_all(b"\r\n").await?;
            }
            writer.write_all(b"0\r\n\r\n").await?;
        }
        Answer::AbortMidBody => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await?;
            return Ok(false);
        }
        Answer::AbortAtOnce => return Ok(false),
        Answer::Bytes(bytes) => {
            writer.write_all(bytes.as_bytes()).await?;
            return Ok(false);
        }
        Answer::AtOnce | Answer::WebSocket(_) => {}
        Answer::UpgradeAndEcho => {
            let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
            writer.write_all(switch.as_bytes()).await?;
            let mut buffer = [0; 1024];
            loop {
                let read = reader.read(&mut buffer).await?;
                if read == 0 {
                    return Ok(false);
                }
                writer.write_all(&buffer[..read]).await?;
            }
        }
    }
    Ok(true)
}

async fn serve_frames(
    protocol: Option<&str>,
    head: &Head,
    frames: &Mutex<Vec<Frame>>,
    reader: &mut BufReader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
) -> io::Result<()> {
    let accept = accept(head.header("sec-websocket-key").unwrap_or_default());
    let protocol = protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    let switch = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{}\r\n",
        protocol.unwrap_or_default()
    );
    writer.write_all(switch.as_bytes()).await?;
    loop {
        let frame = read_frame(reader).await?;
        frames.lock().unwrap().push(frame.clone());
        writer.write_all(&unmasked(frame.opcode, &frame.payload)).await?;
        if frame.opcode == CLOSE {
            return Ok(());
        }
    }
}

async fn whole(
    writer: &mut OwnedWriteHalf,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
    head_only: bool,
) -> io::Result<()> {
    use std::fmt::Write;
    let mut response = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        write!(response, "{name}: {value}\r\n").unwrap();
    }
    response.push_str("\r\n");
    let mut bytes = response.into_bytes();
    if !head_only {
        bytes.extend_from_slice(body);
    }
    writer.write_all(&bytes).await
}
