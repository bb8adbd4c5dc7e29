//! The only SQL. One writing thread commits in groups; readers never wait for it; photos and voice notes lie beside the
//! database, sealed under their hash. Verbs per noun: `add_` appends once, `list_`, `find_` (Option), `get_` (else not found).

pub mod audit;
pub mod backup;
mod bundle;
mod compliance;
mod corrections;
mod dead_letters;
mod dead_quota;
mod decoder;
pub mod erasure;
mod follow;
mod log;
mod observations;
mod outbox;
mod overview;
mod pace;
pub mod people;
mod photos;
mod private;
mod reports;
mod sealed;
mod seen_heads;
mod sign_ins;
mod stations;
mod timeline;
mod tx;
mod upload_quota;
mod uploads;
mod view;
mod voices;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rusqlite::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::evidence::entry::Kind;
use crate::evidence::merkle::Hash;
use decoder::Decoder;
use tx::store_error;
use writer::Writer;

pub use bundle::{RowPlace, StoredPayload};
pub use dead_letters::ShownDeadLetter;
pub use dead_quota::{CUT_BYTES, DAY_BYTES};
pub use follow::{Cursor, FollowedObservation};
pub use log::begin_origin;
pub use log::{KeyChange, StoredEntry};
pub use observations::BatchOutcome;
pub use outbox::{Door, Taken};
pub use reports::Added;
pub use sealed::{SealedFile, erased};
pub use sign_ins::{SignInEvent, SignInLine};
pub use stations::{OTHERS_MAX, not_admitted};
pub use uploads::Upload;

/// The oldest SQLite that does not have the WAL-reset corruption (3.7.0 to 3.51.2).
const SQLITE_MIN: i32 = 3_051_003;
/// The schema this program knows; a database with a larger number was made by a newer one.
const SCHEMA: i64 = 11;
const MIGRATIONS: [&str; SCHEMA as usize] = [
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
    include_str!("migrations/0011.sql"),
];
/// The log's signing key in the data directory.
const KEY: &str = "log.key";
/// The schema from which on every dead letter stands under an entry.
const DEAD_UNDER_ENTRIES: i64 = 3;

/// Who opens the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// The service: only one at a time.
    Service,
    /// A command at the shell, beside a running service or alone.
    Tool,
}

/// The open data directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    writer: Writer,
    readers: SqlitePool,
    /// Who somebody is: connections of their own, so that no timeline or export keeps a request from its door.
    account_readers: SqlitePool,
    last_used: people::LastUsed,
    seen_heads: seen_heads::SeenHeadsSaid,
    dir: Arc<Path>,
    clock: Clock,
    demo: bool,
    decoder: Decoder,
    uploads: uploads::Uploads,
    /// Index of the entry with the rules by which this process judges.
    rules: Arc<OnceLock<u64>>,
    stations: stations::Stations,
    /// Of the service alone.
    sign_ins: Option<sign_ins::SignIns>,
    _lock: Option<Arc<File>>,
}

/// The log as one transaction saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// Entries.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
}

impl Store {
    /// Opens or makes the data directory `dir`. A simulated `clock` marks a new directory as demo for good and is
    /// refused by a real one; a demo directory may later be opened with the system clock.
    ///
    /// # Errors
    /// `Unavailable` where the directory cannot be used, with what to do about it: another service has it, a newer
    /// program made it, the disk does not sync.
    pub async fn open(dir: &Path, opener: Opener, clock: Clock) -> Result<Self> {
        if rusqlite::version_number() < SQLITE_MIN {
            return Err(Error::Unavailable(format!(
                "SQLite {} has the WAL-reset corruption; needed: 3.51.3 or newer",
                rusqlite::version()
            )));
        }
        for part in ["photos", "previews", "voices", "tmp", "uploads"] {
            make_dir(&dir.join(part))
                .map_err(|e| Error::Unavailable(format!("data directory {}: {e}", dir.display())))?;
        }
        let opened = private::close_to_others(dir)?;
        if opener == Opener::Service && opened > 1 {
            tracing::warn!(
                files = opened,
                "the data directory was open to others; closed it (0700, files 0600)"
            );
        }
        let lock = (opener == Opener::Service).then(|| lock(dir)).transpose()?.map(Arc::new);
        let path = dir.join("jijia.db");
        let conn = writer::open_writing(&path)?;
        let demo = migrate(&conn, &clock, &path)?;
        let stations = stations::Stations::read(&conn)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .read_only(true)
            .pragma("cache_size", "-8000")
            .pragma("temp_store", "memory")
            .busy_timeout(std::time::Duration::from_secs(5));
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections);
        let account_readers = pool(2).connect_with(options.clone()).await.map_err(read_error)?;
        let readers = pool(3).connect_with(options).await.map_err(read_error)?;
        Ok(Self {
            writer: Writer::start(conn)?,
            readers,
            account_readers,
            last_used: people::LastUsed::default(),
            seen_heads: seen_heads::SeenHeadsSaid::default(),
            dir: dir.into(),
            clock,
            demo,
            decoder: Decoder::start()?,
            rules: Arc::default(),
            uploads: uploads::Uploads::of(&dir.join("uploads"))?,
            stations,
            sign_ins: lock.is_some().then(|| sign_ins::SignIns::start(dir)).transpose()?,
            _lock: lock,
        })
    }

    /// The data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The clock everything is received by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The directory is marked as demo.
    #[must_use]
    pub fn is_demo(&self) -> bool {
        self.demo
    }

    /// A commit failed by an I/O error; the process must be restarted.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.writer.is_broken()
    }

    /// Changes with every commit of this process.
    #[must_use]
    pub fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.writer.watch()
    }

    /// Runs `work`, which decodes a photo, when no other is being decoded, on a thread of its own.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn decode<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.decoder.run(work).await
    }

    /// A folder of its own inside the data directory, gone when dropped: documents pass through it.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn temporary_folder(&self) -> Result<TemporaryFolder> {
        let tmp = self.dir.join("tmp");
        off_thread(move || Ok(TemporaryFolder(Some(tempfile::TempDir::new_in(tmp)?)))).await
    }

    /// Bytes free on the disk of the data directory; `None` where the system does not say.
    pub async fn free_bytes(&self) -> Option<u64> {
        let dir = self.dir.clone();
        off_thread(move || Ok(fs4::available_space(&*dir)?)).await.ok()
    }
}

