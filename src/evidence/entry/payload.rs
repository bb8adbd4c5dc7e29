//! What entries commit to: bytes under a salt, which can be disclosed or erased.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::evidence::merkle::Hash;

/// A payload that an entry commits to. It lies apart from the entry and can be disclosed, or erased with its salt,
/// while every proof over the entry stays valid.
#[derive(Clone, Debug)]
pub struct Payload {
    /// `record`, `note`, `name`, `reason`, `body`, `filter`.
    pub name: &'static str,
    /// 16 random bytes: without them a short text could be guessed from its hash.
    pub salt: [u8; 16],
    /// The bytes.
    pub body: Vec<u8>,
}

impl Payload {
    /// A payload with a fresh salt.
    ///
    /// # Errors
    /// `Unavailable` if the system has no randomness to give.
    pub fn new(name: &'static str, body: impl Into<Vec<u8>>) -> Result<Self> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|e| Error::Unavailable(format!("no randomness: {e}")))?;
        Ok(Self { name, salt, body: body.into() })
    }

    /// SHA-256(salt || body).
    #[must_use]
    pub fn commitment(&self) -> Hash {
        commitment(&self.salt, &self.body)
    }
}

/// SHA-256(salt || body).
#[must_use]
pub fn commitment(salt: &[u8], body: &[u8]) -> Hash {
    Sha256::new().chain_update(salt).chain_update(body).finalize().into()
}

/// The commitments of an entry, payload name → hex.
pub type Commitments = BTreeMap<String, String>;

/// The commitments over `payloads`.
#[must_use]
pub fn commit(payloads: &[Payload]) -> Commitments {
    payloads.iter().map(|p| (p.name.to_owned(), hex::encode(p.commitment()))).collect()
}
