//! A stranger who guesses secrets: names, passwords and codes, side by side and from many addresses; and the honest people
//! who come through meanwhile.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jijia::clock::Clock;
use jijia::lake::load::embedded;
use jijia::people::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::people::{Browser, PASSWORD, add, start};
use crate::people_doors::browser;
use crate::service::{Answer, Service, request};

/// Names tried at once from one address.
const NAMES: u32 = 3_000;

/// One try to sign in from 127.0.`net`.`host`; the wait that a 429 asks for is the answer's.
async fn try_from(to: SocketAddr, (net, host): (u8, u8), body: &Value) -> Answer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, net, host), 0).into()).unwrap();
    let mut line = socket.connect(to).await.unwrap();
    let bytes = request(
        "POST",
        "/api/v1/session",
        &[("content-type", "application/json")],
        body.to_string().as_bytes(),
    );
    // One of thousands of connections from an address may be closed without an answer: as good as "come back later".
    let mut received = Vec::new();
    if line.write_all(&bytes).await.is_ok() {
        let _ = line.read_to_end(&mut received).await;
    }
    let later = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    Answer::read(&received).unwrap_or_else(|| Answer::read(later).unwrap())
}

fn shown(login: &str, password: &str, code: &str) -> Value {
    json!({"login": login, "password": password, "code": code})
}

