//! Every file call of a submission fails once, by EIO, by ENOSPC, or because the process dies at it: no false 2xx,
//! the store opens again, the log verifies, and sending again succeeds exactly once.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::audit::{Leaf, audit, leaf_of, leftovers};
use super::trace::{self, Attached, Call};
use super::{chance, shown, size};
use crate::serve::{Client, Serve, post_report, put_photo, serve};
use crate::service::{Answer, id, jpeg, report, sha256_of};

/// What a service says about files.
const FILES: &str = "trace=%desc,%file";

/// One submission.
struct Submission {
    request: Vec<u8>,
    /// The name of its entry.
    key: String,
}

impl Submission {
    fn report(n: u32) -> Self {
        Self { request: post_report(report(n).to_string().as_bytes()), key: id(n) }
    }

    fn photo(n: u32) -> Self {
        let photo = jpeg(n);
        Self { key: sha256_of(&photo), request: put_photo(&photo) }
    }

    fn send(&self, client: Client) -> Option<Answer> {
        client.send(&self.request)
    }

    /// Its leaf, if it is in the directory, all of which is checked.
    fn found(&self, data: &Path) -> Option<Leaf> {
        let held = audit(data).unwrap_or_else(|e| panic!("{}: {e}", self.key));
        held.reports.get(&self.key).or(held.photos.get(&self.key)).cloned()
    }
}

/// A call to be hit: the n-th of its name since strace is there, within its thread.
#[derive(Clone, Debug)]
struct Target {
    name: String,
    nth: usize,
}

/// The service in `folder`, with the guard file beside its data. On one worker, so that the same thread does the same
/// calls.
fn start(folder: &Path) -> Serve {
    let mut command = serve(&folder.join("data"));
    Serve::run(command.env("JIJIA_LOG_GUARD_FILE", folder.join("guard")).env("TOKIO_WORKER_THREADS", "1"))
}

/// A folder that holds one report, under a signed checkpoint: a service that starts on it has nothing to do but what is
/// asked of it.
fn with_one_report(report: &Submission) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let serve = start(folder.path());
    report.send(serve.client).unwrap().created();
    let db = rusqlite::Connection::open(folder.path().join("data/jijia.db")).unwrap();
    let signed = "select (select max(size) from checkpoint) is (select size from log_head)";
    let begun = Instant::now();
    while !db.query_row(signed, [], |r| r.get::<_, bool>(0)).unwrap() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint");
        std::thread::yield_now();
    }
    folder
}

fn copy(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    assert!(Command::new("cp").arg("-r").arg(folder.join(".")).arg(copy.path()).status().unwrap().success());
    copy
}

/// The calls that one submission makes on files of the data directory until its answer.
fn calls_of(submission: &Submission, base: &Path) -> Vec<Target> {
    let folder = copy(base);
    let file = folder.path().join("trace");
    let mut serve = start(folder.path());
    let strace = Attached::to(&serve, &file, &[FILES]);
    submission.send(serve.client).unwrap().created();
    serve.kill();
    strace.wait();
    let calls = trace::read(&file);
    let answer = calls.iter().position(|c| c.acknowledges().is_some()).expect("an answer");
    let nth = |call: &Call| {
        let same = |c: &&Call| c.thread == call.thread && c.name == call.name && c.entered <= call.entered;
        calls.iter().filter(same).count()
    };
    let on_files = calls[..answer].iter().filter(|c| c.touches(&folder.path().join("data")));
    on_files.map(|c| Target { name: c.name.clone(), nth: nth(c) }).collect()
}

/// How the call fails.
const FAULTS: [&str; 3] = ["error=EIO", "error=ENOSPC", "signal=KILL"];

/// Sends with the fault in place, then checks everything. `false`: the call was not met this time.
fn survives(submission: &Submission, target: &Target, fault: &str, base: &Path) -> bool {
    let what = format!("{target:?} {fault}");
    let folder = copy(base);
    let (data, file) = (folder.path().join("data"), folder.path().join("trace"));
    let mut serve = start(folder.path());
    let inject = format!("inject={}:{fault}:when={}", target.name, target.nth);
    let strace = Attached::to(&serve, &file, &[FILES, &inject]);
    let heard = submission.send(serve.client).and_then(|answer| {
        // No fault of ours is said to be one of the sender's.
        assert!(!(300..500).contains(&answer.status), "{what}: {}", answer.text());
        (answer.status < 300).then(|| leaf_of(&answer))
    });
    serve.kill();
    strace.wait();

    // The service is the first to open the database again.
    let serve = start(folder.path());
    assert_eq!(leftovers(&data), [] as [&Path; 0], "{what}");
    let there = submission.found(&data);
    assert!(heard.is_none() || heard == there, "{what}: {heard:?} was acknowledged, {there:?} is there");
    let again = submission.send(serve.client).unwrap();
    assert!(matches!(again.status, 200 | 201), "{what}: {}", again.text());
    assert!(heard.is_none_or(|h| h == leaf_of(&again)), "{what}: another receipt");
    assert_eq!(submission.found(&data), Some(leaf_of(&again)), "{what}");
    assert!(Submission::report(0).found(&data).is_some(), "{what}: what was acknowledged before");
    let met = |c: &Call| c.name == target.name && c.touches(&data) && (c.injected || c.left == usize::MAX);
    trace::read(&file).iter().any(met)
}

#[test]
fn every_failing_file_call_of_a_submission_is_survived() {
    let mut rng = chance("inject");
    let base = with_one_report(&Submission::report(0));
    let submissions = [Submission::report(1), Submission::photo(1)];
    let mut cases = Vec::new();
    for submission in &submissions {
        let calls = calls_of(submission, base.path());
        assert!(calls.iter().any(|c| c.name.ends_with("sync")), "{calls:?}");
        cases.extend(calls.into_iter().flat_map(|c| FAULTS.map(|fault| (submission, c.clone(), fault))));
    }
    let all = cases.len();
    rng.shuffle(&mut cases);
    cases.truncate(size(60, all));
    let hit = cases
        .iter()
        .filter(|(submission, call, fault)| survives(submission, call, fault, base.path()))
        .count();
    println!("inject: {hit} of {} tries met their call; there are {all} calls and faults", cases.len());
    // Which thread writes a photo's pieces is not always the same, and the publisher reads beside.
    assert!(hit * 10 >= cases.len() * 7);
    shown("inject", hit, "failing calls");
}
