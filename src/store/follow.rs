//! What follows the log by a cursor of its own, kept here and moved only after the follower's work is done.

use super::observations::append_dead;
use super::{Store, read_error};
use crate::error::Result;
use crate::water::observation::{DeadLetter, Processing};

/// Where a follower stands: everything up to and including this row is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Entry index.
    pub entry: u64,
    /// Row in the entry's batch.
    pub pos: i64,
}

impl Cursor {
    /// The cursor of one who has done nothing.
    pub const START: Self = Self { entry: 0, pos: -1 };
}

/// An observation for a follower, in log order.
#[derive(Clone, Debug, PartialEq)]
pub struct FollowedObservation {
    /// Where it stands.
    pub at: Cursor,
    /// Station code.
    pub station: String,
    /// Property key.
    pub property: String,
    /// Unit.
    pub unit: String,
    /// Raw or reviewed.
    pub processing: Processing,
    /// Milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The number; `None` for missing.
    pub number: Option<f64>,
    /// The text as received where it differs.
    pub text: Option<String>,
}

impl Store {
    /// Up to `limit` observations after `cursor`, in log order.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_observations_after(
        &self,
        cursor: Cursor,
        limit: u32,
    ) -> Result<Vec<FollowedObservation>> {
        type Row = (i64, i64, String, String, String, String, i64, Option<f64>, Option<String>);
        let rows: Vec<Row> = sqlx::query_as(
            "select o.entry, o.pos, d.station, d.property, d.unit, d.processing, o.t, o.v, o.received_text
             from observation o indexed by observation_entry join datastream d on d.id = o.ds
             where (o.entry, o.pos) > ($1, $2) order by o.entry, o.pos limit $3",
        )
        .bind(i64::try_from(cursor.entry).unwrap_or(i64::MAX))
        .bind(cursor.pos)
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(read_error)?;
        let row = |(entry, pos, station, property, unit, processing, at_ms, number, text): Row| {
            FollowedObservation {
                at: Cursor { entry: entry.unsigned_abs(), pos },
                station,
                property,
                unit,
                processing: if processing == "raw" { Processing::Raw } else { Processing::Reviewed },
                at_ms,
                number,
                text,
            }
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// Where the follower `name` stands.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn get_cursor(&self, name: &str) -> Result<Cursor> {
        let row: Option<(i64, i64)> = sqlx::query_as("select entry, pos from cursor where name = $1")
            .bind(name)
            .fetch_optional(&self.readers)
            .await
            .map_err(read_error)?;
        Ok(row.map_or(Cursor::START, |(entry, pos)| Cursor { entry: entry.unsigned_abs(), pos }))
    }

    /// Moves the follower's cursor and keeps the lines it gave up, in one transaction.
    ///
    /// # Errors
    /// As every write; then the cursor stands where it stood and the work is done again.
    pub async fn move_cursor(&self, name: &str, to: Cursor, dead: Vec<DeadLetter>) -> Result<()> {
        let name = name.to_owned();
        let now = self.clock.now();
        self.writer
            .run(move |tx| {
                if !dead.is_empty() {
                    append_dead(tx, &name, dead, now)?;
                }
                tx.exec(
                    "insert into cursor (name, entry, pos) values (?1, ?2, ?3)
                     on conflict (name) do update set entry = ?2, pos = ?3",
                    (name, to.entry, to.pos),
                )
            })
            .await
    }

    /// How many observations and dead letters there are.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn count_observations(&self) -> Result<(u64, u64)> {
        let observations: i64 = sqlx::query_scalar("select count(*) from observation")
            .fetch_one(&self.readers)
            .await
            .map_err(read_error)?;
        Ok((observations.unsigned_abs(), self.count_dead_letters().await?))
    }
}
