//! The proof file: everything that shows that an entry is in the log, in one text (C2SP tlog-proof,
//! <https://c2sp.org/tlog-proof>). Kept under the ending `.tlog-proof`.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra base64            (may be absent)
//! index 73894
//! base64                  (hashes from the leaf's sibling up, one a line)
//!
//! the checkpoint, verbatim
//! ```

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{SignedCheckpoint, decimal, hash};
use super::merkle::Hash;
use super::note::VerifierKey;
use super::proof::{MOST_HASHES, verify_inclusion};
use crate::error::{Error, Result};

/// The first line.
const HEAD: &str = "c2sp.org/tlog-proof@v1";

/// An entry's proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Whatever the maker put beside it. Nothing authenticates it.
    pub extra: Option<Vec<u8>>,
    /// Index of the entry, from 0.
    pub index: u64,
    /// Its inclusion proof (RFC 6962, 2.1.1) in the checkpoint's tree.
    pub hashes: Vec<Hash>,
    /// The checkpoint.
    pub checkpoint: SignedCheckpoint,
}

impl TlogProof {
    /// Checks that the log with this key has the leaf at this index.
    ///
    /// # Errors
    /// `Invalid` at `key`, `signature`, `index` or `proof`.
    pub fn verify(&self, leaf: &Hash, log: &VerifierKey) -> Result<()> {
        self.checkpoint.verify(log)?;
        let head = self.checkpoint.checkpoint();
        verify_inclusion(leaf, self.index, head.size, &self.hashes, &head.root)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        if let Some(extra) = self.extra.as_ref().filter(|e| !e.is_empty()) {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = Error;

    /// Reads a proof file strictly; what it reads is written again byte for byte.
    ///
    /// # Errors
    /// `Invalid` at `file`, `note` or `checkpoint`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: &str| Error::invalid("file", what);
        let (own, checkpoint) =
            text.split_once("\n\n").ok_or_else(|| wrong("has no empty line before its checkpoint"))?;
        let mut lines = own.split('\n').peekable();
        if lines.next() != Some(HEAD) {
            return Err(wrong(&format!("does not begin with {HEAD}")));
        }
        let extra = match lines.next_if(|line| line.starts_with("extra ")) {
            Some(line) => {
                let bytes = line.strip_prefix("extra ").and_then(|b| STANDARD.decode(b).ok());
                let bytes = bytes.filter(|b| !b.is_empty());
                Some(bytes.ok_or_else(|| wrong("its extra data is not base64, or empty"))?)
            }
            None => None,
        };
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let index = index.ok_or_else(|| wrong("has no line `index` with a number in decimal"))?;
        let hashes: Option<Vec<Hash>> = lines.map(hash).collect();
        let hashes = hashes.ok_or_else(|| wrong("has a line that is not a hash in base64"))?;
        if hashes.len() > MOST_HASHES {
            return Err(wrong(&format!("has more than {MOST_HASHES} hashes")));
        }
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::Checkpoint;
    use super::super::merkle::{leaf_hash, node_hash};
    use super::super::note::{Kind, SignerKey};
    use super::*;

    fn proof(extra: Option<Vec<u8>>) -> (TlogProof, Hash, SignerKey) {
        let key = SignerKey::generate("jijia.local/evidence", Kind::Ed25519).unwrap();
        let [a, b, c] = [b"a", b"b", b"c"].map(|l| leaf_hash(l));
        let root = node_hash(&node_hash(&a, &b), &c);
        let checkpoint =
            Checkpoint { origin: "jijia.local/evidence".into(), size: 3, root, extensions: vec![] };
        let checkpoint = SignedCheckpoint::sign(checkpoint, &key).unwrap();
        (TlogProof { extra, index: 1, hashes: vec![a, c], checkpoint }, b, key)
    }

    #[test]
    fn a_proof_reads_back_and_proves_its_leaf_alone() {
        for extra in [None, Some(b"JJH-PK-0003".to_vec())] {
            let (proof, leaf, key) = proof(extra);
            let text = proof.to_string();
            let read: TlogProof = text.parse().unwrap();
            assert_eq!((&read, read.to_string()), (&proof, text));
            read.verify(&leaf, key.verifier()).unwrap();
            read.verify(&leaf_hash(b"x"), key.verifier()).unwrap_err();
            TlogProof { index: 0, ..read.clone() }.verify(&leaf, key.verifier()).unwrap_err();
            TlogProof { index: 3, ..read.clone() }.verify(&leaf, key.verifier()).unwrap_err();
            let other = SignerKey::generate("jijia.local/evidence", Kind::Ed25519).unwrap();
            read.verify(&leaf, other.verifier()).unwrap_err();
        }
        let (mut lone, leaf, key) = proof(None);
        let checkpoint =
            Checkpoint { origin: "jijia.local/evidence".into(), size: 1, root: leaf, extensions: vec![] };
        lone = TlogProof {
            index: 0,
            hashes: vec![],
            checkpoint: SignedCheckpoint::sign(checkpoint, &key).unwrap(),
            ..lone
        };
        let read: TlogProof = lone.to_string().parse().unwrap();
        read.verify(&leaf, key.verifier()).unwrap();
    }

    #[test]
    fn every_change_of_a_byte_is_refused_or_proves_nothing() {
        let (proof, leaf, key) = proof(None);
        let text = proof.to_string();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                let Ok(read) = changed.parse::<TlogProof>() else { continue };
                assert!(read.verify(&leaf, key.verifier()).is_err(), "byte {at}, bit {bit}");
            }
            assert!(text.get(..at).is_none_or(|t| t.parse::<TlogProof>().is_err()), "cut at {at}");
        }
    }

    #[test]
    fn what_is_not_written_so_is_refused() {
        let good = proof(Some(b"x".to_vec())).0.to_string();
        good.parse::<TlogProof>().unwrap();
        let hash = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n";
        for bad in [
            good.replace("@v1", "@v2"),
            good.replace("extra eA==", "extra "),
            good.replace("extra eA==", "extra eA"),
            good.replace("index 1", "index 01"),
            good.replace("index 1", "index"),
            good.replace("index 1\n", ""),
            good.replace("index 1\n", "index 1\nindex 1\n"),
            good.replace("index 1\n", "index 1\n\n"),
            good.replace("index 1\n", &format!("index 1\n{}", hash.repeat(64))),
            format!("{good}\n"),
        ] {
            assert!(bad.parse::<TlogProof>().is_err(), "{bad}");
        }
    }
}
