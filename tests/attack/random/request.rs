//! A request that somebody might send: a door of the table or beside it, with what fits there, or nearly.

use fastrand::Rng;
use jijia::people::{Reach, Role, Rule};
use jijia::web::Door;
use serde_json::{Value, json};

use crate::people::Browser;
use crate::people_doors::browser;
use crate::service::{Answer, Service, id, report, with};

/// What is in the service.
pub struct Known {
    pub ids: Vec<String>,
    pub hashes: Vec<String>,
    pub blobs: Vec<Vec<u8>>,
}

/// Somebody who asks, with what shows who it is.
#[derive(Clone)]
pub struct Asker {
    pub who: String,
    pub account: Option<String>,
    role: Option<Role>,
    credentials: Vec<(String, String)>,
    csrf: String,
}

impl Asker {
    pub fn nobody() -> Self {
        Self {
            who: "stranger".into(),
            account: None,
            role: None,
            credentials: Vec::new(),
            csrf: String::new(),
        }
    }

    pub fn token(role: Role, token: &str) -> Self {
        let credentials = vec![("authorization".into(), format!("Bearer {token}"))];
        Self { who: role.as_str().into(), role: Some(role), credentials, ..Self::nobody() }
    }

    pub fn phone(browser: &Browser) -> Self {
        Self { who: "phone".into(), role: Some(Role::Phone), credentials: jar(browser), ..Self::nobody() }
    }

    pub async fn signed_in(service: &Service, who: &str, role: Role, account: String) -> Self {
        let mut asker = Self { account: Some(account), who: who.into(), role: Some(role), ..Self::nobody() };
        asker.renew(service).await;
        asker
    }

    /// A new session, where the one before was ended.
    pub async fn renew(&mut self, service: &Service) {
        let Some(account) = &self.account else { return };
        let mut browser = browser(service, account).await;
        let said = browser.get(service, "/api/v1/session").await.json();
        self.csrf = said["csrf"].as_str().unwrap_or_default().to_owned();
        self.credentials = jar(&browser);
    }

    fn may_pass(&self, door: &Door) -> bool {
        door.rule == Rule::Public || self.role.is_some_and(|role| door.rule.reach(role) != Reach::No)
    }
}

fn jar(browser: &Browser) -> Vec<(String, String)> {
    let pairs: Vec<String> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    vec![("cookie".into(), pairs.join("; "))]
}

/// A request, ready to be sent.
pub struct Asked {
    pub who: String,
    pub method: String,
    pub target: String,
    /// The door's path, where it is one with its own method.
    pub door: Option<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Each takes a second or more: argon2, a layout, a turn that is waited for.
const SLOW: [&str; 9] =
    [".pdf", ".docx", ".xlsx", "bundle", "session", "/login", "password", "pin", "invites"];
const WORDS: [&str; 12] = [
    "",
    "0",
    "-1",
    "1e999",
    "18446744073709551616",
    "null",
    "SX",
    "JJH-PK-0003",
    "2026-02-30",
    "../..",
    "%00",
    "石",
];
const HEADERS: [(&str, &[&str]); 12] = [
    ("if-match", &["*", "\"x\""]),
    ("if-modified-since", &["Fri, 01 Jan 2100 00:00:00 GMT", "x"]),
    ("if-unmodified-since", &["Thu, 01 Jan 1970 00:00:00 GMT"]),
    ("range", &["bytes=0-9", "bytes=9-", "bytes=-5", "bytes=99999999-", "bytes=5-1", "x", "bytes=0-1,3-4"]),
    ("if-none-match", &["*", "\"x\"", "W/\"x\""]),
    ("content-type", &["application/json", "text/plain", "application/zip", "multipart/form-data", "x"]),
    ("accept", &["text/html", "application/json", "*/*;q=0"]),
    ("accept-language", &["en", "zh", ",,,;q=9"]),
    ("upload-offset", &["0", "1", "-1", "99999999999", "x"]),
    ("device-time", &["1970-01-01T00:00:00Z", "x", "2126-01-01T00:00:00Z"]),
    ("sec-fetch-site", &["cross-site", "same-origin", "none"]),
    ("x-forwarded-for", &["127.0.0.1", "x", "::1"]),
];

fn pick<'a, T>(rng: &mut Rng, all: &'a [T]) -> &'a T {
    &all[rng.usize(..all.len())]
}

impl Asked {
    pub fn random(asker: &Asker, table: &[Door], known: &Known, rng: &mut Rng) -> Self {
        let door = loop {
            let door = pick(rng, table);
            let slow = SLOW.iter().any(|s| door.path.contains(s));
            // Half of what is asked is not refused for who asks. A supervisor's decision changes what a unit may see.
            let wanted = asker.may_pass(door) || rng.bool();
            if wanted && !door.path.ends_with("/disclosure") && (!slow || rng.u8(..) < 8) {
                break door;
            }
        };
        let own_method = rng.u8(..10) > 0;
        let method = if own_method {
            door.method
        } else {
            *pick(rng, &["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"])
        };
        let own_path = rng.u8(..20) > 0;
        let mut target = path(&door.path, known, rng);
        if !own_path {
            target.insert_str(
                rng.usize(1..=target.len()),
                pick::<&str>(rng, &["/", "x", "%2e%2e/", "?", "%ff", "//"]),
            );
        }
        target += &query(rng);
        let mut headers = if rng.u8(..10) > 0 { asker.credentials.clone() } else { Vec::new() };
        let who = if headers.is_empty() { "stranger".into() } else { asker.who.clone() };
        if rng.u8(..5) > 0 && !headers.is_empty() {
            headers.push(("x-csrf-token".into(), asker.csrf.clone()));
        }
        if method != "GET" && rng.u8(..5) > 0 {
            headers.push(("content-type".into(), "application/json".into()));
        }
        for _ in 0..rng.u8(..3) {
            let (name, values) = pick(rng, &HEADERS);
            headers.retain(|(n, _)| n != name);
            headers.push(((*name).into(), (*pick(rng, values)).into()));
        }
        let body =
            if matches!(method, "GET" | "HEAD") { Vec::new() } else { body(&door.path, asker, known, rng) };
        let known_door = table.iter().any(|d| d.path == door.path && d.method == method);
        let door = (own_path && known_door).then(|| door.path.clone());
        Self { who, method: method.into(), target, door, headers, body }
    }

