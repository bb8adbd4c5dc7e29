//! A log that was tampered with, or that two instances hold: what is signed then, and what is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use jijia::config;
use jijia::error::Error;
use jijia::evidence::checkpoint::SignedCheckpoint;
use jijia::evidence::merkle::{Head, leaf_hash};
use jijia::evidence::note::{Kind, SignerKey};
use jijia::publish::Publisher;

use crate::log_guard::{Log, add, back_up, config, refused, restored};
use crate::service::{Service, log_config, report};

/// A log of `signed` entries under a checkpoint and `unsigned` behind them, with its triggers off.
async fn tampered_with(signed: u64, unsigned: u64) -> (Log, rusqlite::Connection, SignedCheckpoint) {
    let log = Log::new();
    let store = log.store().await;
    add(&store, signed).await;
    let checkpoint = log.publish().await.unwrap();
    add(&store, unsigned).await;
    let db = log.db();
    db.execute_batch(
        "drop trigger entry_no_update; drop trigger entry_no_delete; pragma busy_timeout = 5000",
    )
    .unwrap();
    (log, db, checkpoint)
}

/// Flips a bit of the cell; the same call again flips it back.
fn flip(db: &rusqlite::Connection, (table, column): (&str, &str), row: u64, bit: usize) {
    let read = format!("select {column} from {table} where rowid = ?1");
    let mut bytes: Vec<u8> = db.query_row(&read, [row], |r| r.get(0)).unwrap();
    let bit = bit % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    db.execute(&format!("update {table} set {column} = ?1 where rowid = ?2"), (bytes, row)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_flipped_bits_in_what_is_not_signed_yet_and_none_is_signed_over() {
    let (log, db, checkpoint) = tampered_with(300, 40).await;
    let publisher = Publisher::open(log.store().await, &config()).await.unwrap();
    let mut random = fastrand::Rng::with_seed(1000);
    for i in 0..1000 {
        let index = random.u64(300..340);
        let (cell, row, words) = match i % 10 {
            0 => (("log_head", "frontier"), 1, "do not give the head".to_owned()),
            1..4 => (("entry", "leaf"), index, format!("the stored bytes of entry {index} are not")),
            _ => (("entry", "body"), index, format!("the stored bytes of entry {index} are not")),
        };
        let bit = random.usize(0..1 << 20);
        flip(&db, cell, row, bit);
        refused(publisher.publish().await, &words);
        flip(&db, cell, row, bit);
    }
    assert_eq!(std::fs::read_to_string(log.guard()).unwrap(), checkpoint.to_string());
    println!("0 of 1000 flips were signed over (95 % bound: 0.3 %)");
    assert_eq!(publisher.publish().await.unwrap().checkpoint().size, 340, "all mended, all signed");
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_dropped_added_and_exchanged_entries_are_not_signed() {
    for (sql, words) in [
        ("delete from payload; delete from entry where idx = 25", "entry 25"),
        ("delete from payload; delete from entry where idx = 29", "entry 29"),
        (
            "update entry set (body, leaf) = (select body, leaf from entry where idx = 22) where idx = 23",
            "do not give the head",
        ),
        ("update log_head set size = 28, frontier = zeroblob(96)", "do not give the head"),
        (
            "update log_head set size = 19, frontier = zeroblob(96)",
            "the log has 19 entries, but 20 were signed",
        ),
        ("update tile set hashes = zeroblob(640)", "`jijia log rebuild`"),
        ("update tile set hashes = x''", "`jijia log rebuild`"),
        (
            "update checkpoint set note = replace(note, char(10) || '20' || char(10), char(10) || '21' || char(10))",
            "log.key is not the key",
        ),
    ] {
        let (log, db, checkpoint) = tampered_with(20, 10).await;
        db.execute_batch("pragma foreign_keys = off; drop trigger payload_no_delete").unwrap();
        db.execute_batch(sql).unwrap();
        refused(log.publish().await, words);
        assert_eq!(std::fs::read_to_string(log.guard()).unwrap(), checkpoint.to_string(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_is_missing_strange_or_of_another_log_stops_the_signing() {
    let (log, _, checkpoint) = tampered_with(20, 10).await;
    let guard = log.guard();
    std::fs::remove_file(&guard).unwrap();
    refused(log.publish().await, "is missing");
    assert!(!guard.exists(), "a new guard would make the old one worthless");
    let good = checkpoint.to_string();
    for strange in ["", "x", &good[..good.len() - 1], &good.replace("\n20\n", "\n020\n")] {
        std::fs::write(&guard, strange).unwrap();
        refused(log.publish().await, "is not the last checkpoint of this log");
    }
    std::fs::write(&guard, good.replace("\n20\n", "\n21\n")).unwrap();
    refused(log.publish().await, "log.key is not the key");
    let (other, ..) = tampered_with(20, 0).await;
    std::fs::copy(other.guard(), &guard).unwrap();
    refused(log.publish().await, "log.key is not the key");
    // What a witness or a bundle kept is as good as the file itself.
    std::fs::write(&guard, good).unwrap();
    assert_eq!(log.publish().await.unwrap().checkpoint().size, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_guard_and_database_the_log_goes_on_with_the_same_head() {
    let log = Log::new();
    let store = log.store().await;
    let backups = tempfile::tempdir().unwrap();
    let (before, newer) = (backups.path().join("before"), backups.path().join("newer"));
    for (signed, fresh) in [(0, 3), (3, 1), (300, 270), (0, 700)] {
        add(&store, signed).await;
        if signed > 0 {
            log.publish().await.unwrap();
        }
        add(&store, fresh).await;
        back_up(&log.dir(), &before);
        let checkpoint = log.publish().await.unwrap();
        // The disk as a kill leaves it: the guard is written, the transaction never was.
        let killed = restored(&log, &before);
        assert_eq!(killed.publish().await.unwrap(), checkpoint);
        // The same, and more was received before anybody signed again.
        let killed = restored(&log, &before);
        add(&killed.store().await, 5).await;
        let next = killed.publish().await.unwrap();
        assert_eq!(next.checkpoint().size, checkpoint.checkpoint().size + 5);
        std::fs::remove_file(&before).unwrap();
    }
    // The guard alone was lost and put back as it was some time ago: what came since is in the database.
    let old = std::fs::read(log.guard()).unwrap();
    add(&store, 9).await;
    log.publish().await.unwrap();
    back_up(&log.dir(), &newer);
    std::fs::write(log.guard(), old).unwrap();
    let log = restored(&log, &newer);
    add(&log.store().await, 1).await;
    log.publish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_are_made_again_from_the_entries_and_only_as_they_were_signed() {
    let (log, db, checkpoint) = tampered_with(5000, 10).await;
    let tiles = |db: &rusqlite::Connection| -> Vec<(i64, i64, Vec<u8>)> {
        let mut read = db.prepare("select level, n, hashes from tile order by level, n").unwrap();
        read.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).unwrap().map(Result::unwrap).collect()
    };
    let first = log.publish().await.unwrap();
    let good = tiles(&db);
    db.execute_batch("delete from tile").unwrap();
    assert_eq!(log.publish().await.unwrap(), first);
    assert_eq!(tiles(&db), good);
    // A bit of an old entry, changed with its leaf hash so that the two agree, is not what was signed.
    db.execute_batch("delete from tile").unwrap();
    let body: Vec<u8> = db.query_row("select body from entry where idx = 4000", [], |r| r.get(0)).unwrap();
    let body = String::from_utf8(body).unwrap().replace("\"log_size\":4000", "\"log_size\":4001");
    let leaf = leaf_hash(body.as_bytes());
    db.execute("update entry set body = ?1, leaf = ?2 where idx = 4000", (body.as_bytes(), leaf)).unwrap();
    refused(log.publish().await, "the first 5010 entries are not those that were signed");
    assert_eq!(checkpoint.checkpoint().size, 5000);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_instances_with_one_guard_the_second_signs_nothing() {
    let log = Log::new();
    add(&log.store().await, 10).await;
    log.publish().await.unwrap();
    let copy = log.folder().join("copy");
    std::fs::create_dir(&copy).unwrap();
    back_up(&log.dir(), &copy.join("jijia.db"));
    std::fs::copy(log.dir().join("log.key"), copy.join("log.key")).unwrap();
    let second = jijia::store::Store::open(&copy, jijia::store::Opener::Tool, jijia::clock::Clock::System)
        .await
        .unwrap();
    let shared = config::Log { guard_file: log.guard(), ..config() };
    let second_publisher = Publisher::open(second.clone(), &shared).await.unwrap();
    add(&second, 3).await;
    add(&log.store().await, 2).await;
    log.publish().await.unwrap();
    refused(second_publisher.publish().await, "the first 12 entries are not those that were signed");
    // With a guard of its own it is a log that was signed and has none.
    let alone = Publisher::open(second, &config()).await.unwrap();
    refused(alone.publish().await, "copy.guard is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_publishers_of_one_log_make_one_history() {
    let log = Log::new();
    let store = log.store().await;
    add(&store, 1).await;
    log.publish().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut publishing = Vec::new();
    for _ in 0..4 {
        let publisher = Publisher::open(log.store().await, &config()).await.unwrap();
        let stop = stop.clone();
        publishing.push(tokio::spawn(async move {
            let mut sizes = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                sizes.push(publisher.publish().await.unwrap().checkpoint().size);
            }
            sizes
        }));
    }
    for _ in 0..100 {
        add(&store, 3).await;
    }
    stop.store(true, Ordering::SeqCst);
    for one in publishing {
        let sizes = one.await.unwrap();
        assert!(sizes.is_sorted(), "{sizes:?}");
    }
    assert_eq!(log.publish().await.unwrap().checkpoint().size, 301);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_may_not_sign_takes_reports_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path()).await;
    service.app.publisher.publish().await.unwrap();
    service.stop().await;
    let guard = log_config(dir.path()).guard_file;
    let kept = std::fs::read(&guard).unwrap();
    std::fs::remove_file(&guard).unwrap();

    let service = Service::start(dir.path()).await;
    let receipt = service.post("/api/v1/reports", &report(1)).await.created();
    let warnings = loop {
        let ready = service.get("/readyz").await;
        assert_eq!(ready.status, 200);
        let warnings = ready.json()["warnings"].as_array().unwrap().clone();
        if !warnings.is_empty() {
            break warnings;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let said = warnings[0].as_str().unwrap();
    assert!(
        said.starts_with("log: nothing is signed: the guard file ") && said.contains("is missing"),
        "{said}"
    );
    let page = service.get("/").await.text().to_owned();
    assert!(page.contains("存证签名已暂停") && page.contains("找不到看护文件"), "{page}");
    assert!(service.get("/?lang=en").await.text().contains("nothing is signed"));
    let proof = service.get(&format!("/api/v1/log/proofs/{}", receipt["index"])).await.problem(503, "");
    assert!(proof["detail"].as_str().unwrap().contains("is missing"), "{proof}");

    std::fs::write(&guard, kept).unwrap();
    match service.app.publisher.publish().await {
        Ok(checkpoint) => assert!(checkpoint.checkpoint().size > receipt["index"].as_u64().unwrap()),
        Err(Error::Conflict(said)) => panic!("{said}"),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_key_that_was_cut_off_is_finished_by_whoever_signs_next() {
    let (log, ..) = tampered_with(5, 0).await;
    let publisher = Publisher::open(log.store().await, &config()).await.unwrap();
    let (key, next) = (log.dir().join("log.key"), log.dir().join("log.key.next"));
    let old = publisher.verifier().await.unwrap();
    let old_text = std::fs::read(&key).unwrap();
    let new = publisher.rotate_key().await.unwrap();
    assert_eq!((publisher.verifier().await.unwrap(), next.exists()), (new.clone(), false));

    // Cut off before the new key took the old one's place: nothing is left to sign, and it takes it.
    std::fs::rename(&key, &next).unwrap();
    std::fs::write(&key, old_text).unwrap();
    restrict(&key);
    let publisher = Publisher::open(log.store().await, &config()).await.unwrap();
    assert_eq!(publisher.verifier().await.unwrap(), old);
    publisher.publish().await.unwrap().verify(&old).unwrap();
    assert_eq!(publisher.verifier().await.unwrap(), new);

    // Cut off before its entry was signed: the next key waits for it, and is not made twice.
    let third = SignerKey::generate(old.name(), Kind::Ed25519).unwrap();
    std::fs::write(&next, third.secret_text()).unwrap();
    restrict(&next);
    let store = log.store().await;
    publisher.publish().await.unwrap();
    assert_eq!(publisher.verifier().await.unwrap(), new, "nobody has heard of the third");
    store.add_key(&new, third.verifier()).await.unwrap();
    assert_eq!(publisher.rotate_key().await.unwrap(), *third.verifier());
    let size = store.log_head().await.unwrap().size;
    assert_eq!(size, 7, "five, and one for each change");
    add(&store, 1).await;
    publisher.publish().await.unwrap().verify(third.verifier()).unwrap();
    let kept: Vec<u64> =
        store.list_checkpoints().await.unwrap().iter().map(|c| c.checkpoint().size).collect();
    assert_eq!(kept, [6, 7, 8], "the last of each key");
}

/// Only the owner can read it.
fn restrict(file: &std::path::Path) {
    #[cfg(unix)]
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    #[cfg(not(unix))]
    let _ = file;
}

/// A database of `size` entries as the first schema had it, never signed; its head.
fn unsigned(log: &Log, size: u64) -> Head {
    std::fs::create_dir(log.dir()).unwrap();
    let db = log.db();
    db.execute_batch("pragma journal_mode = wal; pragma synchronous = off").unwrap();
    db.execute_batch(include_str!("../../src/store/migrations/0001.sql")).unwrap();
    let mut head = Head::default();
    db.execute_batch("begin").unwrap();
    for i in 0..size {
        let entry = serde_json::json!({"type": "place", "v": 1, "received_at": "2026-07-14T01:00:00Z", "hash": i.to_string()});
        let body = entry.to_string();
        head.push(leaf_hash(body.as_bytes()));
        let row = (i, body.as_bytes(), leaf_hash(body.as_bytes()));
        db.execute("insert into entry values (?1, 'place', 0, ?2, ?3)", row).unwrap();
    }
    db.execute("update log_head set size = ?1, frontier = ?2", (size, head.frontier())).unwrap();
    db.execute_batch("commit; pragma user_version = 1").unwrap();
    head
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_from_before_the_log_was_published_is_signed_whole_and_growth_costs_the_same_at_any_size()
{
    let sizes: &[u64] = &[1_000, 10_000, 100_000, 1_000_000];
    for size in sizes.iter().copied().take(crate::fault::size(3, 4)) {
        let log = Log::new();
        let head = unsigned(&log, size);
        let begun = Instant::now();
        let signed = log.publish().await.unwrap();
        let whole = begun.elapsed();
        assert_eq!((signed.checkpoint().size, signed.checkpoint().root), (size, head.root()));
        let store = log.store().await;
        let publisher = Publisher::open(store.clone(), &config()).await.unwrap();
        let mut times = Vec::new();
        for i in 1..=20 {
            add(&store, 10).await;
            let begun = Instant::now();
            assert_eq!(publisher.publish().await.unwrap().checkpoint().size, size + 10 * i);
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        println!("{size} entries signed in {whole:?}; ten more in {:?} (median of 20)", times[10]);
    }
}
