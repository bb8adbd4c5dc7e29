//! `jijia serve` as a process: who may start it, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::cli::jijia;
use crate::service::{guard_of, jpeg, sha256_of};

/// A running `jijia serve`; killed when dropped.
pub struct Serve {
    child: Child,
    address: SocketAddr,
    log: BufReader<std::process::ChildStderr>,
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serve {
    pub fn start(data: &Path, env: &[(&str, &str)]) -> Self {
        let mut child = jijia(&["--data", data.to_str().unwrap(), "serve"])
            .env("JIJIA_SERVER_LISTEN", "127.0.0.1:0")
            .env("JIJIA_LOG_GUARD_FILE", guard_of(data))
            .envs(env.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended: {said}");
            if let Some((_, rest)) = line.split_once("serving on http://") {
                break rest.split(' ').next().unwrap().parse().unwrap();
            }
            said += &line;
        };
        Self { child, address, log }
    }

    /// A GET, whole.
    pub fn get(&self, target: &str) -> String {
        let mut line = self.connect();
        write!(line, "GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        answer(line)
    }

    pub fn connect(&self) -> TcpStream {
        let line = TcpStream::connect(self.address).unwrap();
        line.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        line
    }

    /// SIGKILL, as the power that goes.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }
}

pub fn answer(mut line: TcpStream) -> String {
    let mut received = Vec::new();
    line.read_to_end(&mut received).unwrap();
    String::from_utf8_lossy(&received).into_owned()
}

/// Runs `serve`, which must refuse to start; its words.
pub fn refused(data: &Path, env: &[(&str, &str)]) -> String {
    let mut command = jijia(&["--data", data.to_str().unwrap(), "serve"]);
    command.env("JIJIA_SERVER_LISTEN", "127.0.0.1:0").env("JIJIA_LOG_GUARD_FILE", guard_of(data));
    command.envs(env.iter().copied());
    let out = command.output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    String::from_utf8(out.stderr).unwrap()
}

#[test]
fn one_service_per_directory_and_a_request_under_way_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let mut serve = Serve::start(dir.path(), &[]);
    assert!(serve.get("/livez").starts_with("HTTP/1.1 200"));
    let said = refused(dir.path(), &[]);
    assert!(said.contains("another `jijia serve`") && said.contains("--data"), "{said}");

    // A photo half sent, then SIGTERM, then its other half.
    let photo = jpeg(7);
    let mut line = serve.connect();
    let head = format!(
        "PUT /api/v1/photos/{} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        sha256_of(&photo),
        photo.len()
    );
    line.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    line.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n", "the handler is at work");
    line.write_all(&photo[..photo.len() / 2]).unwrap();
    serve.terminate();
    // It has heard: nothing new is taken.
    let mut heard = String::new();
    while !heard.contains("stopping") {
        heard.clear();
        assert_ne!(serve.log.read_line(&mut heard).unwrap(), 0);
    }
    line.write_all(&photo[photo.len() / 2..]).unwrap();
    let got = answer(line);
    assert!(got.starts_with("HTTP/1.1 201"), "{got}");
    assert_eq!(serve.child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    serve.log.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("WARN") && !rest.contains("ERROR"), "{rest}");

    // The directory is free again and the photo is there.
    let serve = Serve::start(dir.path(), &[]);
    assert!(serve.get(&format!("/api/v1/photos/{}/preview", sha256_of(&photo))).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_newer_database_another_address_and_a_taken_port_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let said = refused(dir.path(), &[("JIJIA_SERVER_LISTEN", "0.0.0.0:0")]);
    assert!(said.contains("server.listen") && said.contains("no people and roles yet"), "{said}");
    assert!(!dir.path().join("jijia.db").exists(), "refused before anything is made");
    let serve = Serve::start(dir.path(), &[]);
    let other = tempfile::tempdir().unwrap();
    let said = refused(other.path(), &[("JIJIA_SERVER_LISTEN", &serve.address.to_string())]);
    assert!(said.contains("server.listen") && said.contains(&serve.address.to_string()), "{said}");
    drop(serve);
    let db = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
    let known: i64 = db.query_row("pragma user_version", [], |r| r.get(0)).unwrap();
    db.execute_batch(&format!("pragma user_version = {}", known + 1)).unwrap();
    drop(db);
    let said = refused(dir.path(), &[]);
    assert!(said.contains("newer jijia") && said.contains(&format!("schema {}", known + 1)), "{said}");
}

#[test]
fn a_low_disk_is_said_at_the_start_and_in_readyz() {
    let dir = tempfile::tempdir().unwrap();
    // More than any disk has free.
    let serve = Serve::start(dir.path(), &[("JIJIA_DATA_LOW_SPACE_BYTES", "9000000000000000000")]);
    let ready = serve.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("\"disk: "), "{ready}");
    let serve = Serve::start(tempfile::tempdir().unwrap().path(), &[("JIJIA_DATA_LOW_SPACE_BYTES", "1")]);
    assert!(serve.get("/readyz").contains("\"warnings\":[]"));
}

#[test]
fn the_log_is_plain_text_where_it_is_no_terminal_and_json_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut serve = Serve::start(dir.path(), &[]);
    serve.terminate();
    assert_eq!(serve.child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    serve.log.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("stopping") && !rest.contains('\u{1b}'), "{rest:?}");
    let mut serve = Serve::start(dir.path(), &[("JIJIA_LOG_FORMAT", "json")]);
    serve.terminate();
    assert_eq!(serve.child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    serve.log.read_to_string(&mut rest).unwrap();
    for line in rest.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    }
}

#[test]
fn a_tool_writes_beside_the_service_and_the_service_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(dir.path(), &[]);
    let (data, file) = (dir.path().to_str().unwrap(), dir.path().join("reports.csv"));
    std::fs::write(
        &file,
        "发现时间,问题类型,经度,纬度,坐标系\n2025-07-14 05:20,污水,113.114079,29.39928,WGS84\n",
    )
    .unwrap();
    let (file, out) = (file.to_str().unwrap(), dir.path().join("t.csv"));
    let size = || -> u64 {
        let head = serve.get("/api/v1/head");
        let body: serde_json::Value = serde_json::from_str(head.split_once("\r\n\r\n").unwrap().1).unwrap();
        body["log_size"].as_u64().unwrap()
    };
    let before = size();
    for args in [
        &["--data", data, "import", "reports", file, "--zone", "+08:00"][..],
        &["--data", data, "timeline", "-o", out.to_str().unwrap()],
    ] {
        let done = jijia(args).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    assert_eq!(size(), before + 2, "the report and the export");
    assert!(serve.get("/api/v1/timeline?outfall=JJH-PK-0003").contains("\"row\":\"sighting\""));
}
