//! One publication, from the last checkpoint to the next.

use super::Publisher;
use super::guard::Held;
use super::refusal::{Fault, Refusal};
use crate::error::Result;
use crate::evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::evidence::edge::Edge;
use crate::evidence::merkle::{Hash, leaf_hash};
use crate::evidence::note::SignerKey;
use crate::evidence::proof;
use crate::evidence::tile::{Content, Tile, WIDTH};
use crate::store::{LogHead, Store, off_thread};

/// Entries read at once, and the most whose tiles are written in one transaction.
const CHUNK: u32 = 4096;

/// Brings every committed entry under a checkpoint; `None` while there are no entries.
pub(super) async fn publish(p: &Publisher) -> Result<Option<SignedCheckpoint>, Fault> {
    // From here to the end nobody else signs, whatever process.
    let guard = p.guard.hold().await?;
    let key = p.read_key().await?;
    let last = p.store.find_checkpoint().await?;
    let guarded = read_guard(&guard, last.is_some()).await?;
    check_signer(p, &key, last.iter().chain(&guarded.checkpoint)).await?;
    let head = p.store.log_head().await?;
    check_sizes(&head, &last, &guarded.checkpoint)?;

    let (root, tiles) = build(&p.store, last.as_ref(), guarded.checkpoint.as_ref(), head.size).await?;
    if root != head.root {
        return Err(Refusal::HeadDiffers { log: head.size }.into());
    }
    if last.as_ref().map_or(0, |last| last.checkpoint().size) == head.size {
        if !tiles.is_empty() {
            p.store.add_tiles(tiles, None).await?;
        }
        finish_rotation(p, last.as_ref()).await?;
        return Ok(last);
    }

    let origin = key.verifier().name().to_owned();
    let head = Checkpoint { origin, size: head.size, root: head.root, extensions: Vec::new() };
    // Crash before this line: nothing has happened.
    let checkpoint = SignedCheckpoint::sign(head, &key)?;
    guard.swap(guarded.text, checkpoint.to_string()).await?;
    // Crash before this line: the guard is ahead of the database, nobody has seen the new head. The next run finds the
    // same entries (they are durable), the same root as in the guard, and goes on from there.
    p.store.add_tiles(tiles, Some(checkpoint.clone())).await?;
    // Crash before this line: published; whoever asks next gets it.
    finish_rotation(p, Some(&checkpoint)).await?;
    Ok(Some(checkpoint))
}

/// A tile and its hashes.
type Written = (Tile, Vec<Hash>);

/// Builds the tree up to `size` on the stored one and checks every signed head on the way. Gives the root, and the tiles
/// that are not written yet.
async fn build(
    store: &Store,
    last: Option<&SignedCheckpoint>,
    guarded: Option<&SignedCheckpoint>,
    size: u64,
) -> Result<(Hash, Vec<Written>), Fault> {
    let mut tree = load(store, last).await?;
    let (stored, mut tiles) = (tree.size(), Vec::new());
    let mut known: Vec<&Checkpoint> =
        last.into_iter().chain(guarded).map(SignedCheckpoint::checkpoint).collect();
    known.sort_unstable_by_key(|checkpoint| checkpoint.size);
    for known in known {
        let root = if known.size < stored {
            // An older guard was put back. What came after it was signed as well, and is in this database.
            store.with_tiles(|read| proof::root(known.size, read)).await?
        } else {
            // The guard is ahead after a crash between guard and database, the checkpoint after `jijia log rebuild`.
            grow(store, &mut tree, known.size, &mut tiles).await?;
            tree.head().root()
        };
        if root != known.root {
            return Err(Refusal::Forked { signed: known.size }.into());
        }
    }
    grow(store, &mut tree, size, &mut tiles).await?;
    if tree.size() > stored {
        tiles.extend(tree.tiles().map(|(tile, hashes)| (tile, hashes.to_vec())));
    }
    Ok((tree.head().root(), tiles))
}

/// What the guard holds.
struct Guarded {
    text: Option<String>,
    checkpoint: Option<SignedCheckpoint>,
}

