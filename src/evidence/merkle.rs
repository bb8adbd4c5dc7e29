//! The Merkle tree of RFC 6962, section 2.1: hashes of leaves and nodes, the root over rows, the growing head.

use sha2::{Digest, Sha256};

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// Hash of a leaf: SHA-256(0x00 || bytes).
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

/// Hash of an inner node: SHA-256(0x01 || left || right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The head of a growing tree: its size and the roots of its full subtrees, largest first (one per set bit of the
/// size). Enough to append and to say the root; nothing else of the tree is needed for either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    size: u64,
    frontier: Vec<Hash>,
}

impl Head {
    /// The head stored as `size` and the bytes of its frontier; `None` if they do not belong together.
    #[must_use]
    pub fn from_parts(size: u64, frontier: &[u8]) -> Option<Self> {
        let (hashes, rest) = frontier.as_chunks::<32>();
        let fits = rest.is_empty() && hashes.len() == size.count_ones() as usize;
        fits.then(|| Self { size, frontier: hashes.to_vec() })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The frontier's bytes, to be stored.
    #[must_use]
    pub fn frontier(&self) -> Vec<u8> {
        self.frontier.concat()
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        // Each trailing one of the old size is a full subtree that the new leaf completes to the next level.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.frontier.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.frontier.push(node);
        self.size += 1;
    }

    /// The root; of an empty tree SHA-256 of nothing (RFC 6962, 2.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(|| Sha256::digest([]).into())
    }
}

impl Extend<Hash> for Head {
    fn extend<T: IntoIterator<Item = Hash>>(&mut self, leaves: T) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            many => {
                let k = many.len().next_power_of_two() / 2;
                node_hash(&plain_root(&many[..k]), &plain_root(&many[k..]))
            }
        }
    }

    #[test]
    fn the_growing_head_is_the_root_of_rfc_6962_at_every_size() {
        let leaves: Vec<Hash> = (0..300_u32).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        let mut head = Head::default();
        for n in 0..=leaves.len() {
            assert_eq!(head.root(), plain_root(&leaves[..n]), "size {n}");
            let stored = Head::from_parts(head.size(), &head.frontier()).unwrap();
            assert_eq!(stored, head);
            if let Some(leaf) = leaves.get(n) {
                head.push(*leaf);
            }
        }
        assert_eq!(Head::from_parts(3, &[0; 32]), None);
    }

    #[test]
    fn agrees_with_ct_merkle() {
        let mut theirs = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, Vec<u8>>::new();
        let mut ours = Head::default();
        for i in 0..500_u32 {
            theirs.push(i.to_be_bytes().to_vec());
            ours.push(leaf_hash(&i.to_be_bytes()));
            assert_eq!(theirs.root().as_bytes()[..], ours.root()[..], "size {}", i + 1);
        }
    }
}
