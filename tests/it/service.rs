//! The real service in this process on a port of its own, and a client that speaks just enough HTTP/1.1.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jijia::clock::Clock;
use jijia::config::{self, Config};
use jijia::document::export::Office;
use jijia::evidence::timeline::Rules;
use jijia::lake::{Place, geotag::Locator, load::embedded};
use jijia::patrol::duty;
use jijia::patrol::photo::Limits as PhotoLimits;
use jijia::publish::{self, Publisher};
use jijia::store::people::Limits;
use jijia::store::{Opener, Store};
use jijia::water::rain::DryRule;
use jijia::web::{self, Access, App, Settings};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The limits that the tests write bodies against.
pub const MAX_BODY_BYTES: usize = 1_048_576;
pub const MAX_PHOTO_BYTES: u64 = 2_000_000;
const MAX_OUTBOX_BYTES: u64 = 20_000_000;

/// A running service.
pub struct Service {
    pub address: SocketAddr,
    pub app: App,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<jijia::error::Result<()>>,
    stop_publishing: oneshot::Sender<()>,
    publishing: JoinHandle<()>,
}

impl Service {
    /// On `dir`, with the shipped place.
    pub async fn start(dir: &Path) -> Self {
        Self::start_at(dir, embedded(), Clock::System).await
    }

    /// On `dir`, with another place or another clock; what was judged by another place is judged again first.
    pub async fn start_at(dir: &Path, place: Place, clock: Clock) -> Self {
        Self::start_with(dir, place, clock, |_| {}).await
    }

    /// The same with other limits.
    pub async fn start_with(dir: &Path, place: Place, clock: Clock, set: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings();
        set(&mut settings);
        let store = Store::open(dir, Opener::Service, clock).await.unwrap();
        store.empty_tmp().unwrap();
        store.add_place(place.hash).await.unwrap();
        let (locator, place) = (Arc::new(Locator::new(&place)), Arc::new(place));
        while store.judge_again(place.clone(), locator.clone(), 100).await.unwrap() > 0 {}
        let publisher = Publisher::open(store.clone(), &log_config(dir)).await.unwrap();
        let (stop_publishing, stopped) = oneshot::channel::<()>();
        let publishing = tokio::spawn(publish::run(publisher.clone(), async {
            let _ = stopped.await;
        }));
        let (rules, settings) = (Arc::new(rules()), Arc::new(settings));
        store.expect_stations(place.stations.iter().map(|s| s.code.clone()));
        let app = App {
            store,
            publisher,
            place,
            locator,
            rules,
            settings,
            gate: Arc::default(),
            bodies: web::BodyBudget::default(),
            documents: Arc::default(),
            roster_cache: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(web::serve(listener, None, app.clone(), async {
            let _ = stopped.await;
        }));
        Self { address, app, stop, serving, stop_publishing, publishing }
    }

    /// Stops it and waits until the data directory is free again.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.serving.await.unwrap().unwrap();
        let _ = self.stop_publishing.send(());
        self.publishing.await.unwrap();
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], b"").await
    }

    pub async fn post(&self, target: &str, body: &Value) -> Answer {
        post_to(self.address, target, body).await
    }

    /// Puts a photo under the hash of its bytes.
    pub async fn put_photo(&self, bytes: &[u8]) -> Answer {
        self.send("PUT", &format!("/api/v1/photos/{}", sha256_of(bytes)), &[], bytes).await
    }

    /// Puts a voice note under the hash of its bytes.
    pub async fn put_voice(&self, bytes: &[u8]) -> Answer {
        self.send("PUT", &format!("/api/v1/voices/{}", sha256_of(bytes)), &[], bytes).await
    }

    /// One request on a connection of its own.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        send_to(self.address, method, target, headers, body).await
    }

    /// Entries of the log, as the API says.
    pub async fn log_size(&self) -> u64 {
        self.get("/api/v1/head").await.json()["log_size"].as_u64().unwrap()
    }
}

/// Posts JSON to a service.
pub async fn post_to(address: SocketAddr, target: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    send_to(address, "POST", target, &headers, body.to_string().as_bytes()).await
}

/// One request on a connection of its own: all of it is sent, then the answer is read.
async fn send_to(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let (mut from, mut to) = TcpStream::connect(address).await.unwrap().into_split();
    let bytes = request(method, target, headers, body);
    let mut received = Vec::new();
    let exchange = async {
        // A plain client sends all before it listens; a connection closed over unread bytes would be reset.
        to.write_all(&bytes).await?;
        from.read_to_end(&mut received).await
    };
    let done = tokio::time::timeout(Duration::from_secs(60), exchange).await;
    done.expect("an answer within a minute").unwrap_or_else(|e| panic!("{method} {target}: {e}"));
    let answer = if method == "HEAD" { Answer::head(&received) } else { Answer::read(&received) };
    answer.expect("a whole answer")
}

