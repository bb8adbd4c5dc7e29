//! The power goes: from the recorded calls of a running service come disk images in which what was not synced is
//! dropped or torn. Every image must open, verify, and hold all that had been acknowledged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use jijia::clock::Clock;
use jijia::store::{Opener, Store};

use super::audit::{Leaf, audit, leaf_of_receipt, leftovers};
use super::disk::Disk;
use super::trace::{self, Call};
use super::{chance, shown, size};
use crate::serve::{Client, post_report, put_photo};
use crate::service::{jpeg, report};

/// What three runs of the service did, one after the other, as one trace.
struct Record {
    root: tempfile::TempDir,
    calls: Vec<Call>,
}

impl Record {
    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// Runs the service over the requests, from four senders at once, until they are through or it is gone.
    fn run(&mut self, requests: &[Vec<u8>], inject: Option<&str>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let serve = trace::recorded(&self.data(), file.path(), inject);
        let client = serve.client;
        std::thread::scope(|scope| {
            for part in requests.chunks(requests.len().div_ceil(4)) {
                scope.spawn(move || send(client, part));
            }
        });
        // One that was told to die has died.
        let ended = serve.client.connect().is_err();
        assert_eq!(ended, inject.is_some());
        if !ended {
            serve.terminate();
        }
        serve.rest();
        let places = self.calls.iter().flat_map(|c| [c.entered, c.left]).filter(|at| *at < usize::MAX);
        let after = places.max().map_or(0, |last| last + 1);
        self.calls.extend(trace::read(file.path()).into_iter().map(|call| call.later(after)));
    }

    /// Everything acknowledged: where in the trace, what, and its leaf.
    fn acknowledged(&self) -> Vec<(usize, String, Leaf)> {
        let all = self.calls.iter().filter_map(|c| Some((c.entered, c.acknowledges()?)));
        all.map(|(at, receipt)| (at, receipt["id"].as_str().unwrap().to_owned(), leaf_of_receipt(&receipt)))
            .collect()
    }
}

fn send(client: Client, requests: &[Vec<u8>]) {
    for request in requests {
        match client.send(request) {
            Some(answer) => assert!(matches!(answer.status, 200 | 201), "{}", answer.text()),
            None => return,
        }
    }
}

/// A run that dies at a sync of the write-ahead log, after its transaction was written; one that gets everything
/// again and more, past a checkpoint, and is ended in order; a short third one.
fn record() -> Record {
    let mut record = Record { root: tempfile::tempdir().unwrap(), calls: Vec::new() };
    let report = |n: u32| post_report(report(n).to_string().as_bytes());
    let photo = |n: u32| put_photo(&jpeg(n));
    let early: Vec<_> = (0..60).flat_map(|n| [report(n), photo(n)]).collect();
    // Counted in each thread: only the writing one comes so far.
    record.run(&early, Some("inject=fsync,fdatasync:signal=KILL:when=25"));
    let late: Vec<_> = (60..120).map(report).chain((60..80).map(photo)).collect();
    record.run(&[early, late.clone()].concat(), None);
    record.run(&late[..20], None);
    record
}

/// What is wrong with an image, if anything.
fn examine(data: &Path, acknowledged: &BTreeMap<&str, &Leaf>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store =
            Store::open(data, Opener::Service, Clock::System).await.map_err(|e| format!("open: {e}"))?;
        store.empty_tmp().map_err(|e| format!("tmp: {e}"))
    })?;
    let held = audit(data)?;
    if let Some(left) = leftovers(data).first() {
        return Err(format!("left behind: {}", left.display()));
    }
    for (id, leaf) in acknowledged {
        let found = held.reports.get(*id).or(held.photos.get(*id));
        if found != Some(leaf) {
            return Err(format!("{id} was acknowledged as {leaf:?}; there is {found:?}"));
        }
    }
    Ok(())
}

/// Cuts the power so many times; what was wrong afterwards.
fn cut_power(record: &Record, disk: &Disk, images: usize, rng: &mut Rng) -> Vec<String> {
    let acknowledged = record.acknowledged();
    let end = record.calls.last().unwrap().entered;
    let mut faults = Vec::new();
    for _ in 0..images {
        // Half of them with the first byte of an answer just gone out.
        let crash = if rng.bool() { rng.choice(&acknowledged).unwrap().0 + 1 } else { rng.usize(1..=end) };
        let image = tempfile::tempdir().unwrap();
        disk.image(crash, rng, image.path());
        let before = acknowledged.iter().filter(|a| a.0 < crash).map(|(_, id, leaf)| (id.as_str(), leaf));
        if let Err(what) = examine(&image.path().join("data"), &before.collect()) {
            faults.push(format!("power lost at {crash}: {what}"));
        }
    }
    faults
}

#[test]
fn what_was_acknowledged_survives_a_loss_of_power() {
    let mut rng = chance("power");
    let record = record();
    let replay = |ignored: &dyn Fn(&Path) -> bool| {
        let mut disk = Disk::new(record.root.path());
        disk.replay(&record.calls, ignored);
        disk
    };
    let images = size(120, 2000);
    assert_eq!(cut_power(&record, &replay(&|_| false), images, &mut rng), [] as [String; 0]);
    println!("power: {} acknowledgements in {} calls", record.acknowledged().len(), record.calls.len());
    shown("power", images, "disk images");

    // A disk that ignores syncs must lose something, or this test would find nothing.
    for (what, ignored) in [
        (
            "the write-ahead log (synchronous=NORMAL)",
            &(|p: &Path| p.ends_with("jijia.db-wal")) as &dyn Fn(&Path) -> bool,
        ),
        ("photos", &|p| p.components().any(|c| c.as_os_str() == "photos" || c.as_os_str() == "tmp")),
    ] {
        let faults = cut_power(&record, &replay(ignored), 20, &mut rng);
        println!("power: without the syncs of {what} {} of 20 images have lost something", faults.len());
        assert!(
            faults.iter().any(|f| f.contains("was acknowledged") || f.contains("photo ")),
            "{what}: {faults:?}"
        );
    }
}
