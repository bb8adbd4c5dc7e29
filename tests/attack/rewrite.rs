//! An operator with the shell and the log's key, who changes what is signed and signs it again. Whoever outside holds a head
//! from before notices: a phone or a desk, a witness, a paper.

use std::path::Path;

use indicatif::ProgressBar;
use jijia::clock::Clock;
use jijia::evidence::checkpoint::SignedCheckpoint;
use jijia::evidence::entry::{Entry, Kind, Payload};
use jijia::evidence::merkle::{Hash, Head, leaf_hash};
use jijia::evidence::note::{self, SignerKey};
use jijia::evidence::proof;
use jijia::evidence::witness::AddCheckpoint;
use jijia::lake::load::embedded;
use jijia::publish::Publisher;
use jijia::store::audit::{KnownHead, Options, audit};
use jijia::witness::{Verdict, Witness};

use crate::fault::{chance, size};
use crate::log_guard::{self, Log, add, back_up, restored};

/// An entry that was never received.
fn forged(n: u64) -> Vec<u8> {
    let said = Kind::Export { format: "csv".into(), sha256: hex::encode([9; 32]), log_size: n, rules: None };
    let payloads = ["filter", "by"].map(|name| Payload::new(name, n.to_string()).unwrap());
    Entry::new("2026-07-01T00:00:00Z".parse().unwrap(), said, &payloads).to_bytes().unwrap()
}

/// Changes the entries so that the first `kept` are others; in words.
fn rewrite(bodies: &mut Vec<Vec<u8>>, kept: usize, random: &mut fastrand::Rng) -> String {
    let at = random.usize(0..kept);
    match random.u8(0..5) {
        0 => {
            bodies[at] = forged(random.u64(..1 << 40));
            format!("{at} replaced")
        }
        1 => {
            bodies.remove(at);
            format!("{at} dropped")
        }
        2 => {
            bodies.insert(at, forged(random.u64(..1 << 40)));
            format!("one put before {at}")
        }
        3 => {
            let other = (at + random.usize(1..bodies.len())) % bodies.len();
            bodies.swap(at, other);
            format!("{at} and {other} exchanged")
        }
        _ => {
            bodies.truncate(at);
            let more = random.u64(0..2 * kept as u64);
            bodies.extend((0..more).map(forged));
            format!("cut before {at}, {more} made up")
        }
    }
}

fn read(db: &rusqlite::Connection) -> Vec<Vec<u8>> {
    let mut all = db.prepare("select body from entry order by idx").unwrap();
    all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Puts the entries into the database as if they had always been there, and forgets what was signed.
fn put(db: &rusqlite::Connection, bodies: &[Vec<u8>]) {
    let triggers: Vec<String> = {
        let mut all = db.prepare("select name from sqlite_schema where type = 'trigger'").unwrap();
        all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    for name in triggers {
        db.execute_batch(&format!("drop trigger {name}")).unwrap();
    }
    db.execute_batch(
        "begin; delete from payload; delete from entry; delete from tile; delete from cosignature;
         delete from checkpoint",
    )
    .unwrap();
    let mut head = Head::default();
    for (index, body) in bodies.iter().enumerate() {
        head.push(leaf_hash(body));
        let row = (index, body, leaf_hash(body));
        db.execute("insert into entry values (?1, 'export', 0, ?2, ?3)", row).unwrap();
    }
    db.execute("update log_head set size = ?1, frontier = ?2", (head.size(), head.frontier())).unwrap();
    db.execute_batch("commit").unwrap();
}

/// Does an audit that is told of `head` say that the log never had it?
fn paper_notices(dir: &Path, head: &SignedCheckpoint) -> bool {
    let head = head.checkpoint();
    let paper = KnownHead { whose: "a paper".into(), size: head.size, root: head.root };
    let options = Options { heads: vec![paper], ..Options::default() };
    let mut said = false;
    audit(dir, &embedded(), &options, &ProgressBar::hidden(), &mut |finding| {
        said |= !finding.remark && finding.key.contains("a paper");
    })
    .unwrap();
    said
}

/// Whatever the forger's server answers: the best it has, what was true before, nothing.
async fn phone_notices(publisher: &Publisher, kept: &SignedCheckpoint, before: &[Hash]) -> bool {
    let compared = publisher.compare(Some(kept.checkpoint())).await.unwrap();
    let (old, new) = (kept.checkpoint(), compared.newest.checkpoint());
    let honest = compared.consistency.unwrap_or_default();
    let mut proofs = vec![honest.clone(), before.to_vec(), Vec::new()];
    proofs.push(honest.iter().chain(before).copied().collect());
    let passes = |hashes: &Vec<Hash>| {
        new.size >= old.size
            && proof::verify_consistency(old.size, &old.root, new.size, &new.root, hashes).is_ok()
    };
    !compared.is_continued && new.origin == old.origin && !proofs.iter().any(passes)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_rewritten_under_a_head_that_somebody_holds_is_noticed() {
    let mut random = chance("rewrite");
    let n = size(30, 1000);
    let log = Log::new();
    let store = log.store().await;
    let kept_size = random.u64(20..60);
    add(&store, kept_size).await;
    let kept = log.publish().await.unwrap();
    add(&store, random.u64(0..40)).await;
    let newest = log.publish().await.unwrap();
    let publisher = Publisher::open(store.clone(), &log_guard::config()).await.unwrap();
    let honest = publisher.compare(Some(kept.checkpoint())).await.unwrap();
    assert!(honest.is_continued, "no alarm while nothing was changed");
    let before = honest.consistency.unwrap();
    assert!(!paper_notices(&log.dir(), &kept));

    let witness_dir = tempfile::tempdir().unwrap();
    let key = SignerKey::generate("witness.test", note::Kind::Cosignature).unwrap();
    let vkey = publisher.verifier().await.unwrap().to_string();
    let witness = Witness::open(key, witness_dir.path(), &[vkey]).unwrap();
    let ask = |old: u64, proof: Vec<Hash>, checkpoint: SignedCheckpoint| {
        let body = AddCheckpoint { old, proof, checkpoint }.to_string();
        witness.add_checkpoint(&body, Clock::System.now()).unwrap()
    };
    assert!(matches!(ask(0, Vec::new(), kept.clone()), Verdict::Cosigned(_)));

    let copy = log.folder().join("copy.db");
    back_up(&log.dir(), &copy);
    for _ in 0..n {
        let host = restored(&log, &copy);
        std::fs::remove_file(host.guard()).unwrap();
        let mut bodies = read(&host.db());
        let what = rewrite(&mut bodies, usize::try_from(kept_size).unwrap(), &mut random);
        put(&host.db(), &bodies);
        if bodies.is_empty() {
            continue;
        }
        let signed = host.publish().await.unwrap();
        assert_ne!(signed.checkpoint().root, newest.checkpoint().root, "{what}");
        let forger = Publisher::open(host.store().await, &log_guard::config()).await.unwrap();
        assert!(phone_notices(&forger, &kept, &before).await, "a phone: {what}");
        let hashes = forger.compare(Some(kept.checkpoint())).await.unwrap().consistency.unwrap_or_default();
        let verdict = ask(kept_size, hashes, signed);
        assert!(matches!(verdict, Verdict::Denied(_)), "a witness: {what}: {verdict:?}");
        assert!(paper_notices(&host.dir(), &kept), "a paper: {what}");
    }
    println!("rewrite: {n} of {n} rewrites noticed by phone, witness and paper");
}
