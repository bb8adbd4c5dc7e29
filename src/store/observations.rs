//! Observations: one entry per batch of one source, with the Merkle root over its canonical rows.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Store;
use super::dead_quota::within_quota;
use super::reports::{Added, known_submission};
use super::tx::{Tx, store_error};
use crate::clock::from_ms;
use crate::error::{Error, Result};
use crate::evidence::entry::{DeadLetters, Kind, Payload, Receipt, SHELL};
use crate::evidence::merkle::{self, Hash, Head};
use crate::water::observation::{DeadLetter, NewBatch, NewObservation};
use jiff::Timestamp;

/// What a batch became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchOutcome {
    /// Rows that were new, corrections counted.
    pub added: u64,
    /// Rows already known, dropped.
    pub known: u64,
    /// Of the added: a second value for a datastream and time.
    pub corrections: u64,
    /// The batch's entry; `None` if nothing was new and nothing went to the dead letters.
    pub receipt: Option<Receipt>,
}

impl Store {
    /// Commits a batch of observations with its entry, and its dead letters. Durable when it returns.
    ///
    /// # Errors
    /// `Unavailable`, `NoSpace` if it could not be made durable; then nothing of it is stored.
    pub async fn add_observations(&self, batch: NewBatch) -> Result<BatchOutcome> {
        let received_at = self.clock.now();
        self.writer.run(move |tx| add_batch(tx, &batch, received_at, None)).await
    }

    /// The same for a sender with an id: sent again it gives the first receipt. A submission in which nothing is
    /// new has an entry all the same, since its sender waits for a receipt.
    ///
    /// # Errors
    /// `Conflict` if the id is taken by other bytes, and as above.
    pub async fn add_observations_as(
        &self,
        id: Uuid,
        body: &[u8],
        batch: NewBatch,
    ) -> Result<(Added, BatchOutcome)> {
        let received_at = self.clock.now();
        let body_sha256: Hash = Sha256::digest(body).into();
        self.writer
            .run(move |tx| {
                if let Some(receipt) = known_submission(tx, id, &body_sha256)? {
                    return Ok((Added { receipt, new: false }, BatchOutcome::default()));
                }
                let outcome = add_batch(tx, &batch, received_at, Some((id, body_sha256)))?;
                let receipt = outcome
                    .receipt
                    .clone()
                    .ok_or_else(|| Error::Internal("a submission must have an entry".into()))?;
                tx.exec(
                    "insert into submission (id, entry) values (?1, ?2)",
                    (id.as_bytes(), receipt.index),
                )?;
                Ok((Added { receipt, new: true }, outcome))
            })
            .await
    }
}

/// The key of a datastream within one batch.
type StreamKey<'a> = (&'a str, &'a str, &'a str, &'static str);

/// What this transaction knows of a datastream: its id, and the last time stored. Most values are newer than all
/// that is stored, and need no look-up.
struct Stream {
    id: i64,
    last_t: i64,
}

fn add_batch(
    tx: &mut Tx<'_>,
    batch: &NewBatch,
    received_at: Timestamp,
    sender: Option<(Uuid, Hash)>,
) -> Result<BatchOutcome> {
    let mut outcome = BatchOutcome::default();
    let mut streams: HashMap<StreamKey<'_>, Stream> = HashMap::new();
    let mut fresh: Vec<(i64, &NewObservation)> = Vec::with_capacity(batch.observations.len());
    for o in &batch.observations {
        let stream = stream_of(tx, &mut streams, o)?;
        let id = stream.id;
        if o.at_ms > stream.last_t {
            stream.last_t = o.at_ms;
        } else {
            // Also a value met twice within this batch: it stands in `fresh`, not yet in the table.
            let here = fresh.iter().filter(|(ds, f)| *ds == id && f.at_ms == o.at_ms).map(|(_, f)| *f);
            match seen_before(tx, id, o, here)? {
                Seen::Same => {
                    outcome.known += 1;
                    continue;
                }
                Seen::Other => outcome.corrections += 1,
                Seen::Never => {}
            }
        }
        fresh.push((id, o));
    }
    if fresh.is_empty() && batch.dead.is_empty() && sender.is_none() {
        return Ok(outcome);
    }
    let dead = within_quota(tx, &batch.source, &batch.dead, received_at)?;
    outcome.added = fresh.len() as u64;
    outcome.receipt = Some(append_batch(tx, batch, &dead, &fresh, received_at, sender)?);
    Ok(outcome)
}

fn key(o: &NewObservation) -> StreamKey<'_> {
    (&o.station, &o.property, &o.unit, o.processing.as_str())
}

fn stream_of<'a, 'm>(
    tx: &Tx<'_>,
    streams: &'m mut HashMap<StreamKey<'a>, Stream>,
    o: &'a NewObservation,
) -> Result<&'m mut Stream> {
    use std::collections::hash_map::Entry as Slot;
    Ok(match streams.entry(key(o)) {
        Slot::Occupied(known) => known.into_mut(),
        Slot::Vacant(slot) => {
            let (station, property, unit, processing) = *slot.key();
            let find = "select id from datastream where station = ?1 and property = ?2 and unit = ?3 and processing = ?4";
            let id: Option<(i64,)> = tx.find(find, (station, property, unit, processing))?;
            let id = if let Some((id,)) = id {
                id
            } else {
                tx.exec(
                    "insert into datastream (station, property, unit, processing) values (?1, ?2, ?3, ?4)",
                    (station, property, unit, processing),
                )?;
                tx.conn.last_insert_rowid()
            };
            let (last,): (Option<i64>,) = tx.row("select max(t) from observation where ds = ?1", (id,))?;
            slot.insert(Stream { id, last_t: last.unwrap_or(i64::MIN) })
        }
    })
}

