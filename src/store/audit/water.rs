//! Batches: the root over the rows as they are stored, and over the dead letters of the same commit.

use std::collections::{BTreeMap, HashSet};

use rusqlite::Connection;

use super::log::Stored;
use super::{Audit, maybe_text, text};
use crate::evidence::entry::{Entry, Kind};
use crate::evidence::merkle::{Head, leaf_hash};
use crate::water::observation::{DeadLetter, NewObservation, Processing, Value};

/// The datastreams: as many as there are sensors' channels, which fits in memory at any size of the log.
pub(super) struct Streams {
    by_id: BTreeMap<i64, Option<NewObservation>>,
    used: HashSet<i64>,
    last_dead_letter: i64,
}

impl Streams {
    pub fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let mut statement = conn.prepare("select id, station, property, unit, processing from datastream")?;
        let rows = statement.query_map([], |r| {
            let processing = match text(r, 4)?.as_str() {
                "raw" => Some(Processing::Raw),
                "reviewed" => Some(Processing::Reviewed),
                _ => None,
            };
            let (station, property, unit) = (text(r, 1)?, text(r, 2)?, text(r, 3)?);
            let template = |processing| NewObservation {
                station,
                property,
                unit,
                processing,
                at_ms: 0,
                value: Value { number: None, text: None },
                mark: None,
            };
            Ok((r.get(0)?, processing.map(template)))
        })?;
        Ok(Self {
            by_id: rows.collect::<rusqlite::Result<_>>()?,
            used: HashSet::new(),
            last_dead_letter: i64::MIN,
        })
    }

    /// A datastream comes with its first value.
    pub fn check_unused(&self, audit: &mut Audit<'_>) {
        for (id, stream) in &self.by_id {
            if stream.is_none() {
                audit.find("datastream", id, "processing is neither raw nor reviewed");
            }
            if !self.used.contains(id) {
                audit.find("datastream", id, "no entry has a value of it");
            }
        }
    }
}

pub(super) fn check(
    audit: &mut Audit<'_>,
    streams: &mut Streams,
    stored: &Stored,
    entry: &Entry,
) -> rusqlite::Result<()> {
    let Kind::Observations { count, root, dead, .. } = &entry.kind else { return Ok(()) };
    let (found, at_fault) = rows(audit, streams, stored.index)?;
    let key = format!("of entry {}", stored.index);
    if let Some(what) = at_fault {
        audit.find("observation", &key, what);
    } else if found.size() != *count {
        audit.find("observation", &key, format!("{} rows, the entry counts {count}", found.size()));
    } else if hex::encode(found.root()) != *root {
        let found = hex::encode(found.root());
        audit.find("observation", &key, format!("the rows have the root {found}, the entry says {root}"));
    }
    let found = dead_letters(audit, streams, stored)?;
    let (count, root) =
        dead.as_ref().map_or((0, hex::encode(Head::default().root())), |d| (d.count, d.root.clone()));
    if found.size() != count {
        audit.find("dead_letter", &key, format!("{} rows, the entry counts {count}", found.size()));
    } else if hex::encode(found.root()) != root {
        let found = hex::encode(found.root());
        audit.find("dead_letter", &key, format!("the rows have the root {found}, the entry says {root}"));
    }
    Ok(())
}

/// The head over a batch's rows, and the first thing that keeps them from being a batch at all.
fn rows(audit: &Audit<'_>, streams: &mut Streams, index: i64) -> rusqlite::Result<(Head, Option<String>)> {
    let mut statement = audit.conn.prepare_cached(
        "select pos, ds, t, v, received_text, mark from observation indexed by observation_entry
         where entry = ?1 order by pos",
    )?;
    let mut found = statement.query([index])?;
    let (mut head, mut bytes) = (Head::default(), Vec::with_capacity(128));
    while let Some(row) = found.next()? {
        let (pos, ds): (i64, i64) = (row.get(0)?, row.get(1)?);
        if i64::try_from(head.size()) != Ok(pos) {
            return Ok((head, Some(format!("row {pos} stands where another should be"))));
        }
        streams.used.insert(ds);
        let Some(Some(observation)) = streams.by_id.get_mut(&ds) else {
            return Ok((head, Some(format!("row {pos}: there is no datastream {ds}"))));
        };
        observation.at_ms = row.get(2)?;
        observation.value = Value { number: row.get(3)?, text: maybe_text(row, 4)?.map(Into::into) };
        observation.mark = maybe_text(row, 5)?.map(Into::into);
        bytes.clear();
        observation.canonical(&mut bytes);
        audit.pace.take(bytes.len());
        head.push(leaf_hash(&bytes));
    }
    Ok((head, None))
}

fn dead_letters(audit: &mut Audit<'_>, streams: &mut Streams, stored: &Stored) -> rusqlite::Result<Head> {
    let mut head = Head::default();
    let mut statement = audit.conn.prepare_cached(
        "select source, topic, reason, raw, id, pos, received_ms from dead_letter where entry = ?1 order by pos",
    )?;
    let mut found = statement.query([stored.index])?;
    while let Some(row) = found.next()? {
        let letter = DeadLetter {
            source: text(row, 0)?,
            topic: text(row, 1)?,
            reason: text(row, 2)?,
            raw: row.get(3)?,
        };
        let (id, pos, received_ms): (i64, Option<i64>, i64) = (row.get(4)?, row.get(5)?, row.get(6)?);
        if pos.and_then(|p| u64::try_from(p).ok()) != Some(head.size()) {
            audit.find("dead_letter", id, "pos is not its place in the commit");
        }
        if id <= std::mem::replace(&mut streams.last_dead_letter, id) {
            audit.find("dead_letter", id, "its number is not in the order of the log");
        }
        // One that was given an entry by a migration came before it.
        if received_ms != stored.received_ms && !is_adopted(&stored.body) {
            audit.find(
                "dead_letter",
                id,
                format!("received_ms is {received_ms}, its entry's {}", stored.received_ms),
            );
        }
        // Texts always serialise.
        head.push(leaf_hash(&letter.canonical().unwrap_or_default()));
    }
    Ok(head)
}

fn is_adopted(body: &[u8]) -> bool {
    let kind = Entry::parse(body).map(|entry| entry.kind);
    matches!(kind, Ok(Kind::Observations { source, .. }) if source == "migration")
}
