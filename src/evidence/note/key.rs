//! Keys of notes, written `name+id+base64(type || key)`: the type is 0x01 for a plain Ed25519 signature over the text,
//! 0x04 for a timestamped cosignature of a checkpoint (`evidence::checkpoint`).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::Signature;
use crate::error::{Error, Result};
use crate::evidence::merkle::Hash;

/// How a signer's key begins.
const SECRET_START: &str = "PRIVATE+KEY+";

/// What a key signs: the type byte of its signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 0x01: Ed25519 over the text.
    Ed25519,
    /// 0x04: Ed25519 over a time and the text of a checkpoint (C2SP tlog-cosignature, `cosignature/v1`).
    Cosignature,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

/// The public half of a key with its name: what a reader must know before it can trust a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    kind: Kind,
    key: VerifyingKey,
}

impl VerifierKey {
    fn new(name: &str, kind: Kind, key: VerifyingKey) -> Result<Self> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), id: key_id(name, kind, &key), kind, key })
    }

    /// The key's name; for a log its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The number that stands before each of its signatures.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// # Errors
    /// `Invalid` at `key` for a key of another kind.
    pub(in crate::evidence) fn check_kind(&self, needed: Kind) -> Result<()> {
        if self.kind == needed {
            return Ok(());
        }
        Err(wrong_key(&format!(
            "is of type 0x{:02x}; needed here: 0x{:02x}",
            self.kind.byte(),
            needed.byte()
        )))
    }

    /// It made `signature` over exactly these bytes.
    pub(in crate::evidence) fn made(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = ed25519_dalek::Signature::from_slice(signature);
        signature.is_ok_and(|s| self.key.verify_strict(message, &s).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    /// `name+id+base64(type || key)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[self.kind.byte()], self.key.as_bytes().as_slice()].concat());
        write!(f, "{}+{:08x}+{key}", self.name, self.id)
    }
}

impl FromStr for VerifierKey {
    type Err = Error;

    /// # Errors
    /// `Invalid` at `key` for anything that `Display` does not write, and for types other than 0x01 and 0x04.
    fn from_str(text: &str) -> Result<Self> {
        let (name, kind, key) = split_key(text)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| wrong_key("is not an Ed25519 public key"))?;
        let this = Self::new(name, kind, key)?;
        if this.to_string() == text {
            Ok(this)
        } else {
            Err(wrong_key("has another id than its name and key give"))
        }
    }
}

/// The secret half with its name. It cannot be printed but through [`SignerKey::secret_text`].
#[derive(Clone)]
pub struct SignerKey {
    verifier: VerifierKey,
    key: SigningKey,
}

impl SignerKey {
    /// A fresh key.
    ///
    /// # Errors
    /// `Invalid` at `name` if it is empty, has a space or a plus; `Unavailable` without randomness.
    pub fn generate(name: &str, kind: Kind) -> Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| Error::Unavailable(format!("no randomness: {e}")))?;
        Self::from_seed(name, kind, &seed)
    }

    /// The key that these 32 secret bytes make.
    pub(super) fn from_seed(name: &str, kind: Kind, seed: &[u8; 32]) -> Result<Self> {
        let key = SigningKey::from_bytes(seed);
        Ok(Self { verifier: VerifierKey::new(name, kind, key.verifying_key())?, key })
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// `PRIVATE+KEY+name+id+base64(type || seed)`, as Go's `sumdb/note` writes it: for the key's file alone.
    #[must_use]
    pub fn secret_text(&self) -> String {
        let key = STANDARD.encode([&[self.verifier.kind.byte()], self.key.as_bytes().as_slice()].concat());
        format!("{SECRET_START}{}+{:08x}+{key}", self.verifier.name, self.verifier.id)
    }

    /// Signs a note's text with a key of [`Kind::Ed25519`].
    ///
    /// # Errors
    /// `Invalid` at `key` for a key of another kind.
    pub fn sign(&self, text: &str) -> Result<Signature> {
        self.verifier.check_kind(Kind::Ed25519)?;
        Ok(self.signature(&self.sign_bytes(text.as_bytes())))
    }

    /// The bare Ed25519 signature.
    pub(in crate::evidence) fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// A signature line of this key.
    pub(in crate::evidence) fn signature(&self, bytes: &[u8]) -> Signature {
        Signature { name: self.verifier.name.clone(), id: self.verifier.id, bytes: bytes.to_vec() }
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({})", self.verifier)
    }
}

impl FromStr for SignerKey {
    type Err = Error;

    /// # Errors
    /// `Invalid` at `key` for anything that [`SignerKey::secret_text`] does not write; never with the text itself.
    fn from_str(text: &str) -> Result<Self> {
        let public =
            text.strip_prefix(SECRET_START).ok_or_else(|| wrong_key("does not begin with PRIVATE+KEY+"))?;
        let (name, kind, seed) = split_key(public)?;
        let this = Self::from_seed(name, kind, &seed)?;
        if this.secret_text() == text {
            Ok(this)
        } else {
            Err(wrong_key("has another id than its name and key give"))
        }
    }
}

/// Name, kind and 32 bytes of `name+id+base64`.
fn split_key(text: &str) -> Result<(&str, Kind, [u8; 32])> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(wrong_key("is not written name+id+base64"));
    };
    let bytes = STANDARD.decode(key).map_err(|_| wrong_key("is not written name+id+base64"))?;
    let (kind, key) = bytes.split_first().ok_or_else(|| wrong_key("is empty"))?;
    let kind = [Kind::Ed25519, Kind::Cosignature].into_iter().find(|k| k.byte() == *kind);
    let kind = kind.ok_or_else(|| wrong_key("is of a type that is not known; known: 0x01, 0x04"))?;
    let key = key.try_into().map_err(|_| wrong_key("is not 32 bytes long"))?;
    Ok((name, kind, key))
}

fn wrong_key(what: &str) -> Error {
    Error::invalid("key", what)
}

fn key_id(name: &str, kind: Kind, key: &VerifyingKey) -> u32 {
    let hash: Hash = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', kind.byte()])
        .chain_update(key.as_bytes())
        .finalize()
        .into();
    let [a, b, c, d, ..] = hash;
    u32::from_be_bytes([a, b, c, d])
}

/// Checks a key's name, which is also how this program writes an origin.
///
/// # Errors
/// `Invalid` at `name`.
pub fn check_name(name: &str) -> Result<()> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.contains(bad) {
        return Err(Error::invalid(
            "name",
            format!("{name:?}: allowed is a text without spaces and +, not empty"),
        ));
    }
    Ok(())
}
