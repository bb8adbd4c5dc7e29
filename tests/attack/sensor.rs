//! A sensor, or whoever has its password, that sends what nobody can read, or names stations without end.

use std::process::Command;

use jijia::clock::Clock;
use jijia::evidence::merkle::Hash;
use jijia::people::Role;
use jijia::store::people::NewMachine;
use jijia::store::{CUT_BYTES, DAY_BYTES, OTHERS_MAX, Opener, Store};
use jijia::water::observation::{DeadLetter, NewBatch};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::fault::size;
use crate::mosquitto::Mosquitto;
use crate::service::{Service, id};

/// As large as a message may be.
const MESSAGE_BYTES: usize = 262_144;

fn letter(source: &str, n: usize) -> DeadLetter {
    let mut raw = vec![b'x'; MESSAGE_BYTES];
    raw[..8].copy_from_slice(&n.to_be_bytes());
    DeadLetter { source: source.into(), topic: "jjh/S1/telemetry".into(), reason: "not JSON".into(), raw }
}

async fn send(store: &Store, source: &str, numbers: std::ops::Range<usize>) {
    for n in numbers {
        let dead = vec![letter(source, n), letter(source, n + 1_000_000)];
        let batch =
            NewBatch { source: source.into(), by: source.into(), file: None, observations: vec![], dead };
        store.add_observations(batch).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_dead_letters_is_kept_by_its_beginnings_and_said_until_somebody_looks() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let pairs = size(200, 1_000);
    send(&service.app.store, "mqtt:lake", 0..pairs).await;
    // Another source has a quota of its own.
    send(&service.app.store, "mqtt:other", 0..1).await;

    let sent = 2 * pairs * MESSAGE_BYTES;
    let letters = service.app.store.list_dead_letters(None, 5_000).await.unwrap();
    let kept: u64 = letters.iter().filter(|l| l.source == "mqtt:lake").map(|l| l.bytes).sum();
    println!("{} MB of dead letters in a day: {} MB kept (before: all)", sent / 1_000_000, kept / 1_000_000);
    assert!(kept <= DAY_BYTES + (pairs * CUT_BYTES) as u64, "{kept}");
    assert!(letters.iter().any(|l| l.source == "mqtt:other" && l.bytes == MESSAGE_BYTES as u64));
    let both: Hash = Sha256::new()
        .chain_update(letter("mqtt:lake", pairs - 1).raw)
        .chain_update(letter("mqtt:lake", pairs - 1 + 1_000_000).raw)
        .finalize()
        .into();
    let last = letters.iter().find(|l| l.source == "mqtt:lake").unwrap();
    let said =
        format!("first 4096 of {} bytes of 2 message(s), SHA-256 {}", 2 * MESSAGE_BYTES, hex::encode(both));
    assert!(last.bytes == 4096 && last.reason.ends_with(&said), "{}", last.reason);

    let warned = async || service.get("/readyz").await.text().contains("beyond the day's quota");
    assert!(warned().await);
    service.get("/api/v1/dead-letters?limit=1").await;
    assert!(!warned().await, "somebody has looked");
    send(&service.app.store, "mqtt:lake", 0..1).await;
    assert!(warned().await, "and there are more");
    // What is kept is what the log covers.
    service.stop().await;
    let (_, found) = crate::audit::audited(dir.path(), &jijia::lake::load::embedded());
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stations_without_end_are_refused_and_those_of_the_place_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    let body = |n: u32, station: &str| {
        let now = jiff::Timestamp::now();
        json!({"id": id(n), "observations": [{"station": station, "property": "ph", "observed_at": now, "value": 8}]})
    };
    let (mut taken, mut refused) = (0, 0);
    for n in 0..OTHERS_MAX as u32 + 20 {
        let answer = service.post("/api/v1/observations", &body(n, &format!("S-{n}"))).await;
        match answer.status {
            201 => taken += 1,
            _ => {
                answer.problem(422, "observations[0].station");
                refused += 1;
            }
        }
    }
    println!("{} unknown stations named: {taken} taken (before: all), {refused} refused", taken + refused);
    assert_eq!((taken, refused), (OTHERS_MAX, 20));
    let code = service.app.place.stations[0].code.clone();
    service.post("/api/v1/observations", &body(9_001, &code)).await.created();
    service.post("/api/v1/observations", &body(9_002, "S-7")).await.created();
    service.stop().await;
    // A restart forgets nothing.
    let store = Store::open(dir.path(), Opener::Service, Clock::System).await.unwrap();
    assert!(store.admits_station("S-7") && !store.admits_station("S-9999"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_bound_to_stations_sends_of_them_and_does_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let service = crate::people::start(dir.path()).await;
    let expires_at = service.app.store.clock().now() + jiff::SignedDuration::from_hours(24);
    let stations = Some(vec!["JJH-S1".to_owned()]);
    let new = NewMachine { name: "sonde".into(), role: Role::Sensor, unit: None, stations, expires_at };
    let (machine, token) = service.app.store.add_machine(new, "shell".into()).await.unwrap();
    let shown = format!("Bearer {token}");
    let headers = [("authorization", shown.as_str()), ("content-type", "application/json")];
    let at = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1)).to_string();
    let body = |n: u32, stations: &[&str]| {
        let all: Vec<_> = stations
            .iter()
            .map(|s| json!({"station": s, "property": "ph", "unit": "1", "observed_at": at, "value": 7.1}))
            .collect();
        json!({"id": id(n), "observations": all}).to_string()
    };
    let path = "/api/v1/observations";
    let foreign = service.send("POST", path, &headers, body(1, &["JJH-S1", "JJH-S2"]).as_bytes()).await;
    foreign.problem(422, "observations[1].station");
    service.send("POST", path, &headers, body(2, &["JJH-S1"]).as_bytes()).await.created();
    let by = crate::people::entries(dir.path()).pop().unwrap();
    assert_eq!((&by["type"], &by["by"]), (&json!("observations"), &json!(machine.id)));
    for target in ["/api/v1/timeline", "/api/v1/head/../timeline", "/api/v1/dead-letters"] {
        assert!(matches!(service.send("GET", target, &headers, b"").await.status, 403 | 404), "{target}");
    }
    let report = crate::service::report(9).to_string();
    service.send("POST", "/api/v1/reports", &headers, report.as_bytes()).await.problem(403, "");
}

/// The shipped rules of the broker.
const ACL: &str = include_str!("../../config/mosquitto.acl");

#[tokio::test(flavor = "multi_thread")]
async fn a_device_speaks_for_itself_alone_at_the_broker_with_the_shipped_rules() {
    let broker = Mosquitto::start_with(|dir| {
        let (passwords, rules) = (dir.join("passwd"), dir.join("acl"));
        std::fs::write(&passwords, "").unwrap();
        for user in ["jijia", "S1", "S2"] {
            let made =
                Command::new("mosquitto_passwd").arg("-b").arg(&passwords).args([user, "secret"]).status();
            assert!(made.unwrap().success());
        }
        std::fs::write(&rules, ACL).unwrap();
        format!("password_file {}\nacl_file {}", passwords.display(), rules.display())
    })
    .await;
    let port = broker.port.to_string();
    let mut heard = Command::new("mosquitto_sub")
        .args([
            "-p", &port, "-u", "jijia", "-P", "secret", "-q", "1", "-t", "jjh/#", "-C", "2", "-W", "60",
            "-F", "%t",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let publish = |user: &str, topic: &str| {
        let args = ["-p", &port, "-V", "5", "-u", user, "-P", "secret", "-q", "1", "-t", topic, "-m", "{}"];
        let out = Command::new("mosquitto_pub").args(args).output().unwrap();
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    // Until the listener is there its own words are not heard: they are said again, and heard once more at most.
    while heard.try_wait().unwrap().is_none() {
        for (user, topic) in [("S1", "jjh/S2/telemetry"), ("S1", "jjh/S1/x"), ("jijia", "jjh/S1/telemetry")] {
            assert!(publish(user, topic).contains("Not authorized"), "{user} said {topic}");
        }
        assert_eq!(publish("S1", "jjh/S1/telemetry"), "");
    }
    let said = heard.wait_with_output().unwrap().stdout;
    assert_eq!(String::from_utf8(said).unwrap(), "jjh/S1/telemetry\njjh/S1/telemetry\n");
}
