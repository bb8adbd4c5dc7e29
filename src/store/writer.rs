//! The one writing connection: a thread that commits groups of commands, and answers only after the commit.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::tx::{Tx, again, store_error};
use crate::error::{Error, Result};

/// Commands per transaction: more than 64 callers gain little, and a reader waits for the lock meanwhile.
const GROUP: usize = 64;

type Answer = Box<dyn FnOnce(Option<&Error>) + Send>;
/// Without a transaction (it could not begin) a command does not run, and its answer carries the reason.
type Job = Box<dyn FnOnce(Option<&mut Tx<'_>>) -> Answer + Send>;

/// Commands that ride along with the next group.
#[derive(Clone, Default)]
struct Riders(Arc<Mutex<Vec<Job>>>);

impl std::fmt::Debug for Riders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Riders")
    }
}

impl Riders {
    fn list(&self) -> MutexGuard<'_, Vec<Job>> {
        // The list is whole at any time: a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way to the writing thread. Cheap to clone; the thread ends when the last clone is gone.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    /// What makes no commit of its own.
    riders: Riders,
    broken: Arc<AtomicBool>,
    committed: watch::Sender<u64>,
}

impl Writer {
    /// Starts the thread on an open connection.
    pub fn start(conn: Connection) -> Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(1024);
        let broken = Arc::new(AtomicBool::new(false));
        let (committed, _) = watch::channel(0);
        let riders = Riders::default();
        let this =
            Self { jobs, riders: riders.clone(), broken: Arc::clone(&broken), committed: committed.clone() };
        let run = move || {
            // Also when a command panics: then no writing thread is left, and /readyz must say so.
            let _ended = Ended(Arc::clone(&broken), committed.clone());
            let mut group = Vec::with_capacity(GROUP);
            while queue.blocking_recv_many(&mut group, GROUP) > 0 {
                if broken.load(Ordering::SeqCst) {
                    // Their callers find the answer's sender gone: "the store has stopped writing".
                    group.clear();
                    continue;
                }
                group.append(&mut riders.list());
                if commit_group(&conn, &mut group).is_err_and(|e| matches!(e, Error::Internal(_))) {
                    broken.store(true, Ordering::SeqCst);
                }
                committed.send_modify(|n| *n += 1);
            }
        };
        std::thread::Builder::new().name("writer".into()).spawn(run)?;
        Ok(this)
    }

    /// Runs `command` in the next group's transaction and answers after its commit. The command runs to its end
    /// even when the caller has gone: axum drops a handler whose client left, and that must not tear a write.
    pub async fn run<T, F>(&self, command: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |tx| {
            let result = tx.map(|tx| tx.apart(command));
            Box::new(move |failed| {
                let answered = match (failed, result) {
                    (None, Some(result)) => result,
                    (Some(error), _) => Err(again(error)),
                    (None, None) => Err(Error::Unavailable("the command did not run".into())),
                };
                // The receiver may be gone; then nobody waits for the answer.
                let _ = answer.send(answered);
            })
        });
        let gone = || Error::Unavailable("the store has stopped writing; see the log".into());
        self.jobs.send(job).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Runs `command` with the next command of somebody else, and never by itself: what only reads must not commit, since a
    /// commit that fails ends all writing. `committed` is told once it is durable.
    pub fn ride_along(
        &self,
        command: impl FnOnce(&mut Tx<'_>) -> Result<()> + Send + 'static,
        committed: impl FnOnce() + Send + 'static,
    ) {
        let job: Job = Box::new(move |tx| {
            let done = tx.is_some_and(|tx| tx.apart(command).is_ok());
            Box::new(move |failed| {
                if done && failed.is_none() {
                    committed();
                }
            })
        });
        self.riders.list().push(job);
    }

    /// A commit failed by an I/O error: nothing more is written, the process must be restarted.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }

    /// Changes with every group.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }
}

/// Says, when the writing thread ends however it ends, that nothing is written any more.
struct Ended(Arc<AtomicBool>, watch::Sender<u64>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        self.1.send_modify(|n| *n += 1);
    }
}

/// One transaction for the group. Each command stands in a savepoint of its own, so a conflict costs only itself.
fn commit_group(conn: &Connection, group: &mut Vec<Job>) -> Result<()> {
    let mut answers = Vec::with_capacity(group.len());
    let outcome = begin_and_run(conn, group, &mut answers);
    if let Err(error) = &outcome {
        tracing::error!(%error, commands = answers.len(), "commit failed; nothing was acknowledged");
        // Best effort: after a failed COMMIT the transaction may or may not stand.
        let _ = conn.execute_batch("rollback");
    }
    // Crash here: the entries are durable, the senders ask again and get the same receipts.
    for answer in answers {
        answer(outcome.as_ref().err());
    }
    outcome
}

fn begin_and_run(conn: &Connection, group: &mut Vec<Job>, answers: &mut Vec<Answer>) -> Result<()> {
    // IMMEDIATE: the head is read inside the writing transaction, since `import` and `timeline` may write from a
    // second process.
    let begun = conn.execute_batch("begin immediate").map_err(store_error).and_then(|()| Tx::begin(conn));
    match begun {
        Ok(mut tx) => {
            // SQLite takes the whole transaction back when a statement meets a full or failing disk. A command after
            // that would commit by itself, at a place behind entries that are gone.
            answers.extend(group.drain(..).map(|job| job((!conn.is_autocommit()).then_some(&mut tx))));
            if conn.is_autocommit() {
                return Err(tx.loss());
            }
            tx.save_head()?;
            conn.execute_batch("commit").map_err(store_error)
        }
        Err(error) => {
            answers.extend(group.drain(..).map(|job| job(None)));
            Err(error)
        }
    }
}

