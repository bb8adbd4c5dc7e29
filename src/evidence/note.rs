//! Signed notes: a text with lines of signatures under it (C2SP signed-note, <https://c2sp.org/signed-note>).
//!
//! Lines of keys that are not known, and of types that this program cannot check, are kept and ignored.

mod key;

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, Result};
pub use key::{Kind, SignerKey, VerifierKey, check_name};

/// Longest note that is read, bytes.
const MOST_BYTES: usize = 1_000_000;
/// Most signature lines of a note that is read.
const MOST_SIGNATURES: usize = 100;
/// How every signature line begins: an em dash and a space.
const LINE_START: &str = "— ";

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Name of the key.
    pub name: String,
    /// Id of the key.
    pub id: u32,
    /// What stands after the id: for 0x01 the 64 bytes of Ed25519.
    pub bytes: Vec<u8>,
}

impl fmt::Display for Signature {
    /// `— name base64(id || signature)` with the newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = STANDARD.encode([&self.id.to_be_bytes(), self.bytes.as_slice()].concat());
        writeln!(f, "{LINE_START}{} {bytes}", self.name)
    }
}

impl FromStr for Signature {
    type Err = Error;

    /// Reads one line without its newline.
    fn from_str(line: &str) -> Result<Self> {
        let read = || {
            let (name, bytes) = line.strip_prefix(LINE_START)?.split_once(' ')?;
            check_name(name).ok()?;
            let bytes = STANDARD.decode(bytes).ok()?;
            let (id, bytes) = bytes.split_first_chunk::<4>().filter(|(_, rest)| !rest.is_empty())?;
            Some(Self { name: name.to_owned(), id: u32::from_be_bytes(*id), bytes: bytes.to_vec() })
        };
        read().ok_or_else(|| wrong_note("has a line that is not a signature: — name base64"))
    }
}

/// A text with its signatures. What it says is to be trusted only after [`Note::signatures_of`] of a known key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// An unsigned note.
    ///
    /// # Errors
    /// `Invalid` at `note` for a text that does not end with a newline or has other control characters.
    pub fn new(text: String) -> Result<Self> {
        check_characters(&text)?;
        if !text.ends_with('\n') {
            return Err(wrong_note("does not end with a newline"));
        }
        Ok(Self { text, signatures: Vec::new() })
    }

    /// The text with its last newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signature lines, in order.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds a line; one of the same key gives way.
    pub fn add(&mut self, signature: Signature) {
        self.signatures.retain(|s| (&s.name, s.id) != (&signature.name, signature.id));
        self.signatures.push(signature);
    }

    /// The lines that claim to be of `key`.
    pub fn signatures_of<'a>(&'a self, key: &'a VerifierKey) -> impl Iterator<Item = &'a Signature> {
        self.signatures.iter().filter(|s| s.name == key.name() && s.id == key.id())
    }

    /// Checks that `key`, of [`Kind::Ed25519`], signed the text.
    ///
    /// # Errors
    /// `Invalid` at `signature` if it has no line of this key or one that does not verify, at `key` for a key of
    /// another kind.
    pub fn verify(&self, key: &VerifierKey) -> Result<()> {
        key.check_kind(Kind::Ed25519)?;
        let mut lines = self.signatures_of(key).peekable();
        if lines.peek().is_none() {
            return Err(Error::invalid("signature", format!("there is none of {key}")));
        }
        if lines.all(|s| key.made(self.text.as_bytes(), &s.bytes)) {
            return Ok(());
        }
        Err(Error::invalid("signature", format!("that of {key} is not over this text")))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.text, Lines(&self.signatures))
    }
}

struct Lines<'a>(&'a [Signature]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|s| s.fmt(f))
    }
}

impl FromStr for Note {
    type Err = Error;

