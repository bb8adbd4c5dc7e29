//! What a timeline was made from: entries, payloads and observations, as lines in files of a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use tokio::fs::File;
use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};

use super::pack::Part;
use crate::error::{Error, Result};
use crate::evidence::bundle::lines::{PayloadLine, ReadingLine, line};
use crate::evidence::bundle::{ENTRIES, ERASED_PHOTO, PAYLOADS, Photos, READINGS};
use crate::evidence::entry::{self, Entry};
use crate::evidence::merkle::{Hash, leaf_hash};
use crate::evidence::proof::{Stored, inclusion, root};
use crate::evidence::timeline::{Row, Sighting, Timeline};
use crate::store::Store;

/// Entries that are in memory at once.
const CHUNK: usize = 1000;

/// What was collected.
pub(super) struct Collected {
    /// Indexes of the entries, ascending.
    pub(super) indexes: Vec<u64>,
    /// SHA-256 and media type of the photos.
    photos: BTreeMap<String, String>,
}

/// Writes `entries.jsonl`, `payloads.jsonl` and `readings.jsonl` into `folder`; `documents` are entries of their own.
pub(super) async fn collect(
    store: &Store,
    timeline: &Timeline,
    documents: &[u64],
    folder: &Path,
) -> Result<Collected> {
    let sightings: Vec<&Sighting> = timeline
        .rows
        .iter()
        .filter_map(|row| if let Row::Sighting(s) = row { Some(&**s) } else { None })
        .collect();
    let reports: Vec<_> = sightings.iter().map(|s| s.id).collect();
    let readings = readings_of(store, timeline, &sightings).await?;
    let mut indexes: BTreeSet<u64> = store.list_entries_of(&reports).await?.into_iter().collect();
    indexes.extend(documents);
    indexes.extend(readings.keys());
    // What came after the cut-off belongs to the next bundle.
    indexes.retain(|index| *index < timeline.log_size || documents.contains(index));
    let indexes: Vec<u64> = indexes.into_iter().collect();
    let photos = write_entries(store, &indexes, folder).await?;
    let mut out = BufWriter::new(File::create(folder.join(READINGS)).await?);
    for (entry, places) in readings.iter().filter(|(entry, _)| indexes.binary_search(entry).is_ok()) {
        write_readings(store, *entry, places, &mut out).await?;
    }
    out.flush().await?;
    Ok(Collected { indexes, photos })
}

/// Batch → places in it: what is shown near a sighting, and the rain that decides dry or wet.
async fn readings_of(
    store: &Store,
    timeline: &Timeline,
    sightings: &[&Sighting],
) -> Result<BTreeMap<u64, BTreeSet<u64>>> {
    let mut places: Vec<(u64, u64)> =
        sightings.iter().flat_map(|s| s.readings.iter().map(|r| r.place)).collect();
    #[expect(clippy::cast_possible_truncation, reason = "the window is at most 240 h")]
    let window_ms = (timeline.rules.dry.window_h * 3_600_000.0) as i64;
    let first = timeline.rows.first().map(|row| row.at().as_millisecond() - window_ms);
    if let Some(from_ms) = timeline.filter.from.map(|f| f.as_millisecond() - window_ms).or(first) {
        let to_ms = timeline.filter.to.unwrap_or(timeline.cut_off).as_millisecond();
        places.extend(store.list_rain_places(&timeline.rules.rain_station, from_ms, to_ms).await?);
    }
    let mut by_batch: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for (entry, pos) in places {
        by_batch.entry(entry).or_default().insert(pos);
    }
    Ok(by_batch)
}

/// What of an entry decides which photos are there.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Kind {
    Photo {
        sha256: String,
        media_type: String,
    },
    Erasure {
        target: u64,
        name: String,
    },
    #[serde(other)]
    Other,
}

async fn write_entries(store: &Store, indexes: &[u64], folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut entries = BufWriter::new(File::create(folder.join(ENTRIES)).await?);
    let mut payloads = BufWriter::new(File::create(folder.join(PAYLOADS)).await?);
    let mut photos = BTreeMap::new();
    for chunk in indexes.chunks(CHUNK) {
        for (index, body) in chunk.iter().zip(store.list_bodies(chunk).await?) {
            match serde_json::from_slice(&body) {
                Ok(Kind::Photo { sha256, media_type }) => {
                    photos.insert(*index, (sha256, media_type));
                }
                // It comes after what it erases.
                Ok(Kind::Erasure { target, name }) if name == ERASED_PHOTO => {
                    photos.remove(&target);
                }
                _ => {}
            }
            entries.write_all(&body).await?;
            entries.write_all(b"\n").await?;
        }
        for p in store.list_payloads(chunk).await? {
            let line = line(&PayloadLine::new(p.entry, &p.name, &p.salt, p.body))?;
            payloads.write_all(&line).await?;
        }
    }
    entries.flush().await?;
    payloads.flush().await?;
    Ok(photos.into_values().collect())
}

/// The lines of one batch; its rows are hashed again, and their root must be the entry's.
async fn write_readings(
    store: &Store,
    entry: u64,
    places: &BTreeSet<u64>,
    out: &mut (impl AsyncWrite + Unpin),
) -> Result<()> {
    let damaged =
        |what: &str| Error::Internal(format!("the batch of entry {entry} {what}; run `jijia audit`"));
    let rows: Vec<Vec<u8>> = store
        .list_batch(entry)
        .await?
        .iter()
        .map(|o| {
            let mut row = Vec::new();
            o.canonical(&mut row);
            row
        })
        .collect();
    let leaves: Vec<Hash> = rows.iter().map(|row| leaf_hash(row)).collect();
    let (count, stored) = (leaves.len() as u64, Stored::over(leaves));
    let body = store.list_bodies(&[entry]).await?.pop().unwrap_or_default();
    let known = match Entry::parse(&body).map(|entry| entry.kind) {
        Ok(entry::Kind::Observations { root, .. }) => root,
        _ => return Err(damaged("has an entry of another kind")),
    };
    if hex::encode(root(count, stored.read())?) != known {
        return Err(damaged("has rows that are not those of its entry"));
    }
    for pos in places {
        let row =
            usize::try_from(*pos).ok().and_then(|p| rows.get(p)).ok_or_else(|| damaged("lacks rows"))?;
        let path = inclusion(*pos, count, stored.read())?;
        let line = line(&ReadingLine::new(entry, *pos, row.clone(), &path)?)?;
        out.write_all(&line).await?;
    }
    Ok(())
}

impl Collected {
    /// The photos in the form asked for, ascending by name.
    pub(super) fn photo_parts(&self, store: &Store, form: Photos) -> Vec<Part> {
        let part = |(sha256, media_type): (&String, &String)| {
            let name = form.member(sha256, media_type)?;
            Some(match form {
                Photos::Originals => Part::sealed(name, store.original_path(sha256), sha256.clone()),
                Photos::Copies => Part::new(name, store.preview_path(sha256)),
            })
        };
        self.photos.iter().filter_map(part).collect()
    }
}
