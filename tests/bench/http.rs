//! HTTP/1.1 with kept connections, as little of it as the benches need: bodies with a length.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Fault;

/// Status, length of the head, length of the body; `None` while the head is not whole.
pub fn parse_head(bytes: &[u8]) -> Result<Option<(u16, usize, usize)>, Fault> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end])?;
    let status = head.get(9..12).ok_or("no status")?.parse()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .ok_or("an answer without content-length")?;
    Ok(Some((status, end + 4, length.1.trim().parse()?)))
}

/// What the program that asks shows (role `machine`).
pub const TOKEN: &str = "a token of the benches, long enough";

/// A whole request.
pub fn request(method: &str, path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let shown = format!("Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n");
    let mut bytes =
        format!("{method} {path} HTTP/1.1\r\n{shown}{kind}Content-Length: {length}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// One kept connection that blocks.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn new(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Status and body.
    pub fn send(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>), Fault> {
        self.stream.write_all(request)?;
        self.buffer.clear();
        let mut piece = [0; 65_536];
        loop {
            if let Some((status, head, length)) = parse_head(&self.buffer)?
                && self.buffer.len() >= head + length
            {
                return Ok((status, self.buffer.split_off(head)));
            }
            let read = self.stream.read(&mut piece)?;
            if read == 0 {
                return Err("the service closed the connection".into());
            }
            self.buffer.extend_from_slice(&piece[..read]);
        }
    }

    /// The body of an answer with a status in the 200s.
    pub fn get(&mut self, path: &str) -> Result<Vec<u8>, Fault> {
        let (status, body) = self.send(&request("GET", path, "", b""))?;
        if status / 100 != 2 {
            return Err(format!("GET {path}: {status} {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(body)
    }
}
