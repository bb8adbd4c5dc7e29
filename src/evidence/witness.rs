//! What a log sends to a witness, and what a witness knows (C2SP tlog-witness, <https://c2sp.org/tlog-witness>,
//! `add-checkpoint`).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{SignedCheckpoint, decimal, hash};
use super::merkle::{Hash, Head};
use super::note::VerifierKey;
use super::proof::verify_consistency;
use crate::error::{Error, Result};

/// Media type of the answer that names the size that the witness knows.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";
/// Most proof lines of a request.
const MOST_LINES: usize = 63;

/// The body of `POST …/add-checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the checkpoint that the witness cosigned last; 0 for the first.
    pub old: u64,
    /// The consistency proof from there; empty from 0.
    pub proof: Vec<Hash>,
    /// The checkpoint to cosign.
    pub checkpoint: SignedCheckpoint,
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for AddCheckpoint {
    type Err = Error;

    /// # Errors
    /// `Invalid` at `body`, `note` or `checkpoint`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: &str| Error::invalid("body", what);
        let (own, checkpoint) =
            text.split_once("\n\n").ok_or_else(|| wrong("has no empty line before its checkpoint"))?;
        let mut lines = own.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old = old.ok_or_else(|| wrong("does not begin with `old` and a size in decimal"))?;
        let proof: Option<Vec<Hash>> = lines.map(hash).collect();
        let proof = proof.ok_or_else(|| wrong("has a line that is not a hash in base64"))?;
        if proof.len() > MOST_LINES {
            return Err(wrong("has more than 63 proof lines"));
        }
        Ok(Self { old, proof, checkpoint: checkpoint.parse()? })
    }
}

/// Why a witness does not cosign; each has its status in the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// 403: no signature of a key that is trusted for this origin.
    Unsigned,
    /// 400: the old size is above the checkpoint's.
    Backwards,
    /// 409: the witness knows another size, this one.
    Stale(u64),
    /// 409: the same size with another root: the log has forked. The size.
    Forked(u64),
    /// 422: the proof does not lead from what is known to the checkpoint.
    Unproved,
}

impl AddCheckpoint {
    /// Whether a witness that trusts `keys` for this origin, and cosigned `known` last, may cosign. The checks in the
    /// order of the specification.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn check(&self, keys: &[VerifierKey], known: Option<&SignedCheckpoint>) -> Result<(), Denial> {
        let new = self.checkpoint.checkpoint();
        if !keys.iter().any(|key| self.checkpoint.verify(key).is_ok()) {
            return Err(Denial::Unsigned);
        }
        if self.old > new.size {
            return Err(Denial::Backwards);
        }
        let (size, root) = known.map_or((0, Head::default().root()), |known| {
            let known = known.checkpoint();
            (known.size, known.root)
        });
        if self.old != size {
            return Err(Denial::Stale(size));
        }
        if new.size == size && new.root != root {
            return Err(Denial::Forked(size));
        }
        verify_consistency(size, &root, new.size, &new.root, &self.proof).map_err(|_| Denial::Unproved)
    }
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::Checkpoint;
    use super::super::merkle::leaf_hash;
    use super::super::note::{Kind, SignerKey};
    use super::super::{proof, tile};
    use super::*;

    /// The first `size` leaves of a log, one of them changed in a `fork`.
    fn leaves(size: u64, fork: Option<u64>) -> Vec<Hash> {
        (0..size).map(|i| leaf_hash(&if fork == Some(i) { [1; 8] } else { i.to_be_bytes() })).collect()
    }

    fn read(leaves: &[Hash]) -> impl FnMut(u8, u64) -> Result<Hash> {
        |level, index| {
            let (first, width) = (index << level, 1_u64 << level);
            let range = usize::try_from(first).unwrap()..usize::try_from(first + width).unwrap();
            Ok(tile::fold(&leaves[range]).unwrap())
        }
    }

    fn request(key: &SignerKey, old: u64, size: u64, fork: Option<u64>) -> AddCheckpoint {
        let leaves = leaves(size, fork);
        let root = proof::root(size, read(&leaves)).unwrap();
        let head = Checkpoint { origin: "a.example/log".into(), size, root, extensions: vec![] };
        let proof = proof::consistency(old.min(size), size, read(&leaves)).unwrap();
        AddCheckpoint { old, proof, checkpoint: SignedCheckpoint::sign(head, key).unwrap() }
    }

    #[test]
    fn a_witness_goes_along_with_growth_and_nothing_else() {
        let key = SignerKey::generate("a.example/log", Kind::Ed25519).unwrap();
        let stranger = SignerKey::generate("a.example/log", Kind::Ed25519).unwrap();
        let keys = [stranger.verifier().clone(), key.verifier().clone()];
        let known = request(&key, 0, 5, None).checkpoint;
        let check = |r: &AddCheckpoint| r.check(&keys, Some(&known));
        assert_eq!(request(&key, 0, 5, None).check(&keys, None), Ok(()));
        assert_eq!(check(&request(&key, 5, 9, None)), Ok(()));
        assert_eq!(check(&request(&key, 5, 5, None)), Ok(()));
        assert_eq!(request(&key, 5, 9, None).check(&keys[..1], Some(&known)), Err(Denial::Unsigned));
        assert_eq!(check(&request(&key, 6, 5, None)), Err(Denial::Backwards));
        assert_eq!(check(&request(&key, 0, 9, None)), Err(Denial::Stale(5)));
        assert_eq!(check(&request(&key, 3, 4, None)), Err(Denial::Stale(5)));
        assert_eq!(request(&key, 5, 9, None).check(&keys, None), Err(Denial::Stale(0)));
        assert_eq!(check(&request(&key, 5, 5, Some(2))), Err(Denial::Forked(5)));
        assert_eq!(check(&request(&key, 5, 9, Some(2))), Err(Denial::Unproved));
        assert_eq!(check(&request(&key, 5, 9, Some(7))), Ok(()));
        let longer = AddCheckpoint { proof: vec![[0; 32]], ..request(&key, 0, 5, None) };
        assert_eq!(longer.check(&keys, None), Err(Denial::Unproved));
    }

    #[test]
    fn the_body_reads_back_and_nothing_else_is_read() {
        let key = SignerKey::generate("a.example/log", Kind::Ed25519).unwrap();
        for (old, size) in [(0, 1), (3, 9), (9, 9)] {
            let request = request(&key, old, size, None);
            assert_eq!(request.to_string().parse::<AddCheckpoint>().unwrap(), request);
        }
        let good = request(&key, 3, 9, None).to_string();
        let many = format!("old 3\n{}\n{}", "A".repeat(43).as_str().to_owned() + "=\n", good);
        for bad in [
            String::new(),
            "old 3\n\n".into(),
            good.replacen("old 3", "old 03", 1),
            good.replacen("old 3", "Old 3", 1),
            good.replacen("old 3\n", "", 1),
            good.replacen("old 3\n", "old 3\nxx\n", 1),
            good.replacen("old 3\n", &format!("old 3\n{}", format!("{}=\n", "A".repeat(43)).repeat(64)), 1),
            many,
            good.trim_end().to_owned(),
        ] {
            bad.parse::<AddCheckpoint>().unwrap_err();
        }
    }
}
