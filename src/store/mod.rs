//! The only SQL. (Stub of the contract; the body is being written.)

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::water::observation::{DeadLetter, NewBatch, Processing};

/// The open data directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {}

/// What a batch became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchOutcome {
    /// Rows that were new (corrections counted).
    pub added: u64,
    /// Rows already known, dropped.
    pub known: u64,
    /// Of the added: a second value for a datastream and time.
    pub corrections: u64,
    /// The batch's entry; `None` if nothing was new.
    pub entry: Option<u64>,
}

/// A row for a follower, in log order.
#[derive(Clone, Debug, PartialEq)]
pub struct FollowedObservation {
    /// Entry of its batch.
    pub entry: u64,
    /// Its place in the batch.
    pub pos: u32,
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

/// Where a follower stands: everything up to and including this row is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Entry index; the cursor of one who has done nothing is `entry: 0, pos: -1`.
    pub entry: u64,
    /// Row in the entry's batch.
    pub pos: i64,
}

impl Store {
    /// Commits a batch of observations with its entry, and its dead letters. Durable when it returns.
    pub async fn add_observations(&self, batch: NewBatch) -> Result<BatchOutcome> {
        let _ = batch;
        Err(Error::Unavailable("stub".into()))
    }

    /// Up to `limit` observation rows after `cursor` in (entry, pos) order.
    pub async fn list_observations_after(
        &self,
        cursor: Cursor,
        limit: u32,
    ) -> Result<Vec<FollowedObservation>> {
        let _ = (cursor, limit);
        Err(Error::Unavailable("stub".into()))
    }

    /// Where the follower `name` stands.
    pub async fn get_cursor(&self, name: &str) -> Result<Cursor> {
        let _ = name;
        Err(Error::Unavailable("stub".into()))
    }

    /// Moves the follower's cursor and keeps the lines it gave up, in one transaction.
    pub async fn move_cursor(&self, name: &str, to: Cursor, dead: Vec<DeadLetter>) -> Result<()> {
        let _ = (name, to, dead);
        Err(Error::Unavailable("stub".into()))
    }

    /// Where a photo's re-encoded viewer copy (JPEG, long edge 1000) lies, if there is one.
    #[must_use]
    pub fn preview_path(&self, sha256_hex: &str) -> Option<PathBuf> {
        let _ = sha256_hex;
        None
    }

    /// Waits until something was committed after the call before; for followers (spurious wake-ups are fine).
    pub async fn committed(&self) {}
}
