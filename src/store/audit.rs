//! The live database against its own log, read-only, beside a running service: every entry against its leaf and the
//! head, every table of evidence against the entries, what the pages read made again and compared, every sealed file
//! hashed.
//!
//! The database is read in one snapshot, so that a service that goes on writing is no finding; its write-ahead log
//! grows meanwhile and shrinks at its next checkpoint. Files come after it, folder by folder, and an interrupted run
//! goes on with them where it was. Nothing is loaded whole: memory does not grow with the log.
//!
//! What it cannot say by itself: that a whole log was not replaced by another one, signed anew. That is what the heads in
//! other hands are for: the guard file's is asked every time.

mod derived;
mod evidence;
mod files;
mod log;
mod people;
mod schema;
mod signed;
mod stray;
mod watched;
mod water;

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use indicatif::ProgressBar;
use rusqlite::{Connection, OpenFlags, Row, ffi::ErrorCode};

use super::SCHEMA;
use super::pace::Pace;
use super::tx::store_error;
use crate::error::{Error, Result};
use crate::evidence::merkle::{Hash, Head};
use crate::evidence::note::{SignerKey, VerifierKey};
use crate::lake::Place;
use crate::lake::geotag::Locator;

/// Something that is not as the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The table, `photo` and `voice` also for their files.
    pub table: &'static str,
    /// The row's key.
    pub key: String,
    /// What is wrong with it, or worth saying.
    pub what: String,
    /// Worth saying, and speaks against nobody.
    pub remark: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remark = if self.remark { "(remark) " } else { "" };
        write!(f, "{remark}{} {}: {}", self.table, self.key, self.what)
    }
}

/// How to audit.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Read at most so many megabytes (10^6 bytes) a second; without it as fast as the disk and the cores allow.
    pub rate_mb_s: Option<f64>,
    /// Go on with the files where an interrupted run was.
    pub resume: bool,
    /// What the guard file holds.
    pub guard: GuardFile,
    /// Heads that others hold (a print, a witness), and earlier backups: the log must have had them.
    pub heads: Vec<KnownHead>,
    /// Witnesses by name, each with the key of its cosignatures; asked of a log that is in use.
    pub witnesses: Vec<(String, VerifierKey)>,
}

/// What the guard file holds of a log that is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GuardFile {
    /// The log is not in use: a backup.
    #[default]
    NotAsked,
    /// It is not where it must be.
    Missing,
    /// The last signed head.
    Holds(KnownHead),
}

/// A head of the log that somebody else holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHead {
    /// Who.
    pub whose: String,
    /// Entries.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
}

/// What was audited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Entries.
    pub entries: u64,
    /// RFC 6962 root over them, from their stored bytes.
    pub root: Hash,
    /// Photos hashed, those of the interrupted run counted.
    pub photos: u64,
    /// Voice notes hashed, counted likewise.
    pub voices: u64,
    /// Bytes of both.
    pub file_bytes: u64,
    /// The folder of files (0 to 256) an interrupted run had come to; 0 for a whole run.
    pub resumed_at: u16,
    /// Findings, those of the interrupted run counted.
    pub findings: u64,
    /// What is worth saying and speaks against nobody.
    pub remarks: u64,
}

/// Audits the data directory. Each finding goes to `say` as it is found.
///
/// # Errors
/// `Unavailable` if there is no database, or one of another schema; `Internal` if it cannot be read at all.
pub fn audit(
    dir: &Path,
    place: &Place,
    options: &Options,
    bar: &ProgressBar,
    say: &mut dyn FnMut(&Finding),
) -> Result<Outcome> {
    let conn = open_reading(&dir.join("jijia.db"))?;
    let mut audit = Audit::new(&conn, dir, place, options, bar, say);
    let head = audit.database()?;
    let files = files::check(&mut audit, dir, &head, options.resume)?;
    bar.finish_and_clear();
    Ok(Outcome {
        entries: head.size(),
        root: head.root(),
        photos: files.tally.photos,
        voices: files.tally.voices,
        file_bytes: files.tally.bytes,
        resumed_at: files.resumed_at,
        findings: audit.findings.get() + files.found_before,
        remarks: audit.remarks.get(),
    })
}

/// The same for a database alone, without its photos; `dir` has the log's key. Gives the head over its entries.
pub(super) fn audit_database(
    conn: &Connection,
    dir: &Path,
    place: &Place,
    options: &Options,
    bar: &ProgressBar,
    say: &mut dyn FnMut(&Finding),
) -> Result<Head> {
    Audit::new(conn, dir, place, options, bar, say).database()
}