    pub async fn send(&self, service: &Service) -> Answer {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        service.send(&self.method, &self.target, &headers, &self.body).await
    }

    /// What may come back.
    pub fn sent(&self) -> Vec<u8> {
        [self.target.as_bytes(), &self.body].concat()
    }
}

fn path(door: &str, known: &Known, rng: &mut Rng) -> String {
    let right = rng.u8(..3) > 0;
    let id = if right {
        pick(rng, &known.ids).clone()
    } else {
        (*pick(rng, &["x", "0", "%2f", "phone-1", "-"])).to_owned()
    };
    let hash =
        if right { pick(rng, &known.hashes).clone() } else { (*pick(rng, &["x", "AB", "0"])).to_owned() };
    let small = *pick(rng, &["0", "1", "7", "99999999999999999999", "-1", "x"]);
    let rest =
        *pick(rng, &["style.css", "0/000", "0/000.p/9", "1/x001/000", "8/000", "0/000.p/256", "..", "x"]);
    door.replace("{sha256}", &hash)
        .replace("{id}", &id.replace(' ', "%20"))
        .replace("{index}", small)
        .replace("{seq}", small)
        .replace("{*name}", rest)
        .replace("{*path}", rest)
        .replace("{name}", rest)
        .replace(|c: char| !c.is_ascii(), "x")
}

fn query(rng: &mut Rng) -> String {
    const KEYS: [&str; 16] = [
        "outfall", "sector", "unit", "kind", "patrol", "from", "to", "bbox", "cursor", "limit", "index",
        "size", "photos", "lang", "person", "x",
    ];
    let pairs: Vec<String> = (0..rng.usize(..3))
        .map(|_| format!("{}={}", pick(rng, &KEYS), pick(rng, &WORDS).replace('石', "%E7%9F%B3")))
        .collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// What fits the door, changed in some places; or what fits nowhere.
fn body(door: &str, asker: &Asker, known: &Known, rng: &mut Rng) -> Vec<u8> {
    if rng.u8(..8) == 0 {
        let garbage: [&[u8]; 6] = [b"", b"{", b"\xff\xfe", b"[]", b"null", b"{\"id\":1,\"id\":2}"];
        return match rng.u8(..8) {
            0 => "[".repeat(5_000).into_bytes(),
            1 => format!("\"{}\"", "长".repeat(20_000)).into_bytes(),
            _ => pick(rng, &garbage).to_vec(),
        };
    }
    if door.contains("{sha256}") {
        let mut bytes = pick(rng, &known.blobs).clone();
        if rng.bool() {
            bytes.truncate(rng.usize(..bytes.len()));
        }
        return bytes;
    }
    let mut value = fitting(door, asker, rng);
    for _ in 0..rng.u8(..3) {
        change(&mut value, rng);
    }
    value.to_string().into_bytes()
}

fn fitting(door: &str, asker: &Asker, rng: &mut Rng) -> Value {
    let new = id(rng.u32(1000..));
    let person = asker.account.clone().unwrap_or_else(|| "p-7".into());
    let last = door.rsplit('/').next().unwrap_or_default();
    match last {
        "reports" => with(with(report(rng.u32(1000..)), "/person/id", json!(person)), "/id", json!(new)),
        "corrections" => {
            json!({"id": new, "action": "withdraw", "reason": "x", "person": {"id": person}})
        }
        "patrols" => json!({"id": new, "person": {"id": person}, "started_at": "2026-11-30T00:00:00Z",
            "ended_at": "2026-11-30T01:00:00Z", "sectors": ["JJH-AD-01"], "waypoints": []}),
        "observations" => json!({"id": new, "observations":
            [{"station": "JJH-S1", "property": "do", "observed_at": "2026-11-30T00:00:00Z", "value": 3.2}]}),
        "people" => json!({"name": "新人", "role": "patrol"}),
        "tokens" => json!({"name": "x", "role": "machine", "days": 9}),
        "phones" => json!({"name": "x"}),
        "notices" => json!({"entry": 1}),
        "heads" => json!({"checkpoint": null, "receipts": [0, 1]}),
        _ => json!({"password": "x", "code": "x", "login": "x", "pin": "1357", "name": "x"}),
    }
}

/// One place in it becomes something else, or goes.
fn change(value: &mut Value, rng: &mut Rng) {
    let odd = [
        Value::Null,
        json!(0),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("x".repeat(300)),
        json!([]),
        json!({}),
        json!(true),
        json!("\u{0}"),
        json!("2026-13-01T00:00:00Z"),
        json!([[[1]]]),
        json!("女️"),
    ];
    match value {
        Value::Object(map) if !map.is_empty() => {
            let key = map.keys().nth(rng.usize(..map.len())).cloned().unwrap_or_default();
            match rng.u8(..5) {
                0 => drop(map.remove(&key)),
                1 => drop(map.insert(format!("{key}_"), json!(1))),
                2 => change(&mut map[&key], rng),
                _ => map[&key] = pick(rng, &odd).clone(),
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let n = rng.usize(..list.len());
            change(&mut list[n], rng);
        }
        other => *other = pick(rng, &odd).clone(),
    }
}
