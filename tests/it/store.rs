//! The write path: what an acknowledgement promises.

use jijia::clock::Clock;
use jijia::evidence::merkle::{Head, leaf_hash};
use jijia::store::{Cursor, Opener, Store};
use jijia::water::observation::{DeadLetter, NewBatch, NewObservation, Processing, Value};

fn value(station: &str, at_ms: i64, number: f64) -> NewObservation {
    NewObservation {
        station: station.into(),
        property: "do".into(),
        unit: "mg/L".into(),
        processing: Processing::Raw,
        at_ms,
        value: Value::number(number),
        mark: None,
    }
}

fn batch(observations: Vec<NewObservation>) -> NewBatch {
    NewBatch { source: "test".into(), by: "test".into(), file: None, observations, dead: vec![] }
}

async fn open(dir: &std::path::Path) -> Store {
    Store::open(dir, Opener::Service, Clock::System).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_value_again_is_nothing_new_and_another_is_a_correction() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let first = store.add_observations(batch((0..10).map(|i| value("S1", i, 5.0)).collect())).await.unwrap();
    assert_eq!((first.added, first.known, first.corrections), (10, 0, 0));
    let again = store.add_observations(batch((0..10).map(|i| value("S1", i, 5.0)).collect())).await.unwrap();
    assert_eq!((again.added, again.known), (0, 10));
    assert_eq!(again.receipt, None);
    let mixed = vec![value("S1", 3, 5.5), value("S1", 3, 5.5), value("S2", 3, 5.0), value("S1", 11, 1.0)];
    let mixed = store.add_observations(batch(mixed)).await.unwrap();
    assert_eq!((mixed.added, mixed.known, mixed.corrections), (3, 1, 1));
    assert_eq!(store.count_observations().await.unwrap().0, 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_root_is_the_merkle_root_over_its_rows_and_the_log_head_over_its_entries() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let rows: Vec<_> = (0..7).map(|i| value("S1", i * 60_000, 0.5 * i as f64)).collect();
    let receipt = store.add_observations(batch(rows.clone())).await.unwrap().receipt.unwrap();
    store.add_observations(batch(vec![value("S2", 0, 1.0)])).await.unwrap();

    let db = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
    let body: Vec<u8> = db.query_row("select body from entry where idx = 0", [], |r| r.get(0)).unwrap();
    let mut over_rows = Head::default();
    for row in &rows {
        let mut bytes = vec![];
        row.canonical(&mut bytes);
        over_rows.push(leaf_hash(&bytes));
    }
    let entry: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(entry["root"], hex_of(&over_rows.root()));
    assert_eq!(entry["count"], 7);
    assert_eq!(receipt.leaf_hash, hex_of(&leaf_hash(&body)));

    let mut log = Head::default();
    let mut bodies = db.prepare("select body from entry order by idx").unwrap();
    log.extend(bodies.query_map([], |r| r.get::<_, Vec<u8>>(0)).unwrap().map(|b| leaf_hash(&b.unwrap())));
    let head = store.log_head().await.unwrap();
    assert_eq!((head.size, head.root), (2, log.root()));
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_every_row_once_and_its_cursor_survives() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for i in 0..5 {
        store.add_observations(batch((0..3).map(|j| value("S1", i * 10 + j, 1.0)).collect())).await.unwrap();
    }
    let mut at = store.get_cursor("f").await.unwrap();
    assert_eq!(at, Cursor::START);
    let mut seen = vec![];
    loop {
        let rows = store.list_observations_after(at, 4).await.unwrap();
        let Some(last) = rows.last() else { break };
        at = last.at;
        seen.extend(rows.iter().map(|r| r.at_ms));
        let dead = DeadLetter { source: "f".into(), topic: "t".into(), reason: "r".into(), raw: vec![0xff] };
        store.move_cursor("f", at, vec![dead]).await.unwrap();
    }
    assert_eq!(seen.len(), 15);
    drop(store);
    let store = Store::open(dir.path(), Opener::Tool, Clock::System).await.unwrap();
    assert_eq!(store.get_cursor("f").await.unwrap(), at);
    assert_eq!(store.list_dead_letters(None, 100).await.unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_service_per_directory_tools_beside_it_and_no_newer_database() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let second = Store::open(dir.path(), Opener::Service, Clock::System).await.unwrap_err().to_string();
    assert!(second.contains("another `jijia serve`"), "{second}");
    let tool = Store::open(dir.path(), Opener::Tool, Clock::System).await.unwrap();
    tool.add_observations(batch(vec![value("S1", 1, 1.0)])).await.unwrap();
    store.add_observations(batch(vec![value("S1", 2, 1.0)])).await.unwrap();
    assert_eq!(store.log_head().await.unwrap().size, 2);
    drop((store, tool));
    let db = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
    db.execute_batch("pragma user_version = 99").unwrap();
    let newer = Store::open(dir.path(), Opener::Service, Clock::System).await.unwrap_err().to_string();
    assert!(newer.contains("newer jijia"), "{newer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_clock_is_for_demo_directories_only() {
    let real = tempfile::tempdir().unwrap();
    drop(open(real.path()).await);
    let clock = || Clock::simulated("2026-01-01T00:00:00Z".parse().unwrap());
    let refused = Store::open(real.path(), Opener::Service, clock()).await.unwrap_err().to_string();
    assert!(refused.contains("real data"), "{refused}");
    let demo = tempfile::tempdir().unwrap();
    let store = Store::open(demo.path(), Opener::Service, clock()).await.unwrap();
    assert!(store.is_demo());
    drop(store);
    assert!(open(demo.path()).await.is_demo());
}