/// A connection that cannot write.
pub(super) fn open_reading(path: &Path) -> Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|e| Error::Unavailable(format!("{}: {e}", path.display())))?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.busy_timeout(Duration::from_secs(5)).map_err(store_error)?;
    let schema: i64 = conn
        .query_row("pragma user_version", [], |r| r.get(0))
        .map_err(|e| Error::Unavailable(format!("{}: {e}", path.display())))?;
    if schema != SCHEMA {
        let way = if schema < SCHEMA {
            "an older jijia; start `jijia serve` once"
        } else {
            "a newer jijia; use that one"
        };
        return Err(Error::Unavailable(format!(
            "{} has schema {schema}, this program knows {SCHEMA}: it was made by {way}",
            path.display()
        )));
    }
    Ok(conn)
}

/// A run under way.
struct Audit<'a> {
    conn: &'a Connection,
    place: &'a Place,
    locator: Locator,
    /// By which something may have been judged: those that the log names, and the one in use.
    places: HashSet<Hash>,
    heads: &'a [KnownHead],
    guard: &'a GuardFile,
    witnesses: &'a [(String, VerifierKey)],
    /// The key that signs now; earlier ones are in the log.
    key: Option<VerifierKey>,
    pace: Pace,
    bar: &'a ProgressBar,
    say: &'a mut dyn FnMut(&Finding),
    findings: Cell<u64>,
    remarks: Cell<u64>,
}

/// A key that is missing or damaged shows in the checkpoints.
fn read_key(dir: &Path) -> Option<VerifierKey> {
    let secret = std::fs::read_to_string(dir.join(super::KEY)).ok()?;
    Some(secret.trim_end().parse::<SignerKey>().ok()?.verifier().clone())
}

/// What stands in for a row's number when the database itself breaks off there.
const DATABASE: &str = "database";

impl<'a> Audit<'a> {
    fn new(
        conn: &'a Connection,
        dir: &Path,
        place: &'a Place,
        options: &'a Options,
        bar: &'a ProgressBar,
        say: &'a mut dyn FnMut(&Finding),
    ) -> Self {
        Self {
            conn,
            place,
            locator: Locator::new(place),
            places: HashSet::new(),
            heads: &options.heads,
            guard: &options.guard,
            witnesses: &options.witnesses,
            key: read_key(dir),
            pace: Pace::new(options.rate_mb_s),
            bar,
            say,
            findings: Cell::new(0),
            remarks: Cell::new(0),
        }
    }

    fn database(&mut self) -> Result<Head> {
        // One snapshot for all tables.
        self.conn.execute_batch("begin").map_err(store_error)?;
        self.step("schema", schema::check)?;
        let head = self.step("entry", log::check)?.unwrap_or_default();
        self.step("stray rows", stray::check)?;
        self.step("derived tables", derived::check)?;
        self.step("people", people::check)?;
        self.conn.execute_batch("commit").map_err(store_error)?;
        Ok(head)
    }

    /// One part of the audit. A database that is damaged at a page is a finding, and the next part goes on.
    fn step<T>(
        &mut self,
        name: &str,
        check: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        match check(self) {
            Ok(done) => Ok(Some(done)),
            Err(error) if is_damage(&error) => {
                self.find(DATABASE, name, format!("cannot be read to its end: {error}"));
                Ok(None)
            }
            Err(error) => Err(store_error(error)),
        }
    }

    /// Says what is worth knowing and is no finding.
    fn remark(&mut self, table: &'static str, key: impl fmt::Display, what: impl Into<String>) {
        self.remarks.set(self.remarks.get() + 1);
        let finding = Finding { table, key: key.to_string(), what: what.into(), remark: true };
        self.bar.suspend(|| (self.say)(&finding));
    }

    fn find(&mut self, table: &'static str, key: impl fmt::Display, what: impl Into<String>) {
        self.findings.set(self.findings.get() + 1);
        let finding = Finding { table, key: key.to_string(), what: what.into(), remark: false };
        self.bar.suspend(|| (self.say)(&finding));
    }
}

/// The bytes are wrong, not the circumstances.
fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase),
        // A column of another type or with bytes that are no text.
        None => true,
    }
}

/// A column that holds text, whatever its bytes are.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    use rusqlite::types::ValueRef;
    Ok(match row.get_ref(column)? {
        ValueRef::Null => String::new(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
    })
}

/// The same where there may be none.
fn maybe_text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let null = matches!(row.get_ref(column)?, rusqlite::types::ValueRef::Null);
    if null { Ok(None) } else { text(row, column).map(Some) }
}
