//! The log as it is published: entries as they lie in it, tiles, checkpoints, cosignatures, changes of the key.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::tx::{self, Tx, store_error};
use super::writer::open_writing;
use super::{Store, read_error};
use crate::error::{Error, Result};
use crate::evidence::checkpoint::SignedCheckpoint;
use crate::evidence::entry::{Entry, Kind, LastHead, Payload, Receipt, SHELL};
use crate::evidence::merkle::Hash;
use crate::evidence::note::{Signature, VerifierKey};
use crate::evidence::tile::{self, Content, Tile};

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its index.
    pub index: u64,
    /// Its bytes, verbatim.
    pub body: Vec<u8>,
    /// The leaf hash that was stored with it; nobody has compared the two here.
    pub leaf: Vec<u8>,
}

/// A replacement of the log's key, as its entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// Index of the entry.
    pub index: u64,
    /// The key before.
    pub old: VerifierKey,
    /// The key from there on.
    pub new: VerifierKey,
}

impl Store {
    /// Up to `limit` entries from `from` on, in log order.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_entries(&self, from: u64, limit: u32) -> Result<Vec<StoredEntry>> {
        let rows: Vec<(i64, Vec<u8>, Vec<u8>)> =
            sqlx::query_as("select idx, body, leaf from entry where idx >= $1 order by idx limit $2")
                .bind(signed(from))
                .bind(limit)
                .fetch_all(&self.readers)
                .await
                .map_err(read_error)?;
        Ok(rows.into_iter().map(stored).collect())
    }

    /// The entries by which the log goes on under other names, in log order.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_origins(&self) -> Result<Vec<StoredEntry>> {
        let rows: Vec<(i64, Vec<u8>, Vec<u8>)> =
            sqlx::query_as("select idx, body, leaf from entry where kind = 'origin' order by idx")
                .fetch_all(&self.readers)
                .await
                .map_err(read_error)?;
        Ok(rows.into_iter().map(stored).collect())
    }

    /// The hashes of a stored tile, at its widest so far.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read or holds broken hashes.
    pub async fn find_tile(&self, level: u8, n: u64) -> Result<Option<Vec<Hash>>> {
        let row: Option<(Vec<u8>,)> = sqlx::query_as("select hashes from tile where level = $1 and n = $2")
            .bind(level)
            .bind(signed(n))
            .fetch_optional(&self.readers)
            .await
            .map_err(read_error)?;
        row.map(|(bytes,)| match bytes.as_chunks::<32>() {
            (hashes, []) => Ok(hashes.to_vec()),
            _ => {
                Err(Error::Internal(format!("tile {n} of level {level} is damaged; run `jijia log rebuild`")))
            }
        })
        .transpose()
    }

    /// What `make` computes from stored hashes: it reads the root of the full subtree (level, index), as everything in
    /// `evidence::proof` does, and must read the same ones whatever they say.
    ///
    /// # Errors
    /// Those of `make`; `Internal` where a tile is missing.
    pub async fn with_tiles<T>(
        &self,
        make: impl Fn(&mut dyn FnMut(u8, u64) -> Result<Hash>) -> Result<T>,
    ) -> Result<T> {
        let mut wanted = Vec::new();
        // Which hashes are read does not depend on them: the first run only notes the tiles down.
        make(&mut |level, index| {
            wanted.push(tile::tile_of(level, index));
            Ok(Hash::default())
        })?;
        let mut tiles = BTreeMap::new();
        for (level, n) in wanted {
            if let std::collections::btree_map::Entry::Vacant(place) = tiles.entry((level, n)) {
                place.insert(self.find_tile(level, n).await?.unwrap_or_default());
            }
        }
        make(&mut |level, index| {
            let hashes = tiles.get(&tile::tile_of(level, index)).map(Vec::as_slice).unwrap_or_default();
            tile::subtree(hashes, level, index).ok_or_else(|| {
                Error::Internal("a stored tile is missing or too short; run `jijia log rebuild`".into())
            })
        })
    }

    /// The newest checkpoint, with the cosignatures it has.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read or it does not read back.
    pub async fn find_checkpoint(&self) -> Result<Option<SignedCheckpoint>> {
        find_checkpoint(&mut *self.readers.acquire().await.map_err(read_error)?).await
    }

    /// The checkpoint that proves the entry at `index` best: the one with most cosignatures, the newest of these.
    ///
    /// # Errors
    /// As [`Store::find_checkpoint`].
    pub async fn find_checkpoint_over(&self, index: u64) -> Result<Option<SignedCheckpoint>> {
        let mut conn = self.readers.acquire().await.map_err(read_error)?;
        let note: Option<(i64, String)> = sqlx::query_as(
            "select size, note from checkpoint c where size > $1
             order by (select count(*) from cosignature s where s.size = c.size) desc, size desc limit 1",
        )
        .bind(signed(index))
        .fetch_optional(&mut *conn)
        .await
        .map_err(read_error)?;
        cosigned(&mut conn, note).await
    }

    /// The checkpoints that are kept, oldest first: the last of each key, the cosigned ones, the newest.
    ///
    /// # Errors
    /// As [`Store::find_checkpoint`].
    pub async fn list_checkpoints(&self) -> Result<Vec<SignedCheckpoint>> {
        let mut conn = self.readers.acquire().await.map_err(read_error)?;
        let notes: Vec<(i64, String)> = sqlx::query_as("select size, note from checkpoint order by size")
            .fetch_all(&mut *conn)
            .await
            .map_err(read_error)?;
        let mut all = Vec::with_capacity(notes.len());
        for note in notes {
            all.extend(cosigned(&mut conn, Some(note)).await?);
        }
        Ok(all)
    }

    /// Keeps tiles, and the checkpoint over them if they are all, in one transaction.
    ///
    /// # Errors
    /// As every write.
    pub async fn add_tiles(
        &self,
        tiles: Vec<(Tile, Vec<Hash>)>,
        checkpoint: Option<SignedCheckpoint>,
    ) -> Result<()> {
        self.writer
            .run(move |tx| {
                tiles.iter().try_for_each(|(tile, hashes)| add_tile(tx, *tile, hashes))?;
                checkpoint.as_ref().map_or(Ok(()), |checkpoint| add_checkpoint(tx, checkpoint))
            })
            .await
    }

    /// Forgets every tile; the publisher makes them again from the entries.
    ///
    /// # Errors
    /// As every write.
    pub async fn drop_tiles(&self) -> Result<()> {
        self.writer.run(|tx| tx.exec("delete from tile", ())).await
    }

    /// Keeps the line that a witness put under the checkpoint of `size`, in the place of its line before. A checkpoint
    /// that has gone meanwhile, or a line over a larger one, stays as it is.
    ///
    /// # Errors
    /// As every write.
    pub async fn add_cosignature(&self, size: u64, line: Signature) -> Result<()> {
        self.writer
            .run(move |tx| {
                let witness = format!("{}+{:08x}", line.name, line.id);
                let text = line.to_string();
                tx.exec(
                    "insert into cosignature (witness, size, line)
                       select ?1, size, ?3 from checkpoint where size = ?2
                     on conflict (witness) do update set size = excluded.size, line = excluded.line
                       where excluded.size >= cosignature.size",
                    (witness, size, text.trim_end()),
                )
            })
            .await
    }

    /// Says in the log that its key is replaced; the new one signs once this entry is under a checkpoint of the old one.
    ///
    /// # Errors
    /// As every write.
    pub async fn add_key(&self, old: &VerifierKey, new: &VerifierKey) -> Result<Receipt> {
        let received_at = self.clock.now();
        let (old, new) = (old.to_string(), new.to_string());
        self.writer
            .run(move |tx| {
                let by = Payload::new("by", SHELL)?;
                tx.append(received_at, Kind::Key { old, new: new.clone() }, &new, &[by])
            })
            .await
    }

    /// The entry by which `new` became the log's key.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read or an entry of a key does not read back.
    pub async fn find_key_change(&self, new: &VerifierKey) -> Result<Option<KeyChange>> {
        let rows: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("select idx, body from entry where kind = 'key' order by idx desc")
                .fetch_all(&self.readers)
                .await
                .map_err(read_error)?;
        for (index, body) in rows {
            let change = read_key_change(index.unsigned_abs(), &body)
                .map_err(|e| Error::Internal(format!("the key's entry {index}: {e}")))?;
            if change.new == *new {
                return Ok(Some(change));
            }
        }
        Ok(None)
    }
}

