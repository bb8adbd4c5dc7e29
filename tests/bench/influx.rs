//! A real InfluxDB 2 (`INFLUXD` names the server, as for the tests), asked by curl.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Fault;
use crate::service::free_address;

const TOKEN: &str = "a-token-for-benches";

/// The server; killed and its folder removed when dropped.
pub struct Influx {
    child: Child,
    address: SocketAddr,
    org_id: String,
    _folder: tempfile::TempDir,
}

impl Influx {
    /// Starts and sets up; `None` where `INFLUXD` names no server.
    pub fn start() -> Result<Option<Self>, Fault> {
        let Some(program) = std::env::var_os("INFLUXD") else { return Ok(None) };
        let (address, folder) = (free_address()?, crate::folder()?);
        let at = |name: &str| folder.path().join(name);
        let child = Command::new(program)
            .args(["--http-bind-address", &address.to_string()])
            .arg("--bolt-path")
            .arg(at("influxd.bolt"))
            .arg("--sqlite-path")
            .arg(at("influxd.sqlite"))
            .arg("--engine-path")
            .arg(at("engine"))
            .args(["--reporting-disabled", "--log-level", "error", "--storage-wal-fsync-delay", "0s"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut server = Self { child, address, org_id: String::new(), _folder: folder };
        let started = Instant::now();
        while !server.get("/health").is_ok_and(|body| body.contains("\"pass\"")) {
            if started.elapsed() > Duration::from_secs(120) {
                return Err("influxd does not become healthy".into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let setup = format!(
            r#"{{"username":"jijia","password":"jijia-bench","org":"jijia","bucket":"first","token":"{TOKEN}"}}"#
        );
        let answer: Value =
            serde_json::from_str(&server.post("/api/v2/setup", "application/json", &setup)?)?;
        server.org_id = answer["org"]["id"].as_str().ok_or("setup gives no organisation")?.to_owned();
        Ok(Some(server))
    }

    /// A fresh bucket.
    pub fn add_bucket(&self, name: &str) -> Result<(), Fault> {
        let body = format!(r#"{{"name":"{name}","orgID":"{}"}}"#, self.org_id);
        self.post("/api/v2/buckets", "application/json", &body).map(drop)
    }

    /// The section `[influx]` that leads to `bucket`.
    pub fn settings(&self, bucket: &str) -> [(&'static str, String); 4] {
        [
            ("JIJIA_INFLUX_URL", format!("http://{}", self.address)),
            ("JIJIA_INFLUX_ORG", "jijia".to_owned()),
            ("JIJIA_INFLUX_BUCKET", bucket.to_owned()),
            ("JIJIA_INFLUX_TOKEN", TOKEN.to_owned()),
        ]
    }

    /// Points of a bucket.
    pub fn count(&self, bucket: &str) -> Result<u64, Fault> {
        let flux = format!(
            r#"from(bucket: "{bucket}") |> range(start: 2000-01-01T00:00:00Z) |> group() |> count() |> keep(columns: ["_value"])"#
        );
        let answer = self.post("/api/v2/query?org=jijia", "application/vnd.flux", &flux)?;
        let last = answer.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        Ok(last.trim().rsplit(',').next().unwrap_or_default().parse()?)
    }

    /// Sends files of lines one after the other: one curl, one kept connection.
    pub fn send_by_curl(&self, files: &[std::path::PathBuf], bucket: &str) -> Result<(), Fault> {
        let url = format!("http://{}/api/v2/write?org=jijia&bucket={bucket}&precision=ms", self.address);
        let one = |file: &Path| {
            format!(
                "url = \"{url}\"\nheader = \"Authorization: Token {TOKEN}\"\nheader = \"Expect:\"\n\
                 data-binary = \"@{}\"\nfail\nsilent\nshow-error\n",
                file.display()
            )
        };
        let config = files.iter().map(|f| one(f)).collect::<Vec<_>>().join("next\n");
        curl(&["--config", "-"], config.as_bytes()).map(drop)
    }

    fn get(&self, path: &str) -> Result<String, Fault> {
        curl(&["-sS", "--fail", &format!("http://{}{path}", self.address)], b"")
    }

    fn post(&self, path: &str, kind: &str, body: &str) -> Result<String, Fault> {
        let url = format!("http://{}{path}", self.address);
        let (token, kind) = (format!("Authorization: Token {TOKEN}"), format!("Content-Type: {kind}"));
        let arguments =
            ["-sS", "--fail", "-H", &token, "-H", &kind, "-H", "Accept: */*", "--data-binary", "@-", &url];
        curl(&arguments, body.as_bytes())
    }
}

impl Drop for Influx {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What curl prints; its words where it fails.
fn curl(arguments: &[&str], input: &[u8]) -> Result<String, Fault> {
    let mut child = Command::new("curl")
        .args(["--noproxy", "*"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("no standard input")?.write_all(input)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("curl: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
