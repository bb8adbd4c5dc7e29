//! The right edge of the growing tree: what appends need, and what they write.

use super::merkle::{Hash, Head};
use super::tile::{Content, HEIGHT, LEVELS, Tile, WIDTH, fold, hashes};
use crate::error::{Error, Result};

/// The right edge of a growing tree: the hashes of its partial tiles. Enough to append and to write every tile that
/// changes; what it costs does not depend on the size of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// By level, fewer than 256 each.
    partial: [Vec<Hash>; LEVELS as usize],
}

impl Edge {
    /// The edge of a tree of `size` leaves; `read` gives the hashes of its partial tiles.
    ///
    /// # Errors
    /// `Internal` where a tile has too few hashes, and those of `read`.
    pub fn load(size: u64, mut read: impl FnMut(Tile) -> Result<Vec<Hash>>) -> Result<Self> {
        let mut edge = Self { size, ..Self::default() };
        for tile in Self::partial_tiles(size) {
            let Content::Hashes(level) = tile.content else { continue };
            let mut hashes = read(tile)?;
            if hashes.len() < usize::from(tile.width) {
                return Err(Error::Internal(format!(
                    "{tile} has {} hashes; run `jijia audit`",
                    hashes.len()
                )));
            }
            hashes.truncate(tile.width.into());
            if let Some(partial) = edge.partial.get_mut(usize::from(level)) {
                *partial = hashes;
            }
        }
        Ok(edge)
    }

    /// The partial hash tiles of a tree of `size` leaves.
    pub fn partial_tiles(size: u64) -> impl Iterator<Item = Tile> {
        (0..LEVELS)
            .map(Content::Hashes)
            .filter_map(move |content| Tile::in_tree(content, hashes(content, size) / u64::from(WIDTH), size))
    }

    /// Leaves in the tree.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf; `full` takes every tile that it completes.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(Tile, Vec<Hash>)) {
        let mut hash = leaf;
        self.size += 1;
        for (level, partial) in (0..LEVELS).zip(&mut self.partial) {
            partial.push(hash);
            if partial.len() < usize::from(WIDTH) {
                return;
            }
            let hashes = std::mem::take(partial);
            let Some(root) = fold(&hashes) else { return };
            hash = root;
            let n = (self.size >> (u32::from(HEIGHT) * (u32::from(level) + 1))) - 1;
            full(Tile { content: Content::Hashes(level), n, width: WIDTH }, hashes);
        }
    }

    /// The partial tiles as they are now, with their hashes.
    pub fn tiles(&self) -> impl Iterator<Item = (Tile, &[Hash])> {
        Self::partial_tiles(self.size).filter_map(|tile| match tile.content {
            Content::Hashes(level) => {
                self.partial.get(usize::from(level)).map(|hashes| (tile, hashes.as_slice()))
            }
            Content::Entries => None,
        })
    }

    /// The head of the tree: size and root.
    #[must_use]
    pub fn head(&self) -> Head {
        let mut frontier = Vec::new();
        for hashes in self.partial.iter().rev() {
            let mut rest = hashes.as_slice();
            while let Some(bit) = rest.len().checked_ilog2() {
                let (group, after) = rest.split_at(1 << bit);
                frontier.extend(fold(group).unwrap_or_default());
                rest = after;
            }
        }
        Head::from_parts(self.size, &frontier).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::merkle::leaf_hash;
    use super::super::proof;
    use super::super::tile::{changed, subtree, tile_of};
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_growing_edge_writes_exactly_the_tiles_that_change_and_its_head_is_the_trees() {
        let mut random = fastrand::Rng::with_seed(256);
        let (mut stored, mut head, mut size) = (BTreeMap::new(), Head::default(), 0_u64);
        while size < 140_000 {
            let grown = size + if size < 1_000 { random.u64(1..40) } else { random.u64(1..9_000) };
            let read = |tile: Tile| Ok(stored.get(&(tile.content, tile.n)).cloned().unwrap_or_default());
            let mut edge = Edge::load(size, read).unwrap();
            assert_eq!(edge.head(), head, "size {size}");
            let mut written = Vec::new();
            for i in size..grown {
                let leaf = leaf_hash(&i.to_be_bytes());
                head.push(leaf);
                edge.push(leaf, |tile, hashes| written.push((tile, hashes)));
            }
            written.extend(edge.tiles().map(|(tile, hashes)| (tile, hashes.to_vec())));
            let mut places: Vec<Tile> = written.iter().map(|(tile, _)| *tile).collect();
            places.sort_unstable();
            let told: Vec<Tile> = changed(size, grown).collect();
            let unchanged = |t: &Tile| !told.contains(t) && t.width < WIDTH;
            places.retain(|t| !unchanged(t));
            assert_eq!(places, told, "{size} to {grown}");
            for (tile, hashes) in written {
                assert_eq!(hashes.len(), usize::from(tile.width));
                stored.insert((tile.content, tile.n), hashes);
            }
            size = grown;
            assert_eq!((edge.size(), edge.head()), (size, head.clone()));
        }
        let read = |level, index| {
            let (tile_level, n) = tile_of(level, index);
            Ok(subtree(&stored[&(Content::Hashes(tile_level), n)], level, index).unwrap())
        };
        assert_eq!(proof::root(size, read).unwrap(), head.root());
        let leaf = leaf_hash(&77_777_u64.to_be_bytes());
        let path = proof::inclusion(77_777, size, read).unwrap();
        proof::verify_inclusion(&leaf, 77_777, size, &path, &head.root()).unwrap();
        Edge::load(size, |_| Ok(vec![])).unwrap_err();
    }
}
