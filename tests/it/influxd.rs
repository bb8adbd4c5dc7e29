//! A real InfluxDB 2 for one test: its own folder and port, set up with a known token.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jijia::config;
use tempfile::TempDir;

use super::chaos::exchange;

const TOKEN: &str = "a-token-for-tests";

/// What a point is told apart by: station, property, processing, milliseconds.
pub type Key = (String, String, String, i64);

/// The server; killed and its folder removed when dropped.
pub struct Influxd {
    child: Child,
    pub address: SocketAddr,
    folder: TempDir,
}

impl Influxd {
    /// A free port and a fresh folder; nothing runs on the port yet.
    pub fn reserve() -> (SocketAddr, TempDir) {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        (address, TempDir::new().unwrap())
    }

    /// Starts and sets up organisation `jijia` and bucket `water`.
    pub fn start() -> Self {
        let (address, folder) = Self::reserve();
        Self::start_at(address, folder)
    }

    /// The same at a reserved place.
    pub fn start_at(address: SocketAddr, folder: TempDir) -> Self {
        let server = Self { child: spawn(address, &folder), address, folder };
        server.wait();
        let setup = r#"{"username":"jijia","password":"jijia-tests","org":"jijia","bucket":"water","retentionPeriodSeconds":0,"token":"a-token-for-tests"}"#;
        let (status, answer) = server.post("/api/v2/setup", "application/json", setup);
        assert_eq!(status, 201, "{answer}");
        server
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts again after [`Self::kill`], on the same folder and port.
    pub fn restart(&mut self) {
        self.child = spawn(self.address, &self.folder);
        self.wait();
    }

    /// The section `[influx]` that leads here, or to a proxy in front.
    pub fn config(url: String) -> config::Influx {
        config::Influx {
            url,
            org: "jijia".into(),
            bucket: "water".into(),
            token: config::Secret::from(TOKEN.to_owned()),
            token_file: "".into(),
            batch_lines: 5_000,
            timeout_s: Duration::from_secs(30),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes lines past the mirror.
    pub fn write(&self, lines: &str) {
        let (status, answer) =
            self.post("/api/v2/write?org=jijia&bucket=water&precision=ms", "text/plain", lines);
        assert_eq!(status, 204, "{answer}");
    }

    /// Every point of `water` by the tag `processing`, which the mirror always writes. No key may come twice.
    pub fn points(&self) -> BTreeMap<Key, f64> {
        let flux = r#"from(bucket: "water") |> range(start: 1677-09-22T00:00:00Z, stop: 2262-04-11T00:00:00Z)
            |> filter(fn: (r) => r._measurement == "water" and exists r.processing) |> group()"#;
        let (status, answer) = self.post("/api/v2/query?org=jijia", "application/vnd.flux", flux);
        assert_eq!(status, 200, "{answer}");
        let mut reader =
            csv::ReaderBuilder::new().comment(Some(b'#')).flexible(true).from_reader(answer.as_bytes());
        let heads = reader.headers().unwrap().clone();
        let column = |name: &str| heads.iter().position(|head| head == name);
        let mut points = BTreeMap::new();
        for row in reader.records() {
            let row = row.unwrap();
            let cell = |name: &str| column(name).and_then(|at| row.get(at)).unwrap_or("").to_owned();
            let time: jiff::Timestamp = cell("_time").parse().unwrap();
            let key = (cell("station"), cell("property"), cell("processing"), time.as_millisecond());
            let before = points.insert(key.clone(), cell("_value").parse().unwrap());
            assert_eq!(before, None, "{key:?} comes twice");
        }
        points
    }

    fn post(&self, path: &str, kind: &str, body: &str) -> (u16, String) {
        post(self.address, path, kind, body).unwrap()
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !matches!(get(self.address, "/health"), Ok((200, body)) if body.contains("\"pass\"")) {
            assert!(Instant::now() < deadline, "influxd does not become healthy");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Influxd {
    fn drop(&mut self) {
        // It may have been killed already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(address: SocketAddr, folder: &TempDir) -> Child {
    let influxd =
        std::env::var_os("INFLUXD").expect("INFLUXD names no server: tests/run finds or builds one");
    let at = |name: &str| folder.path().join(name);
    Command::new(influxd)
        .arg("--http-bind-address")
        .arg(address.to_string())
        .arg("--bolt-path")
        .arg(at("influxd.bolt"))
        .arg("--sqlite-path")
        .arg(at("influxd.sqlite"))
        .arg("--engine-path")
        .arg(at("engine"))
        .args(["--reporting-disabled", "--log-level", "error", "--storage-wal-fsync-delay", "0s"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn get(server: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    answer(&exchange(server, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?)
}

fn post(server: SocketAddr, path: &str, kind: &str, body: &str) -> std::io::Result<(u16, String)> {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.0\r\nAuthorization: Token {TOKEN}\r\nAccept: application/csv\r\n\
         Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    answer(&exchange(server, request.as_bytes())?)
}

fn answer(bytes: &[u8]) -> std::io::Result<(u16, String)> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(std::io::ErrorKind::InvalidData)?, body.to_owned()))
}
