//! HTTP/1.1 messages as they stand on the wire: names, order and duplicates untouched.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// The lines before the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub start: String,
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub fn named(&self, name: &str) -> Vec<&str> {
        let same = |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.named(name).first().copied()
    }

    /// Of a response.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
    }

    fn chunked(&self) -> bool {
        self.named("transfer-encoding").iter().any(|v| v.eq_ignore_ascii_case("chunked"))
    }
}

/// `None` at the end of the connection.
pub async fn read_head(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Head>> {
    let mut head = Head::default();
    loop {
        let Some(line) = read_line(reader).await? else { return Ok(None) };
        match line.split_once(':') {
            _ if head.start.is_empty() => head.start = line,
            _ if line.is_empty() => return Ok(Some(head)),
            Some((name, value)) => head.headers.push((name.into(), value.trim().into())),
            None => return Err(io::Error::other(format!("not a header: {line}"))),
        }
    }
}

async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
}

/// Reads the body of a request, handing over each part as it comes.
pub async fn read_request_body(
    reader: &mut (impl AsyncBufRead + Unpin),
    head: &Head,
    mut part: impl FnMut(&[u8]),
) -> io::Result<()> {
    if head.chunked() {
        return read_chunks(reader, part).await;
    }
    let mut left = head.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0_usize);
    while left > 0 {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let taken = available.len().min(left);
        part(&available[..taken]);
        reader.consume(taken);
        left -= taken;
    }
    Ok(())
}

async fn read_chunks(
    reader: &mut (impl AsyncBufRead + Unpin),
    mut part: impl FnMut(&[u8]),
) -> io::Result<()> {
    loop {
        let line = read_line(reader).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; size];
        reader.read_exact(&mut chunk).await?;
        // After a chunk its line end; after the last one trailers and an empty line.
        while read_line(reader).await?.is_some_and(|line| size == 0 && !line.is_empty()) {}
        if size == 0 {
            return Ok(());
        }
        part(&chunk);
    }
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Response {
    pub fn status(&self) -> u16 {
        self.head.status()
    }
}

/// Reads the final response to a request of this method; interim ones (1xx except 101) are left out.
pub async fn read_response(
    reader: &mut (impl AsyncBufRead + Unpin),
    method: &str,
) -> io::Result<Option<Response>> {
    loop {
        let Some(head) = read_head(reader).await? else { return Ok(None) };
        let status = head.status();
        if (100..200).contains(&status) && status != 101 {
            continue;
        }
        let mut body = Vec::new();
        if method == "HEAD" || matches!(status, 101 | 204 | 304) {
        } else if head.chunked() || head.header("content-length").is_some() {
            read_request_body(reader, &head, |part| body.extend_from_slice(part)).await?;
        } else {
            reader.read_to_end(&mut body).await?;
        }
        return Ok(Some(Response { head, body }));
    }
}