async fn read_guard(guard: &Held, signed_before: bool) -> Result<Guarded, Fault> {
    let text = guard.read().await?;
    let Some(known) = &text else {
        if signed_before {
            return Err(Refusal::GuardMissing { guard: guard.path() }.into());
        }
        return Ok(Guarded { text, checkpoint: None });
    };
    let checkpoint = known.parse().map_err(|why: crate::error::Error| Refusal::GuardStrange {
        guard: guard.path(),
        why: why.to_string(),
    })?;
    Ok(Guarded { checkpoint: Some(checkpoint), text })
}

/// The last checkpoints are of this key, or of the one that it replaced by an entry.
async fn check_signer(
    p: &Publisher,
    key: &SignerKey,
    signed: impl Iterator<Item = &SignedCheckpoint>,
) -> Result<(), Fault> {
    for checkpoint in signed.filter(|c| c.verify(key.verifier()).is_err()) {
        let change = p.store.find_key_change(key.verifier()).await?;
        if change.is_none_or(|change| checkpoint.verify(&change.old).is_err()) {
            return Err(Refusal::AnotherKey.into());
        }
    }
    Ok(())
}

/// Nothing that was signed is missing.
fn check_sizes(
    head: &LogHead,
    last: &Option<SignedCheckpoint>,
    guarded: &Option<SignedCheckpoint>,
) -> Result<(), Fault> {
    let signed = last.iter().chain(guarded).map(|c| c.checkpoint().size).max().unwrap_or(0);
    if signed <= head.size { Ok(()) } else { Err(Refusal::Behind { log: head.size, signed }.into()) }
}

/// The tree of the last checkpoint from the stored tiles; the empty one if they were dropped to be made again.
async fn load(store: &Store, last: Option<&SignedCheckpoint>) -> Result<Edge, Fault> {
    let Some(last) = last.map(SignedCheckpoint::checkpoint) else { return Ok(Edge::default()) };
    if store.find_tile(0, 0).await?.is_none() {
        return Ok(Edge::default());
    }
    let mut partial = Vec::new();
    for tile in Edge::partial_tiles(last.size) {
        if let Content::Hashes(level) = tile.content {
            partial.push((tile, store.find_tile(level, tile.n).await?.unwrap_or_default()));
        }
    }
    let mut partial = partial.into_iter();
    let tree = Edge::load(last.size, |_| Ok(partial.next().map(|(_, hashes)| hashes).unwrap_or_default()));
    // Hashes that are missing and hashes that are wrong call for the same.
    tree.ok()
        .filter(|tree| tree.head().root() == last.root)
        .ok_or_else(|| Refusal::TilesChanged { size: last.size }.into())
}

/// Appends the entries up to `size` by their stored bytes. `tiles` takes what is not yet written.
async fn grow(store: &Store, tree: &mut Edge, size: u64, tiles: &mut Vec<Written>) -> Result<(), Fault> {
    while tree.size() < size {
        let first = tree.size();
        let limit = u32::try_from(size - first).unwrap_or(CHUNK).min(CHUNK);
        let entries = store.list_entries(first, limit).await?;
        if entries.is_empty() {
            return Err(Refusal::EntryChanged { index: first }.into());
        }
        for entry in entries {
            let leaf = leaf_hash(&entry.body);
            if entry.index != tree.size() || entry.leaf != leaf {
                return Err(Refusal::EntryChanged { index: tree.size() }.into());
            }
            tree.push(leaf, |tile, hashes| tiles.push((tile, hashes)));
        }
        if tiles.len() > CHUNK as usize / usize::from(WIDTH) {
            // Full tiles of entries that are not signed yet: no reader is given them. A long log needs no memory.
            store.add_tiles(std::mem::take(tiles), None).await?;
        }
    }
    Ok(())
}

/// Lets the next key take over once the entry that names it is signed by the old one.
async fn finish_rotation(p: &Publisher, signed: Option<&SignedCheckpoint>) -> Result<(), Fault> {
    let key = p.key.clone();
    let next = off_thread(move || key.find_next()).await?;
    let (Some(next), Some(signed)) = (next, signed) else { return Ok(()) };
    let Some(change) = p.store.find_key_change(next.verifier()).await? else { return Ok(()) };
    if change.index < signed.checkpoint().size && signed.verify(&change.old).is_ok() {
        // Crash before this line: the old key signs on, and the next publication comes here again.
        let key = p.key.clone();
        off_thread(move || key.turn()).await?;
        tracing::info!(entry = change.index, key = %change.new, "the log has a new key");
    }
    Ok(())
}
