//! The log for somebody who keeps an older head of it: what shows that nothing of what they saw was changed or dropped.

use jiff::Timestamp;

use super::{Publisher, Witness};
use crate::error::{Error, Result};
use crate::evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::evidence::entry::{Entry, Kind};
use crate::evidence::merkle::Hash;
use crate::evidence::proof;
use crate::store::StoredEntry;

/// The newest head beside an older one.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The newest head.
    pub newest: SignedCheckpoint,
    /// RFC 6962, 2.1.2, from the older one to it. None where it has fewer entries, or where entries were lost before the
    /// log went on under another name: then there is nothing to show.
    pub consistency: Option<Vec<Hash>>,
    /// The older one is a head of this log.
    pub is_continued: bool,
    /// The entries by which the log got from the older head's name to its own, each with its inclusion in the newest.
    pub origins: Vec<(StoredEntry, Vec<Hash>)>,
}

impl Publisher {
    /// The newest head, and what leads to it from `kept`.
    ///
    /// # Errors
    /// `Unavailable` while nothing is signed; `Internal` if the database cannot be read.
    pub async fn compare(&self, kept: Option<&Checkpoint>) -> Result<Comparison> {
        let newest = self.checkpoint().await?;
        let size = newest.checkpoint().size;
        let Some(kept) = kept else {
            return Ok(Comparison { newest, consistency: None, is_continued: true, origins: Vec::new() });
        };
        let entries = self.origins_from(&kept.origin, &newest.checkpoint().origin, size).await?;
        let mut origins = Vec::with_capacity(entries.len());
        for entry in entries {
            let hashes = self.path(entry.index, size).await?;
            origins.push((entry, hashes));
        }
        // What was restored lies before the first of them.
        let common = origins.first().map_or(size, |(entry, _)| entry.index);
        let is_known = kept.origin == newest.checkpoint().origin || !origins.is_empty();
        // Restored from a backup, the log may not be signed again yet as far as it was.
        if kept.size > common
            && origins.is_empty()
            && is_known
            && kept.size <= self.store.log_head().await?.size
        {
            return Err(self.not_yet("what is kept is stored and not signed again yet"));
        }
        if !is_known || kept.size > common {
            return Ok(Comparison { newest, consistency: None, is_continued: false, origins });
        }
        let made = self.consistency(kept.size, Some(size)).await?;
        let is_continued = made.from_root == kept.root;
        Ok(Comparison { newest, consistency: Some(made.hashes), is_continued, origins })
    }

    /// RFC 6962 2.1.1 of the entry `index` in the tree of the first `size`, which are signed.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn path(&self, index: u64, size: u64) -> Result<Vec<Hash>> {
        self.store.with_tiles(|read| proof::inclusion(index, size, read)).await
    }

    /// Whether this log's key signed a head that somebody shows, now or before it was replaced.
    ///
    /// # Errors
    /// As [`Publisher::known_keys`].
    pub async fn has_signed(&self, shown: &SignedCheckpoint) -> Result<bool> {
        Ok(self.known_keys().await?.iter().any(|key| shown.verify(key).is_ok()))
    }

    /// When a witness last cosigned a head of this log.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn find_cosigned(&self) -> Result<Option<Timestamp>> {
        let heads = self.store.list_checkpoints().await?;
        let by = |head: &SignedCheckpoint, w: &Witness| head.verify_cosigned(w.key()).ok();
        Ok(heads.iter().flat_map(|head| self.witnesses.iter().filter_map(move |w| by(head, w))).max())
    }

    /// The entries among the first `size` that lead from the name `from` to the name `to`; none where they do not.
    async fn origins_from(&self, from: &str, to: &str, size: u64) -> Result<Vec<StoredEntry>> {
        let (mut name, mut chain) = (from.to_owned(), Vec::new());
        if from == to {
            return Ok(chain);
        }
        for entry in self.store.list_origins().await?.into_iter().filter(|entry| entry.index < size) {
            let damaged = |e: Error| Error::Internal(format!("the origin's entry {}: {e}", entry.index));
            if let Kind::Origin { name: next, old_name, .. } =
                Entry::parse(&entry.body).map_err(damaged)?.kind
                && old_name == name
            {
                name = next;
                chain.push(entry);
            }
        }
        Ok(if name == to { chain } else { Vec::new() })
    }
}
