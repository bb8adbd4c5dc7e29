//! The open writing transaction: the log's head, one entry more, statements from the cache.

use std::cell::RefCell;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, ffi::ErrorCode};

use crate::error::{Error, Result};
use crate::evidence::entry::{self, Entry, Kind, Payload, Receipt};
use crate::evidence::merkle::{self, Hash, Head};

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

/// An error as each of several callers is told it.
pub(super) fn again(error: &Error) -> Error {
    match error {
        Error::NoSpace(m) => Error::NoSpace(m.clone()),
        other => Error::Unavailable(other.to_string()),
    }
}

/// The open transaction with the log's head.
pub(super) struct Tx<'c> {
    /// The writing connection.
    pub conn: &'c Connection,
    head: Head,
    loaded_size: u64,
    /// Why the transaction is lost, once it is.
    grave: RefCell<Option<Error>>,
}

impl<'c> Tx<'c> {
    /// On a connection with an open transaction.
    pub fn begin(conn: &'c Connection) -> Result<Self> {
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
    pub fn apart<T>(&mut self, command: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
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

    /// Why SQLite took the whole transaction back.
    pub fn loss(&self) -> Error {
        self.grave.take().unwrap_or_else(|| Error::Internal("the transaction was lost".into()))
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

    /// Keeps the head for the next transaction.
    pub fn save_head(&mut self) -> Result<()> {
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

    /// Appends an entry as the next leaf and keeps its payloads. `id` is what its receipt is for.
    pub fn append(
        &mut self,
        received_at: Timestamp,
        kind: Kind,
        id: &str,
        payloads: &[Payload],
    ) -> Result<Receipt> {
        let index = self.head.size();
        let mut entry = Entry::new(received_at, kind, payloads);
        entry.clock_behind_s = self.clock_behind_s(index, received_at)?;
        let bytes = entry.to_bytes()?;
        let leaf = merkle::leaf_hash(&bytes);
        self.exec(
            "insert into entry (idx, kind, received_ms, body, leaf) values (?1, ?2, ?3, ?4, ?5)",
            (index, entry.kind.as_str(), received_at.as_millisecond(), &bytes, leaf),
        )?;
        for p in payloads {
            self.exec(
                "insert into payload (entry, name, salt, body) values (?1, ?2, ?3, ?4)",
                (index, p.name, p.salt, &p.body),
            )?;
        }
        self.head.push(leaf);
        receipt(id, index, leaf, received_at, bytes)
    }

    /// By how much `received_at` lies before the entry that stands before `index`, if that is more than chance.
    fn clock_behind_s(&self, index: u64, received_at: Timestamp) -> Result<Option<u64>> {
        let Some(before) = index.checked_sub(1) else { return Ok(None) };
        let (before_ms,): (i64,) = self.row("select received_ms from entry where idx = ?1", (before,))?;
        Ok(entry::clock_behind_s(before_ms, received_at.as_millisecond()))
    }

    /// The receipt of an entry already in the log.
    pub fn receipt(&self, id: &str, index: u64) -> Result<Receipt> {
        let (ms, leaf, body): (i64, Hash, Vec<u8>) =
            self.row("select received_ms, leaf, body from entry where idx = ?1", (index,))?;
        receipt(id, index, leaf, crate::clock::from_ms(ms), body)
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

/// The receipt of the entry with these bytes.
pub(super) fn receipt(
    id: &str,
    index: u64,
    leaf: impl AsRef<[u8]>,
    received_at: Timestamp,
    body: Vec<u8>,
) -> Result<Receipt> {
    let entry = String::from_utf8(body)
        .map_err(|_| Error::Internal(format!("entry {index} is not UTF-8; run `jijia audit`")))?;
    Ok(Receipt { id: id.to_owned(), index, leaf_hash: hex::encode(leaf), received_at, entry })
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
