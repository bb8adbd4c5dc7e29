//! What vouches for the log from outside, as the audit sees it: checkpoints, the guard file, witnesses, heads that were shown.

use indicatif::ProgressBar;
use jiff::{SignedDuration, Timestamp};
use jijia::clock::Clock;
use jijia::evidence::checkpoint::SignedCheckpoint;
use jijia::evidence::note::{Kind, SignerKey};
use jijia::lake::load::embedded;
use jijia::publish::{self, Publisher};
use jijia::store::audit::{GuardFile, KnownHead, Options, audit};
use jijia::store::{Opener, Store};

use crate::log_guard::{Log, add, config};

/// A log that was written two days ago.
async fn store(log: &Log) -> Store {
    let clock = Clock::simulated(Timestamp::now() - SignedDuration::from_hours(48));
    Store::open(&log.dir(), Opener::Tool, clock).await.unwrap()
}

/// What the audit says of a log that is in use: findings, and remarks with `(remark)` before them.
fn said(log: &Log, witness: &SignerKey) -> Vec<String> {
    let known = |head: jijia::evidence::checkpoint::Checkpoint| {
        GuardFile::Holds(KnownHead { whose: "the guard file".into(), size: head.size, root: head.root })
    };
    let options = Options {
        guard: publish::guarded(&log.dir(), &config()).unwrap().map_or(GuardFile::Missing, known),
        witnesses: vec![("shuiwu".into(), witness.verifier().clone())],
        ..Options::default()
    };
    let mut said = Vec::new();
    let (place, bar) = (embedded(), ProgressBar::hidden());
    audit(&log.dir(), &place, &options, &bar, &mut |finding| said.push(finding.to_string())).unwrap();
    said
}

async fn publish_and_cosign(log: &Log, witness: &SignerKey) -> SignedCheckpoint {
    let head = Publisher::open(store(log).await, &config()).await.unwrap().publish().await.unwrap();
    let line = head.cosign(witness, Timestamp::now()).unwrap();
    store(log).await.add_cosignature(head.checkpoint().size, line).await.unwrap();
    head
}

fn assert_said(said: &[String], wanted: &[&str]) {
    assert_eq!(said.len(), wanted.len(), "{said:?}");
    for (said, wanted) in said.iter().zip(wanted) {
        assert!(said.starts_with(wanted), "{said}: {wanted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_not_cosigned_or_taken_away_is_said() {
    let (log, witness) = (Log::new(), SignerKey::generate("shuiwu", Kind::Cosignature).unwrap());
    add(&store(&log).await, 5).await;
    let never = ["checkpoint newest: is missing", "cosignature shuiwu: covers the first 0 entries"];
    assert_said(&said(&log, &witness), &never);
    let first = publish_and_cosign(&log, &witness).await;
    assert_said(&said(&log, &witness), &[]);
    // Another key under the same name.
    let other = SignerKey::generate("shuiwu", Kind::Cosignature).unwrap();
    let not_by = ["cosignature shuiwu: covers the first 0 entries"];
    assert_said(&said(&log, &other), &not_by);
    // A day and more without a signature, or without the witness's.
    add(&store(&log).await, 3).await;
    let size = first.checkpoint().size;
    let (unsigned, unwatched) =
        (format!("(remark) checkpoint {size}: "), format!("cosignature shuiwu: covers the first {size} "));
    assert_said(&said(&log, &witness), &[&unsigned, &unwatched]);
    let second = Publisher::open(store(&log).await, &config()).await.unwrap().publish().await.unwrap();
    assert_said(&said(&log, &witness), &[&unwatched]);
    let last = publish_and_cosign(&log, &witness).await;
    assert_eq!(last.checkpoint(), second.checkpoint());
    assert_said(&said(&log, &witness), &[]);
    // Somebody takes the newest checkpoint away, tiles and cosignature too; the guard file knows of it.
    log.db()
        .execute_batch(
            "delete from cosignature; delete from checkpoint; delete from tile;
             insert into checkpoint select 1, 1, 'x' where 0",
        )
        .unwrap();
    let gone = format!("checkpoint {}: is in the guard file and not kept here", last.checkpoint().size);
    assert_said(&said(&log, &witness), &[&gone, never[0], never[1]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_another_log_under_the_same_key_is_a_finding() {
    let (log, witness) = (Log::new(), SignerKey::generate("shuiwu", Kind::Cosignature).unwrap());
    add(&store(&log).await, 5).await;
    let head = publish_and_cosign(&log, &witness).await;
    store(&log).await.add_forked_head("phone-3".into(), &head).await.unwrap();
    assert_said(&said(&log, &witness), &["forked_head phone-3: showed a signed head of"]);
}