/// The newest checkpoint, as [`Store::find_checkpoint`], by a connection that is at hand.
pub(super) async fn find_checkpoint(conn: &mut SqliteConnection) -> Result<Option<SignedCheckpoint>> {
    let note: Option<(i64, String)> =
        sqlx::query_as("select size, note from checkpoint order by size desc limit 1")
            .fetch_optional(&mut *conn)
            .await
            .map_err(read_error)?;
    cosigned(conn, note).await
}

/// A stored note with the cosignatures over it.
async fn cosigned(
    conn: &mut SqliteConnection,
    note: Option<(i64, String)>,
) -> Result<Option<SignedCheckpoint>> {
    let Some((size, note)) = note else { return Ok(None) };
    let damaged = |e: Error| Error::Internal(format!("the stored checkpoint of size {size}: {e}"));
    let mut checkpoint: SignedCheckpoint = note.parse().map_err(damaged)?;
    let lines: Vec<(String,)> =
        sqlx::query_as("select line from cosignature where size = $1 order by witness")
            .bind(size)
            .fetch_all(conn)
            .await
            .map_err(read_error)?;
    for (line,) in lines {
        checkpoint.add(line.parse().map_err(damaged)?);
    }
    Ok(Some(checkpoint))
}

fn stored((index, body, leaf): (i64, Vec<u8>, Vec<u8>)) -> StoredEntry {
    StoredEntry { index: index.unsigned_abs(), body, leaf }
}

