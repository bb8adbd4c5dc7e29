//! One moment of the database. Whatever a page or a document shows is read in one transaction, so that its head, its
//! rows and its counts agree, whatever is written meanwhile.

use jiff::Timestamp;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::{LogHead, Store, read_error};
use crate::clock::from_ms;
use crate::error::{Error, Result};
use crate::evidence::merkle::Head;
use crate::evidence::timeline::Rules;
use crate::lake::Place;

/// The database at one moment, with what it is judged by. It holds one of the readers' connections: nothing that has
/// a view asks for another, or a few of them would wait for each other for ever.
pub(super) struct View<'a> {
    /// The read transaction.
    pub tx: Transaction<'static, Sqlite>,
    /// The place in use.
    pub place: &'a Place,
    /// Limits.
    pub rules: &'a Rules,
    /// From a demo data directory.
    pub demo: bool,
    /// What had been committed by this instant is in it.
    pub cut_off: Timestamp,
    /// The log at that moment.
    pub head: LogHead,
}

impl Store {
    /// Opens a view of now.
    ///
    /// # Errors
    /// `Unavailable` if all readers stay busy; `Internal` if the database cannot be read.
    pub(super) async fn view<'a>(&self, place: &'a Place, rules: &'a Rules) -> Result<View<'a>> {
        let mut tx = self.readers.begin().await.map_err(read_error)?;
        let cut_off = self.clock.now();
        // The first read fixes the moment.
        let head = head_of(&mut tx).await?;
        Ok(View { tx, place, rules, demo: self.demo, cut_off, head })
    }

    /// The log's size and root now.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn log_head(&self) -> Result<LogHead> {
        head_of(&mut *self.readers.acquire().await.map_err(read_error)?).await
    }

    /// The latest time at which one of the newest entries was received; `None` for an empty log.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn find_newest_received(&self) -> Result<Option<Timestamp>> {
        // Not only the newest: one more entry under a clock that was set back must not hide that it was.
        let sql = "select max(received_ms) from (select received_ms from entry order by idx desc limit 1000)";
        let ms: Option<i64> = sqlx::query_scalar(sql).fetch_one(&self.readers).await.map_err(read_error)?;
        Ok(ms.map(from_ms))
    }
}

async fn head_of(conn: &mut SqliteConnection) -> Result<LogHead> {
    let (size, frontier): (i64, Vec<u8>) =
        sqlx::query_as("select size, frontier from log_head where one = 1")
            .fetch_one(conn)
            .await
            .map_err(read_error)?;
    let head = Head::from_parts(size.unsigned_abs(), &frontier)
        .ok_or_else(|| Error::Internal("the stored head of the log is damaged".into()))?;
    Ok(LogHead { size: head.size(), root: head.root() })
}