enum Seen {
    Never,
    Same,
    Other,
}

fn seen_before<'a>(
    tx: &Tx<'_>,
    ds: i64,
    o: &NewObservation,
    here: impl Iterator<Item = &'a NewObservation>,
) -> Result<Seen> {
    let mut seen = Seen::Never;
    for other in here {
        if other.value == o.value && other.mark == o.mark {
            return Ok(Seen::Same);
        }
        seen = Seen::Other;
    }
    let (count, same): (i64, Option<bool>) = tx.row(
        "select count(*), max(v is ?3 and received_text is ?4 and mark is ?5) from observation where ds = ?1 and t = ?2",
        (ds, o.at_ms, o.value.number, o.value.text.as_deref(), o.mark.as_deref()),
    )?;
    Ok(match (count, same) {
        (0, _) => seen,
        (_, Some(true)) => Seen::Same,
        _ => Seen::Other,
    })
}

fn append_batch(
    tx: &mut Tx<'_>,
    batch: &NewBatch,
    dead: &[DeadLetter],
    fresh: &[(i64, &NewObservation)],
    received_at: Timestamp,
    sender: Option<(Uuid, Hash)>,
) -> Result<Receipt> {
    let mut rows = Head::default();
    let mut buffer = Vec::with_capacity(128);
    for (_, o) in fresh {
        buffer.clear();
        o.canonical(&mut buffer);
        rows.push(merkle::leaf_hash(&buffer));
    }
    let times = || fresh.iter().map(|(_, o)| o.at_ms);
    let now_ms = received_at.as_millisecond();
    let body = sender.map(|(_, sha)| Payload::new("body", sha));
    let file = batch.file.as_ref().map(|name| Payload::new("file", name.as_bytes()));
    let by = std::iter::once(Payload::new("by", batch.by.as_bytes()));
    let payloads = by.chain(body).chain(file).collect::<Result<Vec<_>>>()?;
    let kind = Kind::Observations {
        id: sender.map(|(id, _)| id),
        source: batch.source.clone(),
        count: fresh.len() as u64,
        first: from_ms(times().min().unwrap_or(now_ms)),
        last: from_ms(times().max().unwrap_or(now_ms)),
        root: hex::encode(rows.root()),
        dead: commit_dead(dead)?,
    };
    let id = sender.map_or_else(String::new, |(id, _)| id.to_string());
    let receipt = tx.append(received_at, kind, &id, &payloads)?;
    add_dead(tx, &receipt, dead)?;
    for (pos, (ds, o)) in fresh.iter().enumerate() {
        tx.exec(
            // `or fail`: see the trigger on it.
            "insert or fail into observation (ds, t, entry, pos, v, received_text, mark) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (*ds, o.at_ms, receipt.index, pos, o.value.number, o.value.text.as_deref(), o.mark.as_deref()),
        )?;
    }
    Ok(receipt)
}

/// What the entry says of the dead letters of its commit.
fn commit_dead(dead: &[DeadLetter]) -> Result<Option<DeadLetters>> {
    let mut head = Head::default();
    for letter in dead {
        head.push(merkle::leaf_hash(&letter.canonical()?));
    }
    Ok((head.size() > 0).then(|| DeadLetters { count: head.size(), root: hex::encode(head.root()) }))
}

fn add_dead(tx: &Tx<'_>, receipt: &Receipt, dead: &[DeadLetter]) -> Result<()> {
    for (pos, d) in dead.iter().enumerate() {
        tx.exec(
            "insert into dead_letter (received_ms, source, topic, reason, raw, entry, pos)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                receipt.received_at.as_millisecond(),
                &d.source,
                &d.topic,
                &d.reason,
                &d.raw,
                receipt.index,
                pos,
            ),
        )?;
    }
    Ok(())
}

/// Keeps what a follower could not hand on, under an entry of their own.
pub(super) fn append_dead(
    tx: &mut Tx<'_>,
    source: &str,
    dead: Vec<DeadLetter>,
    received_at: Timestamp,
) -> Result<()> {
    let (by, source) = (source.to_owned(), source.to_owned());
    let batch = NewBatch { source, by, file: None, observations: Vec::new(), dead };
    add_batch(tx, &batch, received_at, None).map(|_| ())
}

/// Gives the dead letters of a time when no entry covered them an entry, at the migration that brought the columns.
pub(super) fn adopt_dead(tx: &mut Tx<'_>, received_at: Timestamp) -> Result<()> {
    let mut ids: Vec<i64> = Vec::new();
    let mut head = Head::default();
    {
        let mut statement = tx
            .conn
            .prepare("select id, source, topic, reason, raw from dead_letter where entry is null order by id")
            .map_err(store_error)?;
        let mut rows = statement.query([]).map_err(store_error)?;
        while let Some(row) = rows.next().map_err(store_error)? {
            let read = || {
                let (source, topic, reason, raw) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
                Ok((row.get(0)?, DeadLetter { source, topic, reason, raw }))
            };
            let (id, letter) = read().map_err(store_error)?;
            ids.push(id);
            head.push(merkle::leaf_hash(&letter.canonical()?));
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    let kind = Kind::Observations {
        id: None,
        source: "migration".into(),
        count: 0,
        first: received_at,
        last: received_at,
        root: hex::encode(Head::default().root()),
        dead: Some(DeadLetters { count: head.size(), root: hex::encode(head.root()) }),
    };
    let receipt = tx.append(received_at, kind, "", &[Payload::new("by", SHELL)?])?;
    for (pos, id) in ids.iter().enumerate() {
        tx.exec("update dead_letter set entry = ?2, pos = ?3 where id = ?1", (id, receipt.index, pos))?;
    }
    Ok(())
}
