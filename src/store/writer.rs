//! The one writing connection: a thread that commits groups of commands, and answers only after the commit.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, OptionalExtension, ffi::ErrorCode};
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::{Error, Result};
use crate::evidence::entry::{Entry, Payload, Receipt};
use crate::evidence::merkle::{self, Hash, Head};

/// Commands per transaction: more than 64 callers gain little, and a reader waits for the lock meanwhile.
const GROUP: usize = 64;

type Answer = Box<dyn FnOnce(Option<&Error>) + Send>;
/// Without a transaction (it could not begin) a command does not run, and its answer carries the reason.
type Job = Box<dyn FnOnce(Option<&mut Tx<'_>>) -> Answer + Send>;

/// The way to the writing thread. Cheap to clone; the thread ends when the last clone is gone.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    broken: Arc<AtomicBool>,
    committed: watch::Sender<u64>,
}

impl Writer {
    /// Starts the thread on an open connection.
    pub fn start(conn: Connection) -> Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(1024);
        let broken = Arc::new(AtomicBool::new(false));
        let (committed, _) = watch::channel(0);
        let this = Self { jobs, broken: Arc::clone(&broken), committed: committed.clone() };
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

fn again(error: &Error) -> Error {
    match error {
        Error::NoSpace(m) => Error::NoSpace(m.clone()),
        other => Error::Unavailable(other.to_string()),
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
                return Err(tx
                    .grave
                    .take()
                    .unwrap_or_else(|| Error::Internal("the transaction was lost".into())));
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

/// Runs a command in the transaction that stands open on `conn`.
pub(super) fn in_transaction(
    conn: &Connection,
    command: impl FnOnce(&mut Tx<'_>) -> Result<()>,
) -> Result<()> {
    let mut tx = Tx::begin(conn)?;
    command(&mut tx)?;
    tx.save_head()
}

/// What went wrong in SQLite, by what the caller can do. A commit that fails for another reason than space or a
/// busy neighbour is `Internal`: fsync must not be tried again (fsyncgate), the process stops writing.
#[expect(clippy::needless_pass_by_value, reason = "a function for map_err")]
pub(super) fn store_error(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::NoSpace("the disk is full".into()),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::Unavailable("another process is writing; try again".into())
        }
        _ => Error::Internal(error.to_string()),
    }
}

/// The open transaction with the log's head.
pub(super) struct Tx<'c> {
    /// The writing connection.
    pub conn: &'c Connection,
    head: Head,
    loaded_size: u64,
    grave: RefCell<Option<Error>>,
}

impl<'c> Tx<'c> {
    fn begin(conn: &'c Connection) -> Result<Self> {
        let (size, frontier) = conn
            .prepare_cached("select size, frontier from log_head where one = 1")
            .and_then(|mut s| s.query_row([], |r| Ok((r.get::<_, u64>(0)?, r.get::<_, Vec<u8>>(1)?))))
            .map_err(store_error)?;
        let head = Head::from_parts(size, &frontier).ok_or_else(|| {
            Error::Internal("the stored head of the log is damaged; run `jijia audit`".into())
        })?;
        Ok(Self { conn, head, loaded_size: size, grave: RefCell::new(None) })
    }

    /// Runs one command so that its failure undoes only its own rows.
    fn apart<T>(&mut self, command: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let head = self.head.clone();
        self.step("savepoint one")?;
        let result = command(self);
        if result.is_err() {
            self.head = head;
            self.step("rollback to one")?;
        }
        self.step("release one")?;
        result
    }

    fn step(&self, sql: &str) -> Result<()> {
        self.conn.prepare_cached(sql).and_then(|mut s| s.execute([])).map(|_| ()).map_err(|e| self.failed(e))
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        let error = store_error(error);
        if self.conn.is_autocommit() {
            // The first says why; what fails after it only finds no transaction. An I/O error stays one: it ends the
            // writing for good.
            let why = match &error {
                Error::Internal(m) => Error::Internal(m.clone()),
                other => again(other),
            };
            self.grave.borrow_mut().get_or_insert(why);
        }
        error
    }

    fn save_head(&mut self) -> Result<()> {
        if self.head.size() == self.loaded_size {
            return Ok(());
        }
        self.exec(
            "update log_head set size = ?1, frontier = ?2 where one = 1",
            (self.head.size(), self.head.frontier()),
        )
    }

    /// The log's head as this transaction has it.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Appends an entry as the next leaf and keeps its payloads.
    pub fn append(&mut self, entry: &Entry, id: &str, payloads: &[Payload]) -> Result<Receipt> {
        let bytes = entry.to_bytes()?;
        let leaf = merkle::leaf_hash(&bytes);
        let index = self.head.size();
        let received_at = entry.received_at();
        self.exec(
            "insert into entry (idx, kind, received_ms, body, leaf) values (?1, ?2, ?3, ?4, ?5)",
            (index, entry.kind(), received_at.as_millisecond(), &bytes, leaf),
        )?;
        for p in payloads {
            self.exec(
                "insert into payload (entry, name, salt, body) values (?1, ?2, ?3, ?4)",
                (index, p.name, p.salt, &p.body),
            )?;
        }
        self.head.push(leaf);
        Ok(Receipt { id: id.to_owned(), index, leaf_hash: hex::encode(leaf), received_at })
    }

    /// The receipt of an entry already in the log.
    pub fn receipt(&self, id: &str, index: u64) -> Result<Receipt> {
        let (ms, leaf): (i64, Hash) =
            self.row("select received_ms, leaf from entry where idx = ?1", (index,))?;
        let received_at = crate::clock::from_ms(ms);
        Ok(Receipt { id: id.to_owned(), index, leaf_hash: hex::encode(leaf), received_at })
    }

    /// Runs a statement from the cache.
    pub fn exec(&self, sql: &str, params: impl rusqlite::Params) -> Result<()> {
        self.conn
            .prepare_cached(sql)
            .and_then(|mut s| s.execute(params))
            .map(|_| ())
            .map_err(|e| self.failed(e))
    }

    /// The one row, which must be there.
    pub fn row<T: FromRow>(&self, sql: &str, params: impl rusqlite::Params) -> Result<T> {
        self.conn
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row(params, T::from_row))
            .map_err(|e| self.failed(e))
    }

    /// The row, if it is there.
    pub fn find<T: FromRow>(&self, sql: &str, params: impl rusqlite::Params) -> Result<Option<T>> {
        self.conn
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row(params, T::from_row).optional())
            .map_err(|e| self.failed(e))
    }
}

/// A row as a tuple.
pub(super) trait FromRow: Sized {
    /// Reads the columns in order.
    fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self>;
}

macro_rules! from_row {
    ($($t:ident $i:tt),+) => {
        impl<$($t: rusqlite::types::FromSql),+> FromRow for ($($t,)+) {
            fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
                Ok(($(row.get::<_, $t>($i)?,)+))
            }
        }
    };
}
from_row!(A 0);
from_row!(A 0, B 1);
from_row!(A 0, B 1, C 2);
from_row!(A 0, B 1, C 2, D 3);

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

    /// A command that appends one entry, and where its answer goes.
    fn adds(hash: &str, payload: Vec<u8>) -> (Job, oneshot::Receiver<bool>) {
        let (answer, answered) = oneshot::channel();
        let hash = hash.to_owned();
        let job: Job = Box::new(move |tx| {
            let entry = Entry::Place { v: 1, received_at: Clock::System.now(), hash };
            let payload = Payload::new("record", payload).unwrap();
            let added = tx.is_some_and(|tx| tx.apart(|tx| tx.append(&entry, "place", &[payload])).is_ok());
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
