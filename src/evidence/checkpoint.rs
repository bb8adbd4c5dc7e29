//! Checkpoints: the signed head of a log (C2SP tlog-checkpoint, <https://c2sp.org/tlog-checkpoint>), and what witnesses
//! put under it (C2SP tlog-cosignature, <https://c2sp.org/tlog-cosignature>, Ed25519 `cosignature/v1`).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::merkle::Hash;
use super::note::{Kind, Note, Signature, SignerKey, VerifierKey};
use crate::error::{Error, Result};

/// Sizes end where SQLite and other implementations count in 63 bits.
const SIZE_MAX: u64 = i64::MAX.unsigned_abs();

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
    /// Further lines. This program writes none; those of other logs are kept, for a cosignature covers them.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// The root in base64, as the note's text has it.
    #[must_use]
    pub fn root_text(&self) -> String {
        STANDARD.encode(self.root)
    }
}

impl fmt::Display for Checkpoint {
    /// The note's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root_text())?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    /// Reads the note's text strictly.
    ///
    /// # Errors
    /// `Invalid` at `checkpoint`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: &str| Error::invalid("checkpoint", what);
        let body = text.strip_suffix('\n').ok_or_else(|| wrong("does not end with a newline"))?;
        let lines: Vec<&str> = body.split('\n').collect();
        let [origin, size, root, extensions @ ..] = lines.as_slice() else {
            return Err(wrong("has fewer than three lines: origin, size, root"));
        };
        if lines.iter().any(|line| line.is_empty()) {
            return Err(wrong("has an empty line"));
        }
        let size = decimal(size).ok_or_else(|| wrong("its second line is not a size in decimal"))?;
        let root = hash(root).ok_or_else(|| wrong("its third line is not a hash in base64"))?;
        let extensions = extensions.iter().map(|line| (*line).to_owned()).collect();
        Ok(Self { origin: (*origin).to_owned(), size, root, extensions })
    }
}

/// A number as these formats write it: decimal, no sign, no leading zero, below 2^63.
#[must_use]
pub fn decimal(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|n| *n <= SIZE_MAX && n.to_string() == text)
}

/// A hash as these formats write it: base64 with its padding.
#[must_use]
pub fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// A checkpoint with its signature lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// Signs a checkpoint with the log's key, which is named like its origin.
    ///
    /// # Errors
    /// `Invalid` at `key` for a key of another name or kind.
    pub fn sign(checkpoint: Checkpoint, key: &SignerKey) -> Result<Self> {
        check_origin(&checkpoint, key.verifier())?;
        let mut note = Note::new(checkpoint.to_string())?;
        note.add(key.sign(note.text())?);
        Ok(Self { checkpoint, note })
    }

    /// What it says; to be trusted only after [`SignedCheckpoint::verify`].
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Checks that the log with this key signed it.
    ///
    /// # Errors
    /// `Invalid` at `key` for a key of another origin, at `signature` if there is none or it is wrong.
    pub fn verify(&self, log: &VerifierKey) -> Result<()> {
        check_origin(&self.checkpoint, log)?;
        self.note.verify(log)
    }

    /// Adds a line, such as a witness's answer; one of the same key gives way.
    pub fn add(&mut self, signature: Signature) {
        self.note.add(signature);
    }

    /// The cosignature of a witness at this time: its statement that this is the largest head of this log that it has
    /// seen, consistent with all before.
    ///
    /// # Errors
    /// `Invalid` at `key` for a key that is not of [`Kind::Cosignature`], at `time` before 1970.
    pub fn cosign(&self, witness: &SignerKey, at: Timestamp) -> Result<Signature> {
        witness.verifier().check_kind(Kind::Cosignature)?;
        let time = u64::try_from(at.as_second())
            .map_err(|_| Error::invalid("time", format!("{at} is before 1970")))?;
        let signature = witness.sign_bytes(cosigned(time, self.note.text()).as_bytes());
        Ok(witness.signature(&[time.to_be_bytes().as_slice(), &signature].concat()))
    }

    /// Checks that the witness with this key cosigned it, and says when.
    ///
    /// # Errors
    /// `Invalid` at `key` for a key that is not of [`Kind::Cosignature`], at `signature` if there is none or it is wrong.
    pub fn verify_cosigned(&self, witness: &VerifierKey) -> Result<Timestamp> {
        witness.check_kind(Kind::Cosignature)?;
        let mut last = None;
        for line in self.note.signatures_of(witness) {
            let made_at = line.bytes.split_first_chunk::<8>().and_then(|(time, signature)| {
                let time = u64::from_be_bytes(*time);
                let message = cosigned(time, self.note.text());
                let at = i64::try_from(time).ok().and_then(|s| Timestamp::from_second(s).ok());
                at.filter(|_| witness.made(message.as_bytes(), signature))
            });
            let wrong =
                || Error::invalid("signature", format!("that of {witness} is not over this checkpoint"));
            last = last.max(Some(made_at.ok_or_else(wrong)?));
        }
        last.ok_or_else(|| Error::invalid("signature", format!("there is none of {witness}")))
    }
}

