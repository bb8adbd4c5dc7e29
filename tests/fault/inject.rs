//! Every file call of a submission fails once, by EIO, by ENOSPC, or because the process dies at it: no false 2xx,
//! the store opens again, the log verifies, and sending again succeeds exactly once.

use std::path::Path;

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

/// On one worker, so that the same thread does the same calls.
fn start(data: &Path) -> Serve {
    Serve::run(serve(data).env("TOKIO_WORKER_THREADS", "1"))
}

/// The calls that one submission makes on files of the data directory.
fn calls_of(submission: &Submission) -> Vec<Target> {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("trace"));
    let mut serve = start(&data);
    let strace = Attached::to(&serve, &file, &[FILES]);
    submission.send(serve.client).unwrap().created();
    serve.kill();
    strace.wait();
    let calls = trace::read(&file);
    let nth = |call: &Call| {
        let same = |c: &&Call| c.thread == call.thread && c.name == call.name && c.entered <= call.entered;
        calls.iter().filter(same).count()
    };
    let on_files = calls.iter().filter(|c| c.touches(&data));
    on_files.map(|c| Target { name: c.name.clone(), nth: nth(c) }).collect()
}

/// How the call fails.
const FAULTS: [&str; 3] = ["error=EIO", "error=ENOSPC", "signal=KILL"];

/// Sends with the fault in place, then checks everything. `false`: the call was not met this time.
fn survives(submission: &Submission, target: &Target, fault: &str) -> bool {
    let what = format!("{target:?} {fault}");
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("trace"));
    let mut serve = start(&data);
    let other = Submission::report(0);
    let before = leaf_of(&other.send(serve.client).unwrap());
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
    let serve = start(&data);
    assert_eq!(leftovers(&data), [] as [&Path; 0], "{what}");
    let there = submission.found(&data);
    assert!(heard.is_none() || heard == there, "{what}: {heard:?} was acknowledged, {there:?} is there");
    let again = submission.send(serve.client).unwrap();
    assert!(matches!(again.status, 200 | 201), "{what}: {}", again.text());
    assert!(heard.is_none_or(|h| h == leaf_of(&again)), "{what}: another receipt");
    assert_eq!(submission.found(&data), Some(leaf_of(&again)), "{what}");
    assert_eq!(other.found(&data), Some(before), "{what}: what was acknowledged before");
    let met = |c: &Call| c.name == target.name && c.touches(&data) && (c.injected || c.left == usize::MAX);
    trace::read(&file).iter().any(met)
}

#[test]
fn every_failing_file_call_of_a_submission_is_survived() {
    let mut rng = chance("inject");
    let submissions = [Submission::report(1), Submission::photo(1)];
    let mut cases = Vec::new();
    for submission in &submissions {
        let calls = calls_of(submission);
        assert!(calls.iter().any(|c| c.name.ends_with("sync")), "{calls:?}");
        cases.extend(calls.into_iter().flat_map(|c| FAULTS.map(|fault| (submission, c.clone(), fault))));
    }
    let all = cases.len();
    rng.shuffle(&mut cases);
    cases.truncate(size(60, all));
    let hit = cases.iter().filter(|(submission, call, fault)| survives(submission, call, fault)).count();
    println!("inject: {hit} of {} tries met their call; there are {all} calls and faults", cases.len());
    // Which thread writes a photo's pieces is not always the same.
    assert!(hit * 10 >= cases.len() * 8);
    shown("inject", hit, "failing calls");
}