/// Opens the writing connection: WAL, a sync before every commit returns, checked by reading it back.
pub(super) fn open_writing(path: &Path) -> Result<Connection> {
    let conn = Connection::open(path).map_err(store_error)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.execute_batch(
        "pragma busy_timeout = 5000; pragma journal_mode = wal; pragma synchronous = full;
         pragma foreign_keys = on; pragma cache_size = -16000; pragma temp_store = memory;
         pragma journal_size_limit = 67108864; pragma secure_delete = on;",
    )
    .map_err(store_error)?;
    let (mode, sync): (String, i64) = conn
        .query_row("select (select journal_mode from pragma_journal_mode), (select synchronous from pragma_synchronous)", [], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .map_err(store_error)?;
    if mode != "wal" || sync != 2 {
        return Err(Error::Unavailable(format!(
            "{}: SQLite gave journal_mode={mode}, synchronous={sync}; needed: wal and 2 (full). Is the data directory \
             on a network file system? Put it on a local disk",
            path.display()
        )));
    }
    settle(&conn)?;
    Ok(conn)
}

/// Brings to the disk what a killed process, or one whose sync failed, left in the write-ahead log: it reads as
/// committed and may be in memory alone, and who sends it again gets its receipt. A checkpoint syncs the log, writes its
/// pages into the database and syncs that.
fn settle(conn: &Connection) -> Result<()> {
    match conn.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(())).map_err(store_error) {
        // The log was synced before there was no room for its pages. Reading must be possible on a full disk.
        Err(Error::NoSpace(_)) => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::evidence::entry::{Kind, Payload};

    /// A command that appends one entry, and where its answer goes.
    fn adds(hash: &str, payload: Vec<u8>) -> (Job, oneshot::Receiver<bool>) {
        let (answer, answered) = oneshot::channel();
        let hash = hash.to_owned();
        let job: Job = Box::new(move |tx| {
            let (at, kind) = (Clock::System.now(), Kind::Place { hash });
            let payload = Payload::new("record", payload).unwrap();
            let added = tx.is_some_and(|tx| tx.apart(|tx| tx.append(at, kind, "place", &[payload])).is_ok());
            Box::new(move |failed| answer.send(added && failed.is_none()).unwrap())
        });
        (job, answered)
    }

    fn rows(conn: &Connection) -> (u64, u64) {
        conn.query_row("select (select count(*) from entry), size from log_head", [], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .unwrap()
    }

    fn opened(dir: &Path) -> Connection {
        let path = dir.join("jijia.db");
        let conn = open_writing(&path).unwrap();
        crate::store::migrate(&conn, &Clock::System, &path).unwrap();
        conn
    }

    #[test]
    fn a_transaction_that_is_lost_in_the_middle_of_a_group_takes_the_whole_group_along() {
        let dir = tempfile::tempdir().unwrap();
        let conn = opened(dir.path());
        let (first, first_answered) = adds("a", vec![0; 10]);
        let (last, last_answered) = adds("c", vec![0; 10]);
        // What SQLite does by itself when a page cannot be written.
        let lost: Job = Box::new(|tx| {
            let result = tx.map(|tx| tx.apart(|tx| Ok(tx.conn.execute_batch("rollback").is_ok())));
            Box::new(move |failed| assert!(failed.is_some() && !matches!(result, Some(Ok(true)))))
        });
        assert!(commit_group(&conn, &mut vec![first, lost, last]).is_err());
        assert!(!first_answered.blocking_recv().unwrap() && !last_answered.blocking_recv().unwrap());
        assert_eq!(rows(&conn), (0, 0), "none of them, not the last either");
        // The next group is taken.
        let (again, answered) = adds("a", vec![0; 10]);
        commit_group(&conn, &mut vec![again]).unwrap();
        assert!(answered.blocking_recv().unwrap());
        assert_eq!(rows(&conn), (1, 1));
    }

    #[test]
    fn a_disk_that_is_full_in_the_middle_of_a_group_costs_what_did_not_fit() {
        let dir = tempfile::tempdir().unwrap();
        let conn = opened(dir.path());
        let group = |large: usize| -> (Vec<Job>, Vec<_>) {
            [adds("a", vec![0; 10]), adds("b", vec![0; large]), adds("c", vec![0; 10])].into_iter().unzip()
        };
        // A few pages more and no further: what SQLite meets on a full disk.
        let pages: u64 = conn.query_row("pragma page_count", [], |r| r.get(0)).unwrap();
        conn.query_row(&format!("pragma max_page_count = {}", pages + 5), [], |_| Ok(())).unwrap();
        let (mut jobs, answers) = group(4_000_000);
        let whole = commit_group(&conn, &mut jobs).is_ok();
        let taken: Vec<bool> = answers.into_iter().map(|a| a.blocking_recv().unwrap()).collect();
        let kept = taken.iter().filter(|t| **t).count() as u64;
        assert!(!taken[1] && (whole || kept == 0), "{taken:?}");
        assert_eq!(rows(&conn), (kept, kept), "what was answered is there, and nothing else");
        // With room again everything is taken.
        conn.query_row("pragma max_page_count = 1000000", [], |_| Ok(())).unwrap();
        let (mut jobs, answers) = group(4_000_000);
        commit_group(&conn, &mut jobs).unwrap();
        assert!(answers.into_iter().all(|a| a.blocking_recv().unwrap()));
        assert_eq!(rows(&conn), (kept + 3, kept + 3));
    }
}
