//! The lines of `payloads.jsonl` and `readings.jsonl`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::evidence::merkle::Hash;

/// A line of `payloads.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadLine {
    /// Index of its entry.
    pub entry: u64,
    /// `record`, `note`.
    pub name: String,
    /// Its salt, hex.
    pub salt: String,
    /// The payload where it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// The payload where it is not, hex.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hex: Option<String>,
}

impl PayloadLine {
    /// The line of a payload.
    #[must_use]
    pub fn new(entry: u64, name: &str, salt: &[u8], body: Vec<u8>) -> Self {
        let (text, hex) = match String::from_utf8(body) {
            Ok(text) => (Some(text), None),
            Err(other) => (None, Some(hex::encode(other.as_bytes()))),
        };
        Self { entry, name: name.to_owned(), salt: hex::encode(salt), text, hex }
    }

    /// Salt and payload; `None` if they are not written as they must be.
    #[must_use]
    pub fn parts(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let salt = hex::decode(&self.salt).ok()?;
        let body = match (&self.text, &self.hex) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(digits)) => hex::decode(digits).ok().filter(|b| std::str::from_utf8(b).is_err())?,
            _ => return None,
        };
        let same = Self::new(self.entry, &self.name, &salt, body.clone()) == *self;
        same.then_some((salt, body))
    }
}

/// A line of `readings.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadingLine {
    /// Index of its batch's entry.
    pub entry: u64,
    /// Its place in the batch, from 0.
    pub pos: u64,
    /// The canonical row (`water::observation`).
    pub row: Box<RawValue>,
    /// Its inclusion proof in the batch, hex.
    pub path: Vec<String>,
}

impl ReadingLine {
    /// The line of the observation with this canonical row.
    ///
    /// # Errors
    /// `Internal` for a row that is not JSON.
    pub fn new(entry: u64, pos: u64, row: Vec<u8>, path: &[Hash]) -> Result<Self> {
        let wrong = |e: &dyn std::fmt::Display| Error::Internal(format!("row {pos} of entry {entry}: {e}"));
        let row = String::from_utf8(row).map_err(|e| wrong(&e))?;
        let row = RawValue::from_string(row).map_err(|e| wrong(&e))?;
        Ok(Self { entry, pos, row, path: path.iter().map(hex::encode).collect() })
    }

    /// The path's hashes; `None` if they are not written as they must be.
    #[must_use]
    pub fn hashes(&self) -> Option<Vec<Hash>> {
        self.path.iter().map(|text| hash(text)).collect()
    }
}

/// A SHA-256 as bundles write it.
#[must_use]
pub fn hash(text: &str) -> Option<Hash> {
    let hash: Hash = hex::decode(text).ok()?.try_into().ok()?;
    (hex::encode(hash) == text).then_some(hash)
}

/// A value as one line of canonical JSON.
///
/// # Errors
/// `Internal` if it cannot be written.
pub fn line(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value).map_err(|e| Error::Internal(e.to_string()))?;
    line.push(b'\n');
    Ok(line)
}
