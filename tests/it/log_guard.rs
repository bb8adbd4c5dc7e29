//! What is never signed: the publisher against old databases, second instances and flipped bits.

use std::path::{Path, PathBuf};

use jijia::clock::Clock;
use jijia::config;
use jijia::error::{Error, Result};
use jijia::evidence::checkpoint::SignedCheckpoint;
use jijia::publish::Publisher;
use jijia::store::{Opener, Store};

/// A data directory with its guard beside it, in a folder that goes with the test.
pub struct Log {
    folder: tempfile::TempDir,
}

impl Log {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn guard(&self) -> PathBuf {
        self.folder.path().join("data.guard")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn db(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir().join("jijia.db")).unwrap()
    }

    pub async fn store(&self) -> Store {
        Store::open(&self.dir(), Opener::Tool, Clock::System).await.unwrap()
    }

    /// One publication by a process that starts now.
    pub async fn publish(&self) -> Result<SignedCheckpoint> {
        Publisher::open(self.store().await, &config()).await?.publish().await
    }
}

/// `[log]` as shipped.
pub fn config() -> config::Log {
    config::load(None, []).unwrap().log
}

/// Adds `n` entries.
pub async fn add(store: &Store, n: u64) {
    let size = store.log_head().await.unwrap().size;
    for i in size..size + n {
        store.add_export("csv", [7; 32], i, format!("filter {i}"), "test".into()).await.unwrap();
    }
}

#[track_caller]
pub fn refused(result: Result<SignedCheckpoint>, words: &str) {
    match result {
        Err(Error::Conflict(said)) => {
            assert!(said.starts_with("nothing was signed: ") && said.contains(words), "{said}");
        }
        other => panic!("{other:?} instead of {words}"),
    }
}

/// A copy of the database as a backup has it: whole, in one file.
pub fn back_up(from: &Path, to: &Path) {
    let db = rusqlite::Connection::open(from.join("jijia.db")).unwrap();
    db.execute("vacuum into ?1", [to.to_str().unwrap()]).unwrap();
}

/// The log on a host of its own: this database, the key, and the guard as it is now.
pub fn restored(log: &Log, db: &Path) -> Log {
    let host = Log::new();
    std::fs::create_dir(host.dir()).unwrap();
    std::fs::copy(db, host.dir().join("jijia.db")).unwrap();
    std::fs::copy(log.dir().join("log.key"), host.dir().join("log.key")).unwrap();
    std::fs::copy(log.guard(), host.guard()).unwrap();
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_comes_under_a_checkpoint_whatever_process_signs() {
    let log = Log::new();
    let store = log.store().await;
    let mut seen = 0;
    for n in [1, 1, 2, 250, 1, 1, 1, 300, 5000] {
        add(&store, n).await;
        let checkpoint = log.publish().await.unwrap();
        let head = store.log_head().await.unwrap();
        seen += n;
        assert_eq!((checkpoint.checkpoint().size, checkpoint.checkpoint().root), (seen, head.root));
        assert_eq!(log.publish().await.unwrap(), checkpoint, "nothing new, nothing signed");
        assert_eq!(std::fs::read_to_string(log.guard()).unwrap(), checkpoint.to_string());
        assert_eq!(
            store.list_checkpoints().await.unwrap().len(),
            1,
            "what a larger one proves too is not kept"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_old_database_is_never_signed_and_says_why() {
    let log = Log::new();
    let backups = tempfile::tempdir().unwrap();
    let store = log.store().await;
    let mut sizes = Vec::new();
    for i in 0..100 {
        add(&store, 1 + i % 3).await;
        log.publish().await.unwrap();
        back_up(&log.dir(), &backups.path().join(i.to_string()));
        sizes.push(store.log_head().await.unwrap().size);
    }
    add(&store, 1).await;
    let newest = log.publish().await.unwrap();
    let signed = newest.checkpoint().size;
    for (i, size) in sizes.iter().enumerate() {
        let old = restored(&log, &backups.path().join(i.to_string()));
        refused(old.publish().await, &format!("the log has {size} entries, but {signed} were signed"));
        // Nor when it went on past what was signed.
        add(&old.store().await, signed - size + 1).await;
        refused(old.publish().await, "are not those that were signed");
        assert_eq!(std::fs::read_to_string(old.guard()).unwrap(), newest.to_string());
        let kept: Vec<u64> =
            old.store().await.list_checkpoints().await.unwrap().iter().map(|c| c.checkpoint().size).collect();
        assert_eq!(kept, [*size], "of backup {i}");
    }
}