/// The bytes of a request after whose answer the connection is closed.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Of what a connection brought until it was closed; `None` if that broke off.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let answer = Self::head(bytes)?;
        if matches!(answer.status, 204 | 304) {
            return answer.body.is_empty().then_some(answer);
        }
        let length = answer.header("content-length").expect("only answers of known length are sent");
        (answer.body.len().to_string() == length).then_some(answer)
    }

    /// Of one that has a head alone, or whose length is looked at elsewhere.
    pub fn head(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|l| l.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Some(Self { status, headers, body: bytes[end + 4..].to_vec() })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn headers_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.status))
    }

    /// The problem, which must have this status and field.
    #[track_caller]
    pub fn problem(&self, status: u16, field: &str) -> Value {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{body}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{body}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{body}");
        assert_eq!(problem["field"].as_str().unwrap_or_default(), field, "{body}");
        problem
    }

    /// The receipt of something that this request made.
    #[track_caller]
    pub fn created(&self) -> Value {
        assert_eq!(self.status, 201, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }
}

/// The guard file of the log in the data directory `dir`, which is mostly a temporary one: not beside it, where it would
/// stay.
pub fn guard_of(dir: &Path) -> PathBuf {
    let name = dir.canonicalize().unwrap_or_else(|_| dir.to_owned()).display().to_string().replace('/', "_");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.guard"))
}

/// `[log]` as shipped, with the guard of `dir`.
pub fn log_config(dir: &Path) -> config::Log {
    let Config { log, .. } = config::load(None, []).unwrap();
    config::Log { guard_file: guard_of(dir), ..log }
}

/// As in `config/default.toml`.
pub fn rules() -> Rules {
    Rules {
        dry: DryRule { window_h: 72.0, limit_mm: 2.5 },
        nh3n_limit_mg_l: 2.0,
        rain_station: "JJH-R1".into(),
        nearby_m: 800.0,
        late_s: 3600,
    }
}

/// As in `config/default.toml`.
pub fn duty_limits() -> duty::Limits {
    duty::Limits { short_min: 3.0, fast_km_h: 10.0, few_share: 0.5, gap_min: 5.0 }
}

fn settings() -> Settings {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_jijia"));
    let session = Limits { idle: Duration::from_secs(3600), absolute: Duration::from_secs(86_400) };
    Settings {
        // Most tests are about what is behind the doors; tests/it/people*.rs are about the doors.
        access: Access { open: true, session, token: None, trusted_hops: 0 },
        https: false,
        certificate: None,
        authority: None,
        public_url: String::new(),
        place_dir: None,
        duty: duty_limits(),
        max_body_bytes: MAX_BODY_BYTES,
        connections: web::ConnectionLimits::default(),
        max_outbox_bytes: MAX_OUTBOX_BYTES,
        photos: PhotoLimits { max_bytes: MAX_PHOTO_BYTES, max_pixels: 10_000_000, max_side: 8_000 },
        office: Office { max_rows: 5000, fonts_dir: None, program },
        keep_bundles: Duration::from_secs(86_400),
        request_timeout: Duration::from_secs(60),
        photo_idle_timeout: Duration::from_secs(60),
        low_space_bytes: 0,
        mqtt: None,
        influx: None,
    }
}

/// An id as a phone makes it; the same number gives the same id.
pub fn id(n: u32) -> String {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, &n.to_be_bytes()).to_string()
}

/// A report at 3号排口 (JJH-PK-0003) that every check passes, seen an hour ago.
pub fn report(n: u32) -> Value {
    let seen = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    json!({
        "id": id(n),
        "kind": "sewage_outflow",
        "position": {"lng": 113.114079, "lat": 29.39928, "crs": "wgs84", "accuracy_m": 8.0, "source": "typed"},
        "observed_at": seen.to_string(),
        "person": {"id": "p-7"},
        "sewage": {"flow": "medium", "colour": "grey"},
        "note": "管口有水流出",
    })
}

/// `value` with `path` (`/position/lat`) set to `to`; null takes the key away.
pub fn with(mut value: Value, path: &str, to: Value) -> Value {
    let (parent, key) = path.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match to {
        Value::Null => drop(parent.remove(key)),
        to => drop(parent.insert(key.to_owned(), to)),
    }
    value
}

pub fn sha256_of(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A JPEG that no other number gives.
pub fn jpeg(n: u32) -> Vec<u8> {
    let [_, r, g, b] = n.wrapping_mul(2_654_435_761).to_be_bytes();
    let picture = image::RgbImage::from_fn(64, 48, |x, _| image::Rgb([r, g.wrapping_add(x as u8), b]));
    let mut out = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut out, image::ImageFormat::Jpeg).unwrap();
    out.into_inner()
}

/// A recording of so many seconds, as a browser makes it, that no other number gives.
pub fn voice(seconds: u16) -> Vec<u8> {
    let head = b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff";
    let mut bytes = head.to_vec();
    for second in 0..=seconds {
        let at = (u32::from(second) * 1000).to_be_bytes();
        // A cluster without an end, its time, and a block of sound in it.
        bytes.extend(b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff\xe7\x84");
        bytes.extend(at);
        bytes.extend(b"\xa3\x88\x81\0\0\x80");
        // None is the beginning of a longer one.
        bytes.extend(at.map(|b| b ^ 0x55 ^ seconds.to_be_bytes()[1]));
    }
    bytes
}

/// What lies in the data directory beside the database: half-done uploads and sealed photos.
pub fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["tmp", "photos", "previews", "voices"].iter().map(|f| dir.join(f)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}