    /// Reads a note strictly; what it reads is written again byte for byte.
    ///
    /// # Errors
    /// `Invalid` at `note`.
    fn from_str(note: &str) -> Result<Self> {
        if note.len() > MOST_BYTES {
            return Err(wrong_note(&format!("is longer than {MOST_BYTES} bytes")));
        }
        check_characters(note)?;
        let (text, lines) =
            note.rsplit_once("\n\n").ok_or_else(|| wrong_note("has no empty line before its signatures"))?;
        let lines = lines.strip_suffix('\n').ok_or_else(|| wrong_note("does not end with a newline"))?;
        let signatures: Vec<Signature> = lines.split('\n').map(str::parse).collect::<Result<_>>()?;
        if signatures.len() > MOST_SIGNATURES {
            return Err(wrong_note(&format!("has more than {MOST_SIGNATURES} signatures")));
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }
}

fn check_characters(text: &str) -> Result<()> {
    if text.bytes().any(|b| b < 0x20 && b != b'\n') {
        return Err(wrong_note("has a control character"));
    }
    Ok(())
}

fn wrong_note(what: &str) -> Error {
    Error::invalid("note", what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use signed_note::{StandardSigner, StandardVerifier, VerifierList};

    /// The example of the specification, with the key of Go's `sumdb/note` documentation for the other.
    const SPEC: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
        — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    const GO_VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn key() -> SignerKey {
        SignerKey::from_seed("jijia.local/evidence", Kind::Ed25519, &[7; 32]).unwrap()
    }

    #[test]
    fn the_examples_of_the_specification_and_of_go_read_back_and_verify() {
        let note: Note = SPEC.parse().unwrap();
        assert!(note.text().ends_with("raggio di sole:\n\ned è subito sera.\n"));
        assert_eq!((note.to_string(), note.signatures()[0].id), (SPEC.to_owned(), 0x367b_a04b));
        let note: Note = GO_NOTE.parse().unwrap();
        note.verify(&GO_VERIFIER.parse().unwrap()).unwrap();
        note.verify(key().verifier()).unwrap_err();
    }

    #[test]
    fn keys_and_notes_are_those_of_signed_note_byte_for_byte() {
        for seed in 0..40 {
            let name = format!("湖.example/log{seed}");
            let ours = SignerKey::from_seed(&name, Kind::Ed25519, &[seed; 32]).unwrap();
            let theirs = StandardSigner::new(&ours.secret_text()).unwrap();
            let verifier = ours.verifier().to_string();
            assert_eq!(verifier.parse::<VerifierKey>().unwrap(), *ours.verifier());
            assert_eq!(ours.secret_text().parse::<SignerKey>().unwrap().verifier(), ours.verifier());
            let text = format!("{name}\n{seed}\n\n问题 {seed}\n");
            let mut note = Note::new(text.clone()).unwrap();
            note.add(ours.sign(&text).unwrap());
            let mut expected = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
            expected.add_sigs(&[&theirs]).unwrap();
            assert_eq!(note.to_string().as_bytes(), expected.to_bytes());
            let known = VerifierList::new(vec![Box::new(StandardVerifier::new(&verifier).unwrap())]);
            signed_note::Note::from_bytes(note.to_string().as_bytes()).unwrap().verify(&known).unwrap();
            note.verify(ours.verifier()).unwrap();
        }
    }

    #[test]
    fn unknown_lines_stay_and_a_known_key_must_be_right_in_each_of_its_lines() {
        let (signer, text) = (key(), "hello\n");
        let mut note = Note::new(text.to_owned()).unwrap();
        let other = Signature { name: "sm2.example".into(), id: 9, bytes: vec![0xff; 70] };
        let same_name = Signature { name: signer.verifier().name().into(), id: 9, bytes: vec![1] };
        note.add(other.clone());
        note.add(same_name.clone());
        note.verify(signer.verifier()).unwrap_err();
        note.add(signer.sign(text).unwrap());
        note.verify(signer.verifier()).unwrap();
        let read: Note = note.to_string().parse().unwrap();
        assert_eq!(read.signatures()[..2], [other, same_name]);
        assert_eq!(read, note);
        let bad = signer.signature(&[3; 64]);
        let twice: Note = format!("{note}{bad}").parse().unwrap();
        assert!(twice.verify(signer.verifier()).unwrap_err().to_string().contains("not over this text"));
        note.add(signer.sign(text).unwrap());
        assert_eq!(note.signatures().len(), 3);
    }

    #[test]
    fn what_is_not_written_so_is_refused() {
        let line = key().sign("a\n").unwrap().to_string();
        let good = format!("a\n\n{line}");
        good.parse::<Note>().unwrap();
        for bad in [
            String::new(),
            "a\n".into(),
            "a\n\n".into(),
            format!("a\n{line}"),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            format!("{good} "),
            good.replace('a', "a\r"),
            good.replace('a', "a\t"),
            good.replace("— ", "- "),
            good.replace("— ", "—  "),
            good.replace("evidence ", "evidence  "),
            good.replace("evidence ", "evi+dence "),
            good.replace("evidence ", "evi\u{3000}dence "),
            good.replace("=\n", "\n"),
            "a\n\n— name AAAAAA==\n".into(),
            format!("a\n\n{}", line.repeat(101)),
        ] {
            assert!(bad.parse::<Note>().is_err(), "{bad:?}");
        }
        format!("a\n\n{}", line.repeat(100)).parse::<Note>().unwrap();
        assert!(Note::new("no end".into()).is_err() && check_name("").is_err() && check_name("a b").is_err());
        let verifier = key().verifier().to_string();
        for bad in [
            verifier.replace("jijia", "jija"),
            verifier.to_uppercase(),
            verifier.replace('+', " "),
            format!("{verifier}="),
            verifier.replace("mkUR", "mkUS"),
        ] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
        }
        let secret = key().secret_text();
        let refused = secret.replace("evidence", "other").parse::<SignerKey>().unwrap_err().to_string();
        assert!(
            !refused.contains(secret.rsplit('+').next().unwrap())
                && !format!("{:?}", key()).contains(&secret)
        );
    }
}
