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

    /// Runs the service over the requests, from so many senders at once, until they are through or it is gone; how many
    /// were answered.
    fn run(&mut self, requests: &[Vec<u8>], senders: usize, inject: Option<&str>) -> usize {
        let file = tempfile::NamedTempFile::new().unwrap();
        let serve = trace::recorded(&self.data(), file.path(), inject);
        let client = serve.client;
        let answered: usize = std::thread::scope(|scope| {
            let parts = requests.chunks(requests.len().div_ceil(senders));
            let all: Vec<_> = parts.map(|part| scope.spawn(move || send(client, part))).collect();
            all.into_iter().map(|sender| sender.join().unwrap()).sum()
        });
        let died = answered < requests.len();
        assert_eq!(died, inject.is_some());
        if !died {
            serve.terminate();
        }
        serve.rest();
        let places = self.calls.iter().flat_map(|c| [c.entered, c.left]).filter(|at| *at < usize::MAX);
        let after = places.max().map_or(0, |last| last + 1);
        self.calls.extend(trace::read(file.path()).into_iter().map(|call| call.later(after)));
        answered
    }

    /// The disk of it; syncs for which `ignored` holds did nothing.
    fn disk(&self, ignored: impl Fn(&Path) -> bool) -> Disk {
        let mut disk = Disk::new(self.root.path());
        disk.replay(&self.calls, ignored);
        disk
    }

    /// Everything acknowledged: where in the trace, what, and its leaf.
    fn acknowledged(&self) -> Vec<(usize, String, Leaf)> {
        let all = self.calls.iter().filter_map(|c| Some((c.entered, c.acknowledges()?)));
        all.map(|(at, receipt)| (at, receipt["id"].as_str().unwrap().to_owned(), leaf_of_receipt(&receipt)))
            .collect()
    }
}

/// Sends until the service is gone; how many were answered.
fn send(client: Client, requests: &[Vec<u8>]) -> usize {
    let answers = requests.iter().map_while(|request| client.send(request));
    answers.inspect(|answer| assert!(matches!(answer.status, 200 | 201), "{}", answer.text())).count()
}

/// Counted in each thread: only those that write reports and photos come so far.
const DIES_AT_A_SYNC: Option<&str> = Some("inject=fsync,fdatasync:signal=KILL:when=25");

fn nothing_yet() -> Record {
    Record { root: in_memory(), calls: Vec::new() }
}

/// A folder in memory where the system has one: the disks of this test are made of recorded syncs, real ones only cost
/// time.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn reports(numbers: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    numbers.map(|n| post_report(report(n).to_string().as_bytes())).collect()
}

fn photos(numbers: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    numbers.map(|n| put_photo(&jpeg(n))).collect()
}

/// A run that dies at a sync; one that gets everything again and more, past a checkpoint, and is ended in order; a
/// short third one.
fn long_record() -> Record {
    let mut record = nothing_yet();
    let early = [reports(0..30), photos(0..30), reports(30..60), photos(30..60)].concat();
    record.run(&early, 4, DIES_AT_A_SYNC);
    let late = [reports(60..200), photos(60..80)].concat();
    record.run(&[&*early, &late].concat(), 4, None);
    record.run(&late[..20], 4, None);
    record
}

/// What is wrong with an image, if anything.
fn examine(data: &Path, acknowledged: &BTreeMap<String, Leaf>) -> Result<(), String> {
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
        let found = held.reports.get(id).or(held.photos.get(id));
        if found != Some(leaf) {
            return Err(format!("{id} was acknowledged as {leaf:?}; there is {found:?}"));
        }
    }
    Ok(())
}

/// Cuts the power at a place of the trace; what is wrong afterwards.
fn cut_power_at(crash: usize, record: &Record, disk: &Disk, rng: &mut Rng) -> Result<(), String> {
    let image = in_memory();
    disk.image(crash, rng, image.path());
    let acknowledged = record.acknowledged().into_iter().filter(|a| a.0 < crash);
    let acknowledged = acknowledged.map(|(_, id, leaf)| (id, leaf)).collect();
    examine(&image.path().join("data"), &acknowledged)
        .map_err(|what| format!("power lost at {crash}: {what}"))
}

/// Cuts the power so many times; what was wrong afterwards.
fn cut_power(record: &Record, disk: &Disk, images: usize, rng: &mut Rng) -> Vec<String> {
    let acknowledged = record.acknowledged();
    let end = record.calls.last().unwrap().entered;
    let mut cut = || {
        // Half of them with the first byte of an answer just gone out.
        let crash = if rng.bool() { rng.choice(&acknowledged).unwrap().0 + 1 } else { rng.usize(1..=end) };
        cut_power_at(crash, record, disk, rng).err()
    };
    (0..images).filter_map(|_| cut()).collect()
}

#[test]
fn what_was_acknowledged_survives_a_loss_of_power() {
    let mut rng = chance("power");
    let record = long_record();
    let wal = record.data().join("jijia.db-wal");
    let begun =
        record.calls.iter().filter(|c| c.name == "pwrite64" && c.at(&wal) && c.number(3) == 0).count();
    assert!(
        begun > 3,
        "the write-ahead log was begun {begun} times in three runs: no checkpoint let it begin again"
    );
    let images = size(200, 3000);
    assert_eq!(cut_power(&record, &record.disk(|_| false), images, &mut rng), [] as [String; 0]);
    println!("power: {} acknowledgements in {} calls", record.acknowledged().len(), record.calls.len());
    shown("power", images, "disk images");

    // A disk that ignores syncs must lose something, or this test would find nothing.
    for (what, ignored) in [
        (
            "the write-ahead log (synchronous=NORMAL)",
            &(|p: &Path| p.ends_with("jijia.db-wal")) as &dyn Fn(&Path) -> bool,
        ),
        ("photos", &|p| {
            p.components().any(|c| ["photos", "uploads", "tmp"].iter().any(|folder| c.as_os_str() == *folder))
        }),
    ] {
        let faults = cut_power(&record, &record.disk(ignored), 10, &mut rng);
        println!("power: without the syncs of {what} {} of 10 images have lost something", faults.len());
        assert!(
            faults.iter().any(|f| f.contains("was acknowledged") || f.contains("photo ")),
            "{what}: {faults:?}"
        );
    }
}

/// A commit that was written and not synced when the process died reads as committed in the next one. Whoever sends its
/// report again gets a receipt, and no other sync comes by.
#[test]
fn a_receipt_given_after_a_kill_survives_a_loss_of_power() {
    let mut rng = chance("power after a kill");
    let mut record = nothing_yet();
    let requests = reports(0..60);
    let answered = record.run(&requests, 1, DIES_AT_A_SYNC);
    record.run(&requests[..=answered], 1, None);
    let (last, ..) = record.acknowledged().pop().unwrap();
    let disk = record.disk(|_| false);
    let images = size(20, 200);
    for _ in 0..images {
        assert_eq!(cut_power_at(last + 1, &record, &disk, &mut rng), Ok(()));
    }
    shown("power after a kill", images, "disk images");
}