/// The message of `cosignature/v1`.
fn cosigned(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

fn check_origin(checkpoint: &Checkpoint, key: &VerifierKey) -> Result<()> {
    if checkpoint.origin == key.name() {
        return Ok(());
    }
    Err(Error::invalid("key", format!("{} is not the key of the log {}", key.name(), checkpoint.origin)))
}

impl fmt::Display for SignedCheckpoint {
    /// As it is served.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

impl FromStr for SignedCheckpoint {
    type Err = Error;

    /// Reads a checkpoint strictly; what it reads is written again byte for byte.
    ///
    /// # Errors
    /// `Invalid` at `note` or `checkpoint`.
    fn from_str(text: &str) -> Result<Self> {
        let note: Note = text.parse()?;
        Ok(Self { checkpoint: note.text().parse()?, note })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of C2SP tlog-cosignature.
    const SPEC: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint { origin: "jijia.local/evidence".into(), size, root: [9; 32], extensions: vec![] }
    }

    fn log_key() -> SignerKey {
        SignerKey::generate("jijia.local/evidence", Kind::Ed25519).unwrap()
    }

    #[test]
    fn the_example_of_the_specification_reads_back() {
        let read: SignedCheckpoint = SPEC.parse().unwrap();
        assert_eq!(read.to_string(), SPEC);
        assert_eq!(
            (read.checkpoint().origin.as_str(), read.checkpoint().size),
            ("example.com/behind-the-sofa", 20_852_163)
        );
        let theirs = tlog_tiles::Checkpoint::from_bytes(format!("{}\n", read.note().text()).as_bytes());
        assert!(theirs.is_err(), "theirs takes the text alone");
        let theirs = tlog_tiles::Checkpoint::from_bytes(read.note().text().as_bytes()).unwrap();
        assert_eq!(theirs.hash().0, read.checkpoint().root);
        assert_eq!(theirs.to_bytes(), read.checkpoint().to_string().into_bytes());
    }

    #[test]
    fn only_the_logs_own_key_signs_and_verifies() {
        let (key, other) = (log_key(), log_key());
        let signed = SignedCheckpoint::sign(checkpoint(7), &key).unwrap();
        signed.verify(key.verifier()).unwrap();
        signed.verify(other.verifier()).unwrap_err();
        let read: SignedCheckpoint = signed.to_string().replace("\n7\n", "\n8\n").parse().unwrap();
        read.verify(key.verifier()).unwrap_err();
        let elsewhere = SignerKey::generate("example.com/log", Kind::Ed25519).unwrap();
        SignedCheckpoint::sign(checkpoint(7), &elsewhere).unwrap_err();
        let witness = SignerKey::generate("jijia.local/evidence", Kind::Cosignature).unwrap();
        SignedCheckpoint::sign(checkpoint(7), &witness).unwrap_err();
        signed.verify(witness.verifier()).unwrap_err();
    }

    #[test]
    fn a_witness_says_when_it_saw_the_checkpoint_and_its_extensions() {
        let witness = SignerKey::generate("witness.example/w1", Kind::Cosignature).unwrap();
        let extended = Checkpoint { extensions: vec!["more".into()], ..checkpoint(7) };
        let key = log_key();
        let mut signed = SignedCheckpoint::sign(extended, &key).unwrap();
        let at: Timestamp = "2026-07-14T01:02:03Z".parse().unwrap();
        signed.verify_cosigned(witness.verifier()).unwrap_err();
        signed.add(signed.cosign(&witness, at).unwrap());
        let text = signed.to_string();
        let read: SignedCheckpoint = text.parse().unwrap();
        assert_eq!(read.verify_cosigned(witness.verifier()).unwrap(), at);
        read.verify(key.verifier()).unwrap();
        let line = &read.note().signatures()[1];
        let message = "cosignature/v1\ntime 1783990923\njijia.local/evidence\n7\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\nmore\n";
        assert!(witness.verifier().made(message.as_bytes(), &line.bytes[8..]));
        assert_eq!(line.bytes[..8], 1_783_990_923_u64.to_be_bytes());
        for changed in [text.replace("more", "less"), text.replace("\n7\n", "\n6\n")] {
            changed.parse::<SignedCheckpoint>().unwrap().verify_cosigned(witness.verifier()).unwrap_err();
        }
        let mut later = line.clone();
        later.bytes[7] += 1;
        signed.add(later);
        signed.verify_cosigned(witness.verifier()).unwrap_err();
        assert!(
            signed.cosign(&log_key(), at).is_err() && signed.verify_cosigned(log_key().verifier()).is_err()
        );
    }

    #[test]
    fn what_is_not_written_so_is_refused() {
        let good = checkpoint(70).to_string();
        assert_eq!(good.parse::<Checkpoint>().unwrap(), checkpoint(70));
        for bad in [
            String::new(),
            "a\n70\n".into(),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            format!("\n{good}"),
            format!("{good}\nmore\n"),
            good.replace("70", "070"),
            good.replace("70", "+70"),
            good.replace("70", "-1"),
            good.replace("70", "7e1"),
            good.replace("70", " 70"),
            good.replace("70", "9223372036854775808"),
            good.replace("CQk=", "CQk"),
            good.replace("CQk=", "CQl="),
            good.replace("CQkJ", ""),
        ] {
            assert!(bad.parse::<Checkpoint>().is_err(), "{bad:?}");
        }
    }
}
