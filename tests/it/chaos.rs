//! A small HTTP proxy that misbehaves as a script tells it: one request per connection, in front of a real server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to one request.
pub enum Act {
    /// Through and back.
    Pass,
    /// The server is not asked; this answer comes back (`401 Unauthorized`, more head lines, a body).
    Answer(String),
    /// The server is asked; only so many bytes of its answer come back.
    TearAnswer(usize),
    /// Only so many bytes of the request reach the server, then both ends are cut.
    CutRequest(usize),
    /// Taken and never answered.
    Silent,
    /// The body reaches the server with one text replaced by another.
    Rewrite { from: &'static str, to: &'static str },
}

type Script = Box<dyn FnMut(usize, &str) -> Act + Send>;

/// The running proxy; stops when dropped.
pub struct Chaos {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Chaos {
    /// Starts in front of `upstream`; `script` gets the request's number, from 0, and its body.
    pub fn start(upstream: SocketAddr, script: impl FnMut(usize, &str) -> Act + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let chaos = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            stopped: Arc::default(),
        };
        let (requests, stopped) = (chaos.requests.clone(), chaos.stopped.clone());
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (script, requests) = (script.clone(), requests.clone());
                // A broken connection is what this is for.
                std::thread::spawn(move || {
                    client.map(|client| drop(serve(client, upstream, &script, &requests)))
                });
            }
        });
        chaos
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests taken so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(
    mut client: TcpStream,
    upstream: SocketAddr,
    script: &Mutex<Script>,
    requests: &AtomicUsize,
) -> std::io::Result<()> {
    let (head, body) = read_request(&mut client)?;
    let number = requests.fetch_add(1, Ordering::SeqCst);
    let act = (script.lock().unwrap())(number, &String::from_utf8_lossy(&body));
    match act {
        Act::Pass => client.write_all(&exchange(upstream, &request(&head, &body))?),
        Act::Rewrite { from, to } => {
            let body = String::from_utf8_lossy(&body).replace(from, to);
            client.write_all(&exchange(upstream, &request(&head, body.as_bytes()))?)
        }
        Act::Answer(answer) => {
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
            // A script that writes its own length tears its answer.
            let length = if head.contains("Content-Length:") {
                String::new()
            } else {
                format!("Content-Length: {}\r\n", body.len())
            };
            write!(client, "HTTP/1.1 {head}\r\n{length}Connection: close\r\n\r\n{body}")
        }
        Act::TearAnswer(bytes) => {
            let answer = exchange(upstream, &request(&head, &body))?;
            client.write_all(&answer[..bytes.min(answer.len())])
        }
        Act::CutRequest(bytes) => {
            let request = request(&head, &body);
            TcpStream::connect(upstream)?.write_all(&request[..bytes.min(request.len())])
        }
        // Ends when the client has given up.
        Act::Silent => std::io::copy(&mut client, &mut std::io::sink()).map(drop),
    }
}

/// Head without the lines that this proxy writes itself, and body.
fn read_request(client: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 65_536];
    loop {
        let read = client.read(&mut buffer)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..read]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
            .unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            let kept = head.lines().filter(|line| {
                let line = line.to_ascii_lowercase();
                !line.starts_with("content-length:") && !line.starts_with("connection:")
            });
            return Ok((kept.collect::<Vec<_>>().join("\r\n"), bytes.split_off(end + 4)));
        }
    }
}

fn request(head: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut bytes = format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Sends a whole request that asks to be closed after, and reads the whole answer.
pub fn exchange(server: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(server)?;
    server.set_read_timeout(Some(Duration::from_secs(60)))?;
    server.write_all(request)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    Ok(answer)
}
