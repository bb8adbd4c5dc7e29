//! Proofs over the Merkle tree: made as RFC 6962, sections 2.1.1 and 2.1.2 say, verified by the steps of RFC 9162,
//! sections 2.1.3.2 and 2.1.4.2. Both RFCs mean the same tree and the same proofs.
//!
//! What makes a proof reads stored hashes through a closure `read(level, index)`: the root of the full subtree over the
//! leaves `index·2^level` to `(index + 1)·2^level`; level 0 is a leaf hash. Which hashes are read depends on the sizes
//! alone, never on the hashes: a caller that must fetch them first can run once with a closure that only notes down.

use super::merkle::{Hash, Head, node_hash};
use crate::error::{Error, Result};

/// Most hashes of an inclusion or consistency proof in a tree of up to 2^63 leaves.
pub const MOST_HASHES: usize = 64;

/// The root of the tree over the first `size` leaves.
///
/// # Errors
/// Those of `read`.
pub fn root(size: u64, mut read: impl FnMut(u8, u64) -> Result<Hash>) -> Result<Hash> {
    if size == 0 { Ok(Head::default().root()) } else { range_root(0, size, &mut read) }
}

/// The inclusion proof of leaf `index` in the tree over the first `size` leaves, from the leaf's sibling up (RFC 6962,
/// 2.1.1).
///
/// # Errors
/// `Invalid` at `index` outside the tree, and those of `read`.
pub fn inclusion(index: u64, size: u64, mut read: impl FnMut(u8, u64) -> Result<Hash>) -> Result<Vec<Hash>> {
    check_index(index, size)?;
    let mut path = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range_root(middle, end, &mut read)?);
            end = middle;
        } else {
            path.push(range_root(start, middle, &mut read)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The consistency proof from the tree over the first `from` leaves to that over the first `to` (RFC 6962, 2.1.2).
/// It is empty if both are the same tree, or `from` is the empty one.
///
/// # Errors
/// `Invalid` at `from` above `to`, and those of `read`.
pub fn consistency(from: u64, to: u64, mut read: impl FnMut(u8, u64) -> Result<Hash>) -> Result<Vec<Hash>> {
    check_order(from, to)?;
    let mut path = Vec::new();
    if from == 0 {
        return Ok(path);
    }
    let (mut start, mut end) = (0, to);
    while from != end {
        let middle = start + split(end - start);
        if from <= middle {
            path.push(range_root(middle, end, &mut read)?);
            end = middle;
        } else {
            path.push(range_root(start, middle, &mut read)?);
            start = middle;
        }
    }
    // From here on the old tree's own nodes: its root is known to the verifier, a part of it is not.
    if start > 0 {
        path.push(range_root(start, end, &mut read)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks that `leaf` is leaf `index` of the tree with this size and root.
///
/// # Errors
/// `Invalid` at `index` outside the tree, at `proof` if it is too short, too long or leads to another root.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<()> {
    check_index(index, size)?;
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(wrong("has hashes left over"));
        }
        if is_right(node) || node == last {
            hash = node_hash(sibling, &hash);
            climb(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(wrong("ends below the root"));
    }
    if hash != *root { Err(wrong("leads to another root")) } else { Ok(()) }
}

/// Checks that the tree of size `from` is the beginning of the tree of size `to`. Of the empty tree only the empty
/// proof is right, and its root must be that of RFC 6962.
///
/// # Errors
/// `Invalid` at `from` above `to`, at `proof` if it is too short, too long or leads to other roots.
pub fn verify_consistency(
    from: u64,
    from_root: &Hash,
    to: u64,
    to_root: &Hash,
    proof: &[Hash],
) -> Result<()> {
    check_order(from, to)?;
    if from == 0 || from == to {
        let known = if from == to { *to_root } else { Head::default().root() };
        return match proof {
            [] if known == *from_root => Ok(()),
            [] => Err(wrong("leads to another root")),
            _ => Err(wrong("has hashes left over")),
        };
    }
    let (mut node, mut last) = (from - 1, to - 1);
    let shift = node.trailing_ones();
    node >>= shift;
    last >>= shift;
    // Where the old tree is one full subtree, its root stands for the first hash.
    let (first, rest) = match proof.split_first() {
        _ if from.is_power_of_two() => (from_root, proof),
        Some(split) => split,
        None => return Err(wrong("is empty")),
    };
    let (mut old, mut new) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(wrong("has hashes left over"));
        }
        if is_right(node) || node == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            climb(&mut node, &mut last);
        } else {
            new = node_hash(&new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(wrong("ends below the root"));
    }
    if old != *from_root || new != *to_root { Err(wrong("leads to other roots")) } else { Ok(()) }
}

/// The full subtrees over leaves that are at hand, level by level: what proofs of a small tree are made from.
#[derive(Clone, Debug)]
pub struct Stored(Vec<Vec<Hash>>);

impl Stored {
    /// The tree over `leaves`.
    #[must_use]
    pub fn over(leaves: Vec<Hash>) -> Self {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|l| l.len() > 1) {
            let pairs = below.as_chunks::<2>().0;
            let level = pairs.iter().map(|[l, r]| node_hash(l, r)).collect();
            levels.push(level);
        }
        Self(levels)
    }

    /// For the functions that make proofs; `Internal` outside the tree.
    pub fn read(&self) -> impl FnMut(u8, u64) -> Result<Hash> {
        |level, index| {
            let of_level = self.0.get(usize::from(level));
            let hash = usize::try_from(index).ok().and_then(|i| of_level?.get(i));
            hash.copied().ok_or_else(|| Error::Internal(format!("no hash {index} at level {level}")))
        }
    }
}

fn wrong(what: &str) -> Error {
    Error::invalid("proof", what)
}

fn check_index(index: u64, size: u64) -> Result<()> {
    if index < size {
        return Ok(());
    }
    Err(Error::invalid("index", format!("{index} is outside a tree of {size} leaves")))
}

fn check_order(from: u64, to: u64) -> Result<()> {
    if from <= to {
        return Ok(());
    }
    Err(Error::invalid("from", format!("{from} is above {to}; a tree only grows")))
}

fn is_right(node: u64) -> bool {
    node & 1 == 1
}

/// A node at the right edge without a sibling stands for its ancestors up to the first that is a right child.
fn climb(node: &mut u64, last: &mut u64) {
    if *node != 0 {
        let shift = node.trailing_zeros();
        *node >>= shift;
        *last >>= shift;
    }
}

/// The largest power of two below `length`, which is 2 or more: where RFC 6962 divides.
fn split(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}

/// Root over the leaves `start..end` where `start` is a multiple of the power of two at or above the length, as all
/// ranges of RFC 6962 are.
fn range_root(start: u64, end: u64, read: &mut impl FnMut(u8, u64) -> Result<Hash>) -> Result<Hash> {
    let mut full = Vec::new();
    let mut start = start;
    while start < end {
        let level = (end - start).ilog2();
        full.push(read(u8::try_from(level).unwrap_or(u8::MAX), start >> level)?);
        start += 1 << level;
    }
    let joined = full.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
    joined.ok_or_else(|| Error::Internal("the root of an empty range was asked for".into()))
}

#[cfg(test)]
mod tests {
    use super::super::merkle::leaf_hash;
    use super::*;
    use sha2::Sha256;

    fn leaf(i: u32) -> Hash {
        leaf_hash(&i.to_be_bytes())
    }

    #[test]
    fn every_proof_of_every_small_tree_verifies_and_no_other_pair_does() {
        let stored = Stored::over((0..40).map(leaf).collect());
        let roots: Vec<Hash> = (0..=40).map(|n| root(n, stored.read()).unwrap()).collect();
        for size in 1..=40_u64 {
            let whole = &roots[size as usize];
            for index in 0..size {
                let proof = inclusion(index, size, stored.read()).unwrap();
                for other in 0..size {
                    let verified = verify_inclusion(&leaf(other as u32), index, size, &proof, whole);
                    assert_eq!(verified.is_ok(), other == index, "{other} at {index} of {size}");
                }
            }
            for from in 0..=size {
                let proof = consistency(from, size, stored.read()).unwrap();
                for other in 0..=size {
                    let verified = verify_consistency(other, &roots[other as usize], size, whole, &proof);
                    // An empty proof is right from the empty tree and from the tree itself.
                    let right = other == from || (proof.is_empty() && (other == 0 || other == size));
                    assert_eq!(verified.is_ok(), right, "{from} to {size}, taken for {other}");
                }
            }
        }
        assert!(inclusion(4, 4, stored.read()).is_err() && consistency(5, 4, stored.read()).is_err());
    }

    #[test]
    fn random_trees_agree_with_ct_merkle_and_tlog_tiles() {
        let mut theirs = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, Vec<u8>>::new();
        let mut hashes: Vec<tlog_tiles::Hash> = Vec::new();
        let stored = Stored::over((0..10_000).map(leaf).collect());
        let mut random = fastrand::Rng::with_seed(6962);
        let mut sizes: Vec<u64> = (0..60).map(|_| random.u64(1..=10_000)).collect();
        sizes.extend([1, 2, 255, 256, 257, 4_096, 10_000]);
        sizes.sort_unstable();
        for size in sizes {
            while theirs.len() < size {
                let i = u32::try_from(theirs.len()).unwrap();
                theirs.push(i.to_be_bytes().to_vec());
                let read = Kept(&hashes);
                let new = tlog_tiles::stored_hashes(u64::from(i), &i.to_be_bytes(), &read).unwrap();
                hashes.extend(new);
            }
            let whole = root(size, stored.read()).unwrap();
            assert_eq!(theirs.root().as_bytes()[..], whole[..], "size {size}");
            assert_eq!(tlog_tiles::tree_hash(size, &Kept(&hashes)).unwrap().0, whole, "size {size}");
            for _ in 0..20 {
                let index = random.u64(0..size);
                let proof = inclusion(index, size, stored.read()).unwrap();
                let ct = theirs.prove_inclusion(usize::try_from(index).unwrap());
                assert_eq!(ct.as_bytes(), proof.concat(), "leaf {index} of {size}");
                let tlog = tlog_tiles::prove_record(size, index, &Kept(&hashes)).unwrap();
                assert_eq!(tlog.iter().map(|h| h.0).collect::<Vec<_>>(), proof, "leaf {index} of {size}");
                verify_inclusion(&leaf(index as u32), index, size, &proof, &whole).unwrap();

                let from = random.u64(1..=size);
                let proof = consistency(from, size, stored.read()).unwrap();
                let tlog = tlog_tiles::prove_tree(size, from, &Kept(&hashes)).unwrap();
                assert_eq!(tlog.iter().map(|h| h.0).collect::<Vec<_>>(), proof, "{from} to {size}");
                let old = root(from, stored.read()).unwrap();
                verify_consistency(from, &old, size, &whole, &proof).unwrap();
                if from < size {
                    let ct = theirs.prove_consistency(usize::try_from(size - from).unwrap());
                    assert_eq!(ct.as_bytes(), proof.concat(), "{from} to {size}");
                }
            }
        }
    }

    /// The hashes in the order in which `tlog_tiles` stores them.
    struct Kept<'a>(&'a [tlog_tiles::Hash]);

    impl tlog_tiles::HashReader for Kept<'_> {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
            Ok(indexes.iter().map(|i| self.0[usize::try_from(*i).unwrap()]).collect())
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_proof_is_found() {
        let stored = Stored::over((0..777).map(leaf).collect());
        let (old, whole) = (root(300, stored.read()).unwrap(), root(777, stored.read()).unwrap());
        let inclusion = inclusion(333, 777, stored.read()).unwrap();
        let consistency = consistency(300, 777, stored.read()).unwrap();
        for bit in 0..inclusion.len() * 256 {
            let mut proof = inclusion.clone();
            proof[bit / 256][bit / 8 % 32] ^= 1 << (bit % 8);
            verify_inclusion(&leaf(333), 333, 777, &proof, &whole).unwrap_err();
        }
        for bit in 0..consistency.len() * 256 {
            let mut proof = consistency.clone();
            proof[bit / 256][bit / 8 % 32] ^= 1 << (bit % 8);
            verify_consistency(300, &old, 777, &whole, &proof).unwrap_err();
        }
    }
}