fn read_key_change(index: u64, body: &[u8]) -> Result<KeyChange> {
    match Entry::parse(body)?.kind {
        Kind::Key { old, new } => Ok(KeyChange { index, old: old.parse()?, new: new.parse()? }),
        _ => Err(Error::invalid("type", "is of another kind")),
    }
}

/// Begins the log's next origin in the data directory `dir`, which nobody else has open: one entry names the old origin
/// with its size and root; what was signed under it, and the tiles, go.
///
/// # Errors
/// As every write.
pub fn begin_origin(
    dir: &Path,
    name: &str,
    old_name: &str,
    last_head: Option<LastHead>,
    now: Timestamp,
) -> Result<Receipt> {
    let conn = open_writing(&dir.join("jijia.db"))?;
    conn.execute_batch("begin immediate").map_err(store_error)?;
    let mut receipt = None;
    tx::in_transaction(&conn, |tx| {
        let head = tx.head();
        let kind = Kind::Origin {
            name: name.to_owned(),
            old_name: old_name.to_owned(),
            old_size: head.size(),
            old_root: hex::encode(head.root()),
            last_head,
        };
        receipt = Some(tx.append(now, kind, name, &[Payload::new("by", SHELL)?])?);
        tx.exec("delete from cosignature", ())?;
        tx.exec("delete from checkpoint", ())?;
        tx.exec("delete from tile", ())
    })?;
    conn.execute_batch("commit").map_err(store_error)?;
    receipt.ok_or_else(|| Error::Internal("the origin has no entry".into()))
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A narrower tile never takes the place of a wider one: that may be of another process that is ahead.
fn add_tile(tx: &Tx<'_>, tile: Tile, hashes: &[Hash]) -> Result<()> {
    let Content::Hashes(level) = tile.content else { return Ok(()) };
    tx.exec(
        "insert into tile (level, n, hashes) values (?1, ?2, ?3)
         on conflict (level, n) do update set hashes = excluded.hashes
           where length(excluded.hashes) >= length(tile.hashes)",
        (level, tile.n, hashes.concat()),
    )
}

fn add_checkpoint(tx: &Tx<'_>, checkpoint: &SignedCheckpoint) -> Result<()> {
    let size = checkpoint.checkpoint().size;
    let key = checkpoint.note().signatures().first().map_or(0, |s| s.id);
    tx.exec(
        "insert into checkpoint (size, key, note) values (?1, ?2, ?3)",
        (size, key, checkpoint.to_string()),
    )?;
    // A year of checkpoints would weigh more than the entries; what a smaller one proves a larger one proves as well.
    tx.exec(
        "delete from checkpoint where key = ?1 and size < ?2
           and not exists (select 1 from cosignature where cosignature.size = checkpoint.size)",
        (key, size),
    )
}
