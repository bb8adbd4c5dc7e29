//! Heads of the log that phones and desks say they keep. What they keep is what counts; here stands only who has, so that
//! papers can name them and a warning can say when there is nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::tx::Tx;
use super::{Store, read_error};
use crate::clock::from_ms;
use crate::error::Result;
use crate::evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::evidence::timeline::SeenHeads;

/// Of forked heads so many are kept: one is proof enough.
const FORKED_MAX: i64 = 100;

/// What one holder keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    on_phone: bool,
    origin: String,
    size: u64,
    seen_ms: i64,
}

/// What holders said since the start, by holder. Comparing a head commits nothing of its own, so that it works while nothing
/// can be written; a restart falls back to what was stored.
#[derive(Debug, Default)]
struct Said {
    seen: BTreeMap<String, Seen>,
    /// The next write takes it along.
    rides: bool,
}

/// The same for every clone of the store.
#[derive(Clone, Debug, Default)]
pub(super) struct SeenHeadsSaid(Arc<Mutex<Said>>);

impl SeenHeadsSaid {
    fn lock(&self) -> MutexGuard<'_, Said> {
        // It is whole at any time: a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Notes that `holder` keeps `head`, and found the log to continue what it kept before.
    pub fn note_seen_head(&self, holder: String, on_phone: bool, head: &Checkpoint) {
        let seen_ms = self.clock.now().as_millisecond();
        let seen = Seen { on_phone, origin: head.origin.clone(), size: head.size, seen_ms };
        let mut said = self.seen_heads.lock();
        said.seen.insert(holder, seen);
        if !std::mem::replace(&mut said.rides, true) {
            let said = self.seen_heads.clone();
            self.writer.ride_along(move |tx| store(tx, &said), || ());
        }
    }

    /// Keeps a head that `holder` showed: signed by this log, and not of it.
    ///
    /// # Errors
    /// As every write.
    pub async fn add_forked_head(&self, holder: String, head: &SignedCheckpoint) -> Result<()> {
        let (note, now) = (head.to_string(), self.clock.now().as_millisecond());
        self.writer
            .run(move |tx| {
                tx.exec(
                    "insert or ignore into forked_head (note, holder, seen_ms)
                     select ?1, ?2, ?3 where (select count(*) from forked_head) < ?4",
                    (note, holder, now, FORKED_MAX),
                )
            })
            .await
    }

    /// Heads signed by this log that are not of it, as far as anybody has shown one.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_forked_heads(&self) -> Result<Vec<String>> {
        let notes: Vec<(String,)> = sqlx::query_as("select note from forked_head order by seen_ms, note")
            .fetch_all(&self.readers)
            .await
            .map_err(read_error)?;
        Ok(notes.into_iter().map(|(note,)| note).collect())
    }

    /// Who has compared a head since `since`; `None` where nobody has.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn find_seen_heads(&self, since: Timestamp) -> Result<Option<SeenHeads>> {
        self.seen_heads(&mut *self.readers.acquire().await.map_err(read_error)?, since).await
    }

    /// As [`Store::find_seen_heads`], by a connection that is at hand. A holder that has only seen a name before this one
    /// does not count: of this log it keeps nothing yet.
    pub(super) async fn seen_heads(
        &self,
        conn: &mut SqliteConnection,
        since: Timestamp,
    ) -> Result<Option<SeenHeads>> {
        let Some(newest) = super::log::find_checkpoint(conn).await? else { return Ok(None) };
        let rows: Vec<(String, bool, String, i64, i64)> =
            sqlx::query_as("select holder, on_phone, origin, size, seen_ms from seen_head")
                .fetch_all(conn)
                .await
                .map_err(read_error)?;
        let stored = rows.into_iter().map(|(holder, on_phone, origin, size, seen_ms)| {
            (holder, Seen { on_phone, origin, size: size.unsigned_abs(), seen_ms })
        });
        let mut all: BTreeMap<String, Seen> = stored.collect();
        all.extend(self.seen_heads.lock().seen.clone());
        all.retain(|_, s| s.seen_ms >= since.as_millisecond() && s.origin == newest.checkpoint().origin);
        let phones = all.values().filter(|seen| seen.on_phone).count() as u64;
        let size = all.values().map(|seen| seen.size).max();
        let at = all.values().map(|seen| seen.seen_ms).max();
        Ok(size.zip(at).map(|(size, at)| SeenHeads {
            phones,
            desks: all.len() as u64 - phones,
            size,
            at: from_ms(at),
        }))
    }
}

/// Stores what was said. Where the commit fails it is stored with what is said next.
fn store(tx: &Tx<'_>, said: &SeenHeadsSaid) -> Result<()> {
    let mut said = said.lock();
    said.rides = false;
    said.seen.iter().try_for_each(|(holder, seen)| {
        tx.exec(
            "insert into seen_head (holder, on_phone, origin, size, seen_ms) values (?1, ?2, ?3, ?4, ?5)
             on conflict (holder) do update set on_phone = ?2, origin = ?3, size = ?4, seen_ms = ?5",
            (holder, seen.on_phone, &seen.origin, seen.size, seen.seen_ms),
        )
    })
}