/// Asks until the secret was looked at, as the answers say; how long that took.
async fn patient(mut ask: impl AsyncFnMut() -> Answer) -> (u16, Duration) {
    let asked = Instant::now();
    loop {
        let answer = ask().await;
        if answer.status != 429 {
            return (answer.status, asked.elapsed());
        }
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        tokio::time::sleep(Duration::from_secs(wait)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_names_from_one_address_holds_nobody_else_up() {
    let dir = tempfile::tempdir().unwrap();
    let service = Arc::new(start(dir.path()).await);
    for name in ["known", "new", "same"] {
        add(&service, name, Role::Viewer, None).await;
    }
    let mut known = Browser::default();
    let body = shown("known.viewer", PASSWORD, "");
    assert_eq!(known.send_with(&service, "POST", "/api/v1/session", &body, &[]).await.status, 200);

    let (to, tried) = (service.address, Arc::new(AtomicU32::new(0)));
    let (begun, mut flood) = (Instant::now(), tokio::task::JoinSet::new());
    for n in 0..NAMES {
        let tried = tried.clone();
        flood.spawn(async move {
            let answer = try_from(to, (1, 1), &shown(&format!("name-{n}"), "a password of theirs", "")).await;
            assert!([401, 429].contains(&answer.status), "{}", answer.status);
            tried.fetch_add(u32::from(answer.status == 401), Relaxed);
        });
    }
    let (known_in, new_in) = tokio::join!(
        patient(async || known.send_with(&service, "POST", "/api/v1/session", &body, &[]).await),
        patient(async || try_from(to, (1, 2), &shown("new.viewer", PASSWORD, "")).await),
    );
    flood.join_all().await;
    let (took, tried) = (begun.elapsed(), tried.load(Relaxed));
    let same_in = patient(async || try_from(to, (1, 1), &shown("same.viewer", PASSWORD, "")).await).await;
    println!(
        "{NAMES} names at once from one address: {tried} tried in {took:.1?} (before: 257 in 7.8 s); in: a known \
         browser after {:.1?} (7.7 s), a new one elsewhere after {:.1?} (7.7 s), one at the same address {:.1?} after the flood (900 s)",
        known_in.1, new_in.1, same_in.1
    );
    assert!(f64::from(tried) <= 3.0 * took.as_secs_f64().ceil(), "{tried} tries in {took:?}");
    assert_eq!((known_in.0, new_in.0, same_in.0), (200, 200, 200));
    assert!(known_in.1 <= Duration::from_secs(3), "{known_in:?}");
    assert!(new_in.1 <= Duration::from_secs(10), "{new_in:?}");
    assert!(same_in.1 <= Duration::from_secs(61), "{same_in:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tries_side_by_side_gain_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let tries = (0..60).map(|n| {
        let to = service.address;
        async move { try_from(to, (2, 1), &shown(&format!("name-{n}"), "wrong words", "")).await.status }
    });
    let looked_at = futures_util::future::join_all(tries).await.into_iter().filter(|s| *s == 401).count();
    println!("60 tries side by side of one address: {looked_at} looked at (before: 60)");
    // The three slips, and what a slow machine adds by the second.
    assert!(looked_at <= 6, "{looked_at}");
}

/// A service with a simulated clock, so that a day ends when the test says so.
async fn at(dir: &std::path::Path, clock: &Clock) -> Service {
    Service::start_with(dir, embedded(), clock.clone(), |s| s.access.open = false).await
}

fn code_at(totp: &[u8], at: Timestamp) -> String {
    let unix = u64::try_from(at.as_second()).unwrap();
    totp_rs::Builder::new().with_secret(totp.to_vec()).build_noncompliant().generate(unix).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_from_many_addresses_end_after_ten_and_known_browsers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let noon: Timestamp = "2026-12-01T12:00:00+08:00".parse().unwrap();
    let clock = Clock::simulated(noon);
    let service = at(dir.path(), &clock).await;
    let (id, totp) = add(&service, "li", Role::Supervisor, None).await;
    let (boss, _) = add(&service, "wang", Role::Admin, None).await;
    let login = "li.supervisor";
    let right = |at: Timestamp| shown(login, PASSWORD, &code_at(&totp, at));
    let mut known = Browser::default();
    let inside = known.send_with(&service, "POST", "/api/v1/session", &right(noon), &[]).await;
    assert_eq!(inside.status, 200, "{}", inside.text());

    // Each from an address of its own, as their turns come.
    let wrong = shown(login, PASSWORD, "000000");
    for host in 1..=12 {
        assert_eq!(patient(async || try_from(service.address, (3, host), &wrong).await).await.0, 401);
    }
    let later = noon + Duration::from_secs(60);
    clock.set(later);
    let stranger = async |host: u8, at: Timestamp| {
        patient(async || try_from(service.address, (3, host), &right(at)).await).await.0
    };
    assert_eq!(stranger(21, later).await, 401, "right, and not taken from a stranger any more");
    let inside = known.send_with(&service, "POST", "/api/v1/session", &right(later), &[]).await;
    assert_eq!(inside.status, 200, "a known browser's is");

    // Kept over a restart; another administrator's word ends it.
    service.stop().await;
    let service = at(dir.path(), &clock).await;
    let again = later + Duration::from_secs(60);
    clock.set(again);
    let stranger = async |host: u8, at: Timestamp| {
        patient(async || try_from(service.address, (3, host), &right(at)).await).await.0
    };
    assert_eq!(stranger(22, again).await, 401);
    let mut boss = browser(&service, &boss).await;
    let people = boss.get(&service, "/api/v1/people").await.json();
    let li = people.as_array().unwrap().iter().find(|p| p["id"] == id).unwrap().clone();
    assert_eq!(li["codes_locked"], true);
    let lock = format!("/api/v1/people/{id}/code-lock");
    assert_eq!(boss.send(&service, "DELETE", &lock, &Value::Null).await.status, 204);
    assert_eq!(stranger(23, again).await, 200);

    // The log says all of it, with addresses, and no more than that.
    let lines = boss.get(&service, "/api/v1/sign-ins").await.json();
    let events: Vec<&str> = lines.as_array().unwrap().iter().map(|l| l["event"].as_str().unwrap()).collect();
    for event in ["sign_in", "failure", "refusal", "lock", "unlock"] {
        assert!(events.contains(&event), "{event}: {lines}");
    }
    let failed: u64 = lines.as_array().unwrap().iter().filter(|l| l["event"] == "failure").count() as u64;
    println!("wrong codes from 12 addresses: {failed} looked at (before: all), then known browsers only");
    assert_eq!(failed, 10, "{lines}");
    assert!(lines.as_array().unwrap().iter().any(|l| l["address"] == "127.0.3.1" && l["account"] == id));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_tries_more_than_twenty_codes_of_an_account_in_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::simulated("2026-12-01T12:00:00+08:00".parse().unwrap());
    let service = at(dir.path(), &clock).await;
    let (id, _) = add(&service, "li", Role::Supervisor, None).await;
    let mut looked_at = [0, 0];
    for (known, count) in looked_at.iter_mut().enumerate() {
        for _ in 0..40 {
            use jijia::people::codes::Judged::Wrong;
            let judged = service.app.store.judge_code(id.clone(), None, known == 1).await.unwrap();
            *count += u32::from(matches!(judged, Wrong { .. }));
        }
    }
    println!(
        "wrong codes of one account in a day: {looked_at:?} by strangers and known browsers (before: 86,400)"
    );
    assert_eq!(looked_at, [10, 10]);
    // 北京时间: the day is over at 16:00 UTC.
    clock.set("2026-12-01T16:00:00Z".parse().unwrap());
    let judged = service.app.store.judge_code(id.clone(), Some(5), false).await.unwrap();
    assert_eq!(judged, jijia::people::codes::Judged::Right);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_no_account_is_not_logged() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let typed = "my password in the wrong field";
    assert_eq!(try_from(service.address, (4, 1), &shown(typed, "x", "")).await.status, 401);
    let lines = service.app.store.list_sign_ins(10).await.unwrap();
    assert_eq!((lines[0].account.as_str(), lines[0].address.as_str()), ("unknown", "127.0.4.1"));
    let file = std::fs::read_to_string(dir.path().join("sign-in.log")).unwrap();
    assert!(!file.contains("password"), "{file}");
}
