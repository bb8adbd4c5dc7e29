//! The log by the commands and over kills: the program itself, as a process.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tlog_tiles::{Checkpoint, Hash, check_tree};

use crate::cli::jijia;
use crate::cli_serve::refused;
use crate::log_client::verified;
use crate::serve::Serve;
use crate::service::{guard_of, report};

/// `jijia log …` on `data`: what it said.
fn log(data: &Path, command: &str) -> String {
    let out = jijia(&["--data", data.to_str().unwrap(), "log", command])
        .env("JIJIA_LOG_GUARD_FILE", guard_of(data))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn key(data: &Path) -> String {
    let said = log(data, "key");
    said.lines().find_map(|l| l.strip_prefix("key    ")).unwrap().to_owned()
}

/// Files a report; its index in the log.
fn post(serve: &Serve, n: u32) -> u64 {
    let answer = serve.client.post_report(report(n).to_string().as_bytes()).expect("a whole answer");
    answer.created()["index"].as_u64().unwrap()
}

/// The newest checkpoint once it is over `size` entries.
fn signed(serve: &Serve, key: &str, size: u64) -> Checkpoint {
    let begun = Instant::now();
    loop {
        let got = serve.get("/log/checkpoint");
        if got.status == 200 {
            let checkpoint = verified(got.text(), key);
            if checkpoint.size() >= size {
                return checkpoint;
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", got.text());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn consistent(serve: &Serve, old: &Checkpoint, new: &Checkpoint) {
    let got = serve.get(&format!("/api/v1/log/consistency?from={}&to={}", old.size(), new.size()));
    let body = got.json();
    let hash = |v: &Value| Hash(hex::decode(v.as_str().unwrap()).unwrap().try_into().unwrap());
    let proof = body["hashes"].as_array().unwrap().iter().map(hash).collect();
    check_tree(&proof, new.size(), *new.hash(), old.size(), *old.hash()).unwrap();
}

#[test]
fn killed_again_and_again_the_log_has_one_history() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(9);
    let mut heads: Vec<Checkpoint> = Vec::new();
    let (mut acknowledged, cycles) = (0_u64, 25);
    for cycle in 0..cycles {
        let mut serve = Serve::start(dir.path());
        let key = key(dir.path());
        let newest = signed(&serve, &key, acknowledged);
        if let Some(old) = heads.last() {
            consistent(&serve, old, &newest);
        }
        heads.push(newest);
        for n in 0..random.u32(1..6) {
            acknowledged = post(&serve, cycle * 100 + n) + 1;
        }
        // Anywhere in the half second in which commits are gathered, and in the publication after it.
        std::thread::sleep(Duration::from_millis(random.u64(0..700)));
        serve.kill();
    }
    println!("{cycles} kills, {acknowledged} entries, one history");
}

#[cfg(unix)]
#[test]
fn the_key_is_made_once_for_its_owner_alone_and_the_origin_stays() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log.key");
    drop(Serve::start(dir.path()));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let said = log(dir.path(), "key");
    assert!(said.starts_with("origin jijia.local/evidence\nkey    jijia.local/evidence+"), "{said}");
    assert!(!said.contains("PRIVATE") && log(dir.path(), "key") == said);

    let said = refused(dir.path(), &[("JIJIA_LOG_ORIGIN", "example.cn/log")]);
    assert!(said.contains("log.origin: example.cn/log is not the origin of this log"), "{said}");
    let said = refused(dir.path(), &[("JIJIA_LOG_ORIGIN", "two words")]);
    assert!(said.contains("log.origin"), "{said}");
    let inside = dir.path().join("guard");
    let said = refused(dir.path(), &[("JIJIA_LOG_GUARD_FILE", inside.to_str().unwrap())]);
    assert!(said.contains("log.guard_file") && said.contains("inside the data directory"), "{said}");

    for mode in [0o640, 0o604, 0o666] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let said = refused(dir.path(), &[]);
        assert!(said.contains(&format!("mode {mode:o}")) && said.contains("chmod 600"), "{said}");
    }
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    log(dir.path(), "rebuild");
    std::fs::remove_file(&file).unwrap();
    let said = refused(dir.path(), &[]);
    assert!(said.contains("log.key is missing, and this log is signed already"), "{said}");
    assert!(!file.exists(), "a new key would be another log");
}

#[test]
fn a_new_key_is_named_in_the_log_under_the_signature_of_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(dir.path());
    let mut keys = vec![key(dir.path())];
    let mut heads = vec![signed(&serve, &keys[0], 1)];
    for n in 0..3 {
        let old = keys.last().unwrap().clone();
        let said = log(dir.path(), "rotate-key");
        let new = key(dir.path());
        assert!(said.starts_with(&format!("old key {old}\nnew key {new}\n")) && old != new, "{said}");
        // Under the old key: the entry that names the new one.
        let named = signed(&serve, &old, heads.last().unwrap().size() + 1);
        serve.get(&format!("/log/tile/entries/000.p/{}", named.size())).problem(403, "");
        let db = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
        let newest = "select cast(body as text) from entry where idx = ?1";
        let entry: String = db.query_row(newest, [named.size() - 1], |r| r.get(0)).unwrap();
        assert!(entry.contains(&format!("\"old\":\"{old}\",\"new\":\"{new}\"")), "{entry}");
        // Under the new key: everything after it, by the service that was running all the time.
        assert_eq!(post(&serve, n), named.size());
        let begun = Instant::now();
        while !serve.get("/log/checkpoint").text().contains(&format!("\n{}\n", named.size() + 1)) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", serve.get("/readyz").text());
            std::thread::sleep(Duration::from_millis(20));
        }
        let next = signed(&serve, &new, named.size() + 1);
        consistent(&serve, &named, &next);
        heads.push(next);
        keys.push(new);
    }
    // The last checkpoint of each key is kept: a verifier follows the keys along them.
    let db = rusqlite::Connection::open(dir.path().join("jijia.db")).unwrap();
    let count: u64 = db.query_row("select count(*) from checkpoint", [], |r| r.get(0)).unwrap();
    assert_eq!(count, 4);
}
