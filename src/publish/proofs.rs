//! What a reader may ask of the published log: tiles, and proofs in trees that are signed.

use super::Publisher;
use crate::error::{Error, Result};
use crate::evidence::checkpoint::SignedCheckpoint;
use crate::evidence::merkle::Hash;
use crate::evidence::proof;
use crate::evidence::tile::{self, Content, Tile, WIDTH};
use crate::evidence::tlog_proof::TlogProof;

/// That an entry is in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// Its leaf hash.
    pub leaf: Hash,
    /// Entries of the tree.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
    /// RFC 6962, 2.1.1.
    pub hashes: Vec<Hash>,
}

/// That a tree is the beginning of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consistency {
    /// Root of the smaller.
    pub from_root: Hash,
    /// Entries of the larger.
    pub to: u64,
    /// Root of the larger.
    pub to_root: Hash,
    /// RFC 6962, 2.1.2.
    pub hashes: Vec<Hash>,
}

impl Publisher {
    /// The newest checkpoint.
    ///
    /// # Errors
    /// `Unavailable` while there is none.
    pub async fn checkpoint(&self) -> Result<SignedCheckpoint> {
        let newest = self.store.find_checkpoint().await?;
        newest.ok_or_else(|| self.not_yet("the log has no signed checkpoint yet"))
    }

    /// The bytes of a tile of the published tree: hashes one after the other, or a bundle of entries.
    ///
    /// # Errors
    /// `NotFound` for a tile that the newest checkpoint's tree does not have.
    pub async fn tile(&self, tile: Tile) -> Result<Vec<u8>> {
        let size = self.checkpoint().await?.checkpoint().size;
        if !tile.is_in_tree(size) {
            return Err(Error::NotFound(format!("{tile}: the signed log has {size} entries")));
        }
        let short = || Error::Internal(format!("{tile} is not stored whole; run `jijia log rebuild`"));
        match tile.content {
            Content::Hashes(level) => {
                let hashes = self.store.find_tile(level, tile.n).await?.unwrap_or_default();
                Ok(hashes.get(..usize::from(tile.width)).ok_or_else(short)?.concat())
            }
            Content::Entries => {
                let first = tile.n * u64::from(WIDTH);
                let entries = self.store.list_entries(first, tile.width.into()).await?;
                if !entries.iter().map(|e| e.index).eq(first..first + u64::from(tile.width)) {
                    return Err(short());
                }
                let mut bundle = Vec::new();
                entries.iter().try_for_each(|e| tile::write_entry(&mut bundle, &e.body))?;
                Ok(bundle)
            }
        }
    }

    /// Proves that the entry `index` is in the tree of the first `size`.
    ///
    /// # Errors
    /// `NotFound` for an entry that there is not, `Unavailable` for one that is not signed yet, `Invalid` at `size` or
    /// `index`.
    pub async fn inclusion(&self, index: u64, size: Option<u64>) -> Result<Inclusion> {
        let newest = self.covering(index).await?;
        let size = size.unwrap_or(newest);
        check_size("size", size, newest)?;
        let made = self.store.with_tiles(|read| {
            let hashes = proof::inclusion(index, size, &mut *read)?;
            Ok(Inclusion { leaf: read(0, index)?, size, root: proof::root(size, read)?, hashes })
        });
        let made = made.await?;
        proof::verify_inclusion(&made.leaf, index, size, &made.hashes, &made.root).map_err(|e| broken(&e))?;
        Ok(made)
    }

    /// Proves that the tree of the first `from` entries is the beginning of that of the first `to`.
    ///
    /// # Errors
    /// `Invalid` at `from` or `to`.
    pub async fn consistency(&self, from: u64, to: Option<u64>) -> Result<Consistency> {
        let newest = self.checkpoint().await?.checkpoint().size;
        let to = to.unwrap_or(newest);
        check_size("to", to, newest)?;
        let made = self.store.with_tiles(|read| {
            let hashes = proof::consistency(from, to, &mut *read)?;
            let (from_root, to_root) = (proof::root(from, &mut *read)?, proof::root(to, read)?);
            Ok(Consistency { from_root, to, to_root, hashes })
        });
        let made = made.await?;
        proof::verify_consistency(from, &made.from_root, to, &made.to_root, &made.hashes)
            .map_err(|e| broken(&e))?;
        Ok(made)
    }

    /// The proof file of the entry `index`: under the checkpoint with most cosignatures, the newest of these.
    ///
    /// # Errors
    /// As [`Publisher::inclusion`].
    pub async fn prove(&self, index: u64) -> Result<TlogProof> {
        self.covering(index).await?;
        let checkpoint = self.store.find_checkpoint_over(index).await?;
        let checkpoint = checkpoint.ok_or_else(|| Error::Internal("a checkpoint has gone".into()))?;
        let head = checkpoint.checkpoint();
        let made = self.inclusion(index, Some(head.size)).await?;
        if made.root != head.root {
            return Err(Error::Internal(format!(
                "the stored tiles do not give the signed root of {} entries; run `jijia log rebuild`",
                head.size
            )));
        }
        Ok(TlogProof { extra: None, index, hashes: made.hashes, checkpoint })
    }

    /// Size of the newest checkpoint, which is over the entry `index`.
    async fn covering(&self, index: u64) -> Result<u64> {
        let entries = self.store.log_head().await?.size;
        if index >= entries {
            return Err(Error::NotFound(format!("index {index}: the log has {entries} entries, from 0")));
        }
        let size = self.checkpoint().await?.checkpoint().size;
        if index < size {
            Ok(size)
        } else {
            Err(self.not_yet(&format!("entry {index} is stored and not signed yet")))
        }
    }

    /// When to ask again, or what is in the way.
    pub(super) fn not_yet(&self, what: &str) -> Error {
        Error::Unavailable(match self.trouble() {
            None => format!("{what}; ask again in 5 s"),
            Some(trouble) => format!("{what}: {}", trouble.words),
        })
    }
}

fn check_size(field: &str, size: u64, newest: u64) -> Result<()> {
    if size <= newest {
        return Ok(());
    }
    Err(Error::invalid(
        field,
        format!("{size} is not signed; allowed: up to {newest}, the newest checkpoint"),
    ))
}

fn broken(error: &Error) -> Error {
    Error::Internal(format!("the stored tiles do not fit together ({error}); run `jijia log rebuild`"))
}
