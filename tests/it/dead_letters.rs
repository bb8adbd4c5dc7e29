//! Dead letters: seen by the API and from the shell, counted from the first day, and shown without danger.

use std::path::Path;

use jijia::clock::Clock;
use jijia::store::{Opener, Store};
use jijia::water::observation::{DeadLetter, NewBatch};
use serde_json::{Value, json};

use crate::cli::jijia;
use crate::service::Service;

/// The `n`th; a topic and bytes that would steer a terminal.
fn letter(n: u8) -> DeadLetter {
    DeadLetter {
        source: "mqtt:lake".into(),
        topic: format!("lake/\u{1b}[2J{n}"),
        reason: format!("no time in message {n}"),
        raw: [&[0xff, 0x1b, b'[', b'{', n][..], &[b'x'; 5000]].concat(),
    }
}

async fn add(store: &Store, numbers: std::ops::Range<u8>) {
    let dead = numbers.map(letter).collect();
    let batch =
        NewBatch { source: "mqtt:lake".into(), by: "test".into(), file: None, observations: vec![], dead };
    store.add_observations(batch).await.unwrap();
}

async fn page(service: &Service, query: &str) -> Value {
    service.get(&format!("/api/v1/dead-letters{query}")).await.json()
}

fn reasons(page: &Value) -> Vec<&str> {
    page["dead_letters"].as_array().unwrap().iter().map(|l| l["reason"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_pages_through_them_and_their_count_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    assert_eq!(page(&service, "").await, json!({"count": 0, "dead_letters": []}));
    add(&service.app.store, 0..5).await;
    service.stop().await;

    let service = Service::start(dir.path()).await;
    let first = page(&service, "?limit=2").await;
    assert_eq!(
        (&first["count"], reasons(&first)),
        (&json!(5), vec!["no time in message 4", "no time in message 3"])
    );
    let shown = &first["dead_letters"][0];
    assert_eq!((&shown["source"], &shown["bytes"]), (&json!("mqtt:lake"), &json!(5005)));
    let start = shown["start"].as_str().unwrap();
    assert_eq!(start, format!(r"\xff\x1b[{{\x04{}", "x".repeat(195)));
    assert!(shown["entry"].is_u64() && shown["received_at"].is_string(), "{shown}");

    // What comes meanwhile moves no page.
    add(&service.app.store, 9..10).await;
    let cursor = first["next"].as_str().unwrap();
    let second = page(&service, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!(
        (&second["count"], reasons(&second)),
        (&json!(6), vec!["no time in message 2", "no time in message 1"])
    );
    let last = page(&service, &format!("?limit=1&cursor={}", second["next"].as_str().unwrap())).await;
    assert_eq!((reasons(&last), last.get("next")), (vec!["no time in message 0"], None));
    for (query, field) in
        [("?limit=0", "limit"), ("?limit=201", "limit"), ("?cursor=x", "cursor"), ("?colour=red", "query")]
    {
        service.get(&format!("/api/v1/dead-letters{query}")).await.problem(422, field);
    }
}

fn listed(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let data = ["--data", dir.to_str().unwrap(), "dead-letters"];
    let out = jijia(&[&data, args].concat()).output().unwrap();
    let said = if out.status.success() { out.stdout } else { out.stderr };
    (out.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_lists_them_for_people_and_for_scripts() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = listed(dir.path(), &[]);
    assert!(code == Some(2) && said.contains("holds no jijia.db"), "{said}");
    let store = Store::open(dir.path(), Opener::Tool, Clock::System).await.unwrap();
    add(&store, 0..210).await;
    let (code, said) = listed(dir.path(), &["--limit", "3"]);
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines.len(), lines[6]), (7, "210 dead letter(s) in all"));
    assert!(lines[0].ends_with(r"  mqtt:lake  lake/\u{1b}[2J209  no time in message 209"), "{said}");
    assert!(lines[1].starts_with(r"    5005 bytes: \xff\x1b[{\xd1xxx"), "{said}");
    assert!(!said.contains('\u{1b}'));

    // More than are read at once.
    let (_, said) = listed(dir.path(), &["--json", "--limit", "1000"]);
    let letters: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reasons: Vec<String> = (0..210).rev().map(|n| format!("no time in message {n}")).collect();
    assert!(letters.iter().map(|l| l["reason"].as_str().unwrap()).eq(&reasons), "{said}");
}
