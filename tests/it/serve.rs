//! `jijia serve` as a process of its own, and a client that finds it gone without a panic.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::cli::jijia;
use crate::service::{self, Answer, guard_of, sha256_of};

/// A running `jijia serve`; killed when dropped.
pub struct Serve {
    pub child: Child,
    pub client: Client,
    /// What it says, line by line; ends when it has ended. Always read, so that a full pipe never holds it up.
    pub log: mpsc::Receiver<String>,
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the program that sends shows (role `machine`).
const TOKEN: &str = "a token of the tests, long enough";

/// `jijia serve` on `data` and a free port.
pub fn serve(data: &Path) -> Command {
    let mut command = jijia(&["--data", data.to_str().unwrap(), "serve"]);
    command.env("JIJIA_SERVER_LISTEN", "127.0.0.1:0").env("JIJIA_LOG_GUARD_FILE", guard_of(data));
    command.env("JIJIA_PEOPLE_TOKEN", TOKEN);
    command
}

/// The bytes of a request with the token.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let shown = format!("Bearer {TOKEN}");
    let all: Vec<(&str, &str)> = headers.iter().copied().chain([("authorization", shown.as_str())]).collect();
    service::request(method, target, &all, body)
}

/// `command` with its environment, run by another that takes a command line at the end of its own.
pub fn over(mut runner: Command, command: &Command) -> Command {
    runner.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => runner.env(name, value),
            None => runner.env_remove(name),
        };
    }
    runner
}

impl Serve {
    pub fn start(data: &Path) -> Self {
        Self::run(&mut serve(data))
    }

    /// A command that becomes `jijia serve`.
    pub fn run(command: &mut Command) -> Self {
        // What it prints for people, a link and its code, is looked at by tests/web/people.js.
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (say, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines() {
                // Nobody listens any more: read on, the process must not stand still.
                let _ = say.send(line.unwrap());
            }
        });
        let mut said = Vec::new();
        let address = loop {
            let Ok(line) = log.recv() else { panic!("it ended: {}", said.join("\n")) };
            if let Some((_, rest)) = line.split_once("serving on ") {
                let address = rest.split_once("://").unwrap().1;
                let end = address.find(|c: char| !c.is_ascii_hexdigit() && !".:[]".contains(c));
                break address[..end.unwrap_or(address.len())].parse().unwrap();
            }
            said.push(line);
        };
        Self { child, client: Client(address), log }
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Waits for words in the log.
    pub fn heard(&self, words: &str) {
        let mut said = Vec::new();
        while let Ok(line) = self.log.recv_timeout(Duration::from_secs(60)) {
            if line.contains(words) {
                return;
            }
            said.push(line);
        }
        panic!("it ended, or was silent for long, without a word of {words}: {}", said.join("\n"));
    }

    /// What it says until its end.
    pub fn rest(&self) -> String {
        self.log.iter().collect::<Vec<_>>().join("\n")
    }

    pub fn get(&self, target: &str) -> Answer {
        self.client.send(&request("GET", target, &[], b"")).expect("a whole answer")
    }
}

/// Sends to one address, a connection per request.
#[derive(Clone, Copy)]
pub struct Client(pub SocketAddr);

impl Client {
    pub fn connect(self) -> std::io::Result<TcpStream> {
        let line = TcpStream::connect(self.0)?;
        line.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(line)
    }

    /// The answer, if it came whole.
    pub fn send(self, request: &[u8]) -> Option<Answer> {
        let mut line = self.connect().ok()?;
        line.write_all(request).ok()?;
        answer(line)
    }

    /// The same for any method: the answer to HEAD has no body.
    pub fn ask(self, request: &[u8]) -> Option<Answer> {
        if !request.starts_with(b"HEAD ") {
            return self.send(request);
        }
        let (mut line, mut received) = (self.connect().ok()?, Vec::new());
        line.write_all(request).ok()?;
        line.read_to_end(&mut received).ok()?;
        Answer::head(&received)
    }

    pub fn post_report(self, body: &[u8]) -> Option<Answer> {
        self.send(&post_report(body))
    }

    pub fn put_photo(self, bytes: &[u8]) -> Option<Answer> {
        self.send(&put_photo(bytes))
    }
}

pub fn post_report(body: &[u8]) -> Vec<u8> {
    request("POST", "/api/v1/reports", &[("content-type", "application/json")], body)
}

pub fn put_photo(bytes: &[u8]) -> Vec<u8> {
    request("PUT", &format!("/api/v1/photos/{}", sha256_of(bytes)), &[], bytes)
}

/// What comes on a line until it is closed, if that is a whole answer.
pub fn answer(mut line: TcpStream) -> Option<Answer> {
    let mut received = Vec::new();
    line.read_to_end(&mut received).ok()?;
    Answer::read(&received)
}
