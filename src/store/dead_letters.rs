//! What could not become observations, for a person who looks why. It is shown only escaped and cut: nobody knows what
//! a stranger sent.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Store, read_error};
use crate::clock::from_ms;
use crate::error::Result;

/// Bytes of a dead letter that are shown.
const SHOWN_BYTES: i64 = 200;

/// A dead letter as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShownDeadLetter {
    /// Its number: the newest has the highest.
    pub id: i64,
    /// When it was kept.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// Which door it came by: `mqtt:lake`, `influx`.
    pub source: String,
    /// Topic, or what the door calls it.
    pub topic: String,
    /// Why no value was taken from it.
    pub reason: String,
    /// How long it is, bytes.
    pub bytes: u64,
    /// Its first 200 bytes; what is not printable ASCII is escaped (`\xff`, `\n`).
    pub start: String,
    /// Index of the entry that covers it.
    pub entry: Option<u64>,
}

impl Store {
    /// Up to `limit` dead letters, newest first; `after` is the id of the last one before them.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_dead_letters(&self, after: Option<i64>, limit: u32) -> Result<Vec<ShownDeadLetter>> {
        type Row = (i64, i64, String, String, String, i64, Vec<u8>, Option<i64>);
        // Only the start is read: a message may be as long as the broker lets it.
        let rows: Vec<Row> = sqlx::query_as(
            "select id, received_ms, source, topic, reason, length(raw), substr(raw, 1, $3), entry
             from dead_letter where id < $1 order by id desc limit $2",
        )
        .bind(after.unwrap_or(i64::MAX))
        .bind(limit)
        .bind(SHOWN_BYTES)
        .fetch_all(&self.readers)
        .await
        .map_err(read_error)?;
        let shown = |(id, received_ms, source, topic, reason, bytes, start, entry): Row| ShownDeadLetter {
            id,
            received_at: from_ms(received_ms),
            source,
            topic,
            reason,
            bytes: bytes.unsigned_abs(),
            start: start.escape_ascii().to_string(),
            entry: entry.map(i64::unsigned_abs),
        };
        Ok(rows.into_iter().map(shown).collect())
    }

    /// How many dead letters there are, from the first day.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn count_dead_letters(&self) -> Result<u64> {
        let count: i64 = sqlx::query_scalar("select count(*) from dead_letter")
            .fetch_one(&self.readers)
            .await
            .map_err(read_error)?;
        Ok(count.unsigned_abs())
    }
}