/// A folder that is removed, off the threads that serve, when it is dropped.
#[derive(Debug)]
pub struct TemporaryFolder(Option<tempfile::TempDir>);

impl TemporaryFolder {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), tempfile::TempDir::path)
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // Best effort: the service removes an old one at its start.
        let folder = self.0.take();
        later(move || drop(folder));
    }
}

/// Runs what blocks, a call of the file system or long work, off the threads that serve. Once begun it runs to its end,
/// even when the caller has gone.
///
/// # Errors
/// Those of `work`; `Internal` if it panics.
pub async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))?
}

/// The same from a `drop`, which nobody waits for; at once where there is no runtime.
fn later(work: impl FnOnce() + Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        Err(_) => work(),
    }
}

/// Takes the service's lock; the system gives it back when the process ends, however it ends.
fn lock(dir: &Path) -> Result<File> {
    let file = File::create(dir.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Unavailable(format!(
            "another `jijia serve` has the data directory {}; stop it, or give this one a directory of its own \
             (--data)",
            dir.display()
        ))),
        Err(std::fs::TryLockError::Error(e)) => Err(e.into()),
    }
}

/// Brings the schema to [`SCHEMA`] and settles whether the directory is a demo.
fn migrate(conn: &Connection, clock: &Clock, path: &Path) -> Result<bool> {
    conn.execute_batch("begin immediate").map_err(store_error)?;
    let known: i64 = conn.query_row("pragma user_version", [], |r| r.get(0)).map_err(store_error)?;
    if known > SCHEMA {
        return Err(Error::Unavailable(format!(
            "{} has schema {known}, this program knows {SCHEMA}: it was made by a newer jijia; use that one",
            path.display()
        )));
    }
    for sql in MIGRATIONS.iter().skip(usize::try_from(known).unwrap_or(0)) {
        conn.execute_batch(sql).map_err(store_error)?;
    }
    if known < SCHEMA {
        conn.execute_batch(&format!("pragma user_version = {SCHEMA}")).map_err(store_error)?;
    }
    if known < DEAD_UNDER_ENTRIES {
        tx::in_transaction(conn, |tx| observations::adopt_dead(tx, clock.now()))?;
    }
    let simulated = matches!(clock, Clock::Simulated(_));
    if known == 0 && simulated {
        conn.execute_batch("insert into meta values ('demo', '1')").map_err(store_error)?;
        tx::in_transaction(conn, |tx| tx.append(clock.now(), Kind::Demo, "", &[]).map(|_| ()))?;
    }
    let demo: bool = conn
        .query_row("select exists (select 1 from meta where key = 'demo')", [], |r| r.get(0))
        .map_err(store_error)?;
    if simulated && !demo {
        return Err(Error::Unavailable(format!(
            "{} holds real data: a simulated clock is only for a demo directory",
            path.display()
        )));
    }
    conn.execute_batch("commit").map_err(store_error)?;
    Ok(demo)
}

/// What went wrong while reading.
fn read_error(error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::PoolTimedOut => Error::Unavailable("too many readers; try again".into()),
        other => Error::Internal(other.to_string()),
    }
}

/// Flushes a directory, so that a rename in it is durable.
fn sync_dir(dir: &Path) -> Result<()> {
    Ok(File::open(dir)?.sync_all()?)
}

/// Removes a file so that it does not come back; one that is not there is gone already.
pub(crate) fn remove_durably(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_dir),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Makes `dir` and what is missing above it, every name durable.
fn make_dir(dir: &Path) -> std::io::Result<()> {
    let above = dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !dir.is_dir() {
        make_dir(above)?;
        std::fs::create_dir_all(dir)?;
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

/// `<root>/ab/cdef….<ending>` for a hash.
fn by_hash(root: &Path, sha256_hex: &str, ending: &str) -> PathBuf {
    let (folder, name) = sha256_hex.split_at(2.min(sha256_hex.len()));
    root.join(folder).join(format!("{name}.{ending}"))
}
