//! The rescue archive of a phone (导出未上传): what it had not sent yet, byte for byte as it would have sent it, so that
//! sending it later gives the same receipts. `index.json`, `patrols/UUID.json`, `reports/UUID.json`, `photos/SHA256`,
//! `voices/SHA256`.

mod archive;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use uuid::Uuid;

use super::report::{check_sha256, parse_json};
use super::voice;
use crate::error::{Error, Result};

pub use archive::Archive;

/// What `index.json` calls the form.
const FORMAT: &str = "jijia-outbox-1";
const INDEX: &str = "index.json";
/// Most members of an archive, as service and shell take it.
pub const MEMBERS_MAX: usize = 10_000;

/// How much an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Members, folders included.
    pub max_members: usize,
    /// All members unfolded, bytes.
    pub max_unfolded: u64,
    /// A report or a patrol, bytes.
    pub max_body: u64,
    /// A photo, bytes.
    pub max_photo: u64,
}

/// Something that waited on the phone. In the order in which it is taken: a report names its patrol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// The body of `POST /api/v1/patrols`.
    Patrol(Uuid),
    /// The body of `POST /api/v1/reports`.
    Report(Uuid),
    /// The bytes of a photo, by their SHA-256 in hex.
    Photo(String),
    /// The bytes of a voice note, by their SHA-256 in hex.
    Voice(String),
}

impl Item {
    /// Its name in the archive.
    #[must_use]
    pub fn member(&self) -> String {
        match self {
            Self::Patrol(id) => format!("patrols/{id}.json"),
            Self::Report(id) => format!("reports/{id}.json"),
            Self::Photo(sha256) => format!("photos/{sha256}"),
            Self::Voice(sha256) => format!("voices/{sha256}"),
        }
    }

    fn of(member: &str) -> Option<Self> {
        let id = |name: &str| name.strip_suffix(".json")?.parse().ok();
        match member.split_once('/')? {
            ("patrols", name) => id(name).map(Self::Patrol),
            ("reports", name) => id(name).map(Self::Report),
            ("photos", name) => check_sha256(name).ok().map(|()| Self::Photo(name.to_owned())),
            ("voices", name) => check_sha256(name).ok().map(|()| Self::Voice(name.to_owned())),
            _ => None,
        }
        .filter(|item| item.member() == member)
    }
}

/// An item with its bytes, or what is wrong about the member that should be one.
pub type Found = (String, Result<(Item, Vec<u8>)>);

/// An opened archive of a phone.
pub struct Outbox {
    archive: Archive,
    limits: Limits,
    /// What is left to be read, the last first.
    left: Vec<(String, Option<Item>)>,
}

/// What the phone says it put in. Anything else in it is passed over: an archive of a newer phone must not be lost.
#[derive(Deserialize)]
struct Index {
    format: String,
    #[serde(default)]
    patrols: Vec<Uuid>,
    #[serde(default)]
    reports: Vec<Uuid>,
    #[serde(default)]
    photos: Vec<String>,
    #[serde(default)]
    voices: Vec<String>,
}

impl Outbox {
    /// Opens an archive. What its index does not name is taken all the same; what it names and is not there is found to be
    /// missing in its turn.
    ///
    /// # Errors
    /// As [`Archive::open`]; `Invalid` at `index.json` for what is no archive of a phone.
    pub fn open(path: &Path, limits: Limits) -> Result<Self> {
        let mut archive = Archive::open(path, &limits)?;
        let text = archive.read(INDEX, limits.max_body).map_err(|e| match e {
            Error::NotFound(_) => Error::invalid(
                INDEX,
                format!("is not in the archive; allowed: an archive of the form {FORMAT}"),
            ),
            other => other,
        })?;
        let index: Index = parse_json(&text).map_err(|e| e.under(INDEX))?;
        if index.format != FORMAT {
            return Err(Error::invalid(
                "index.json.format",
                format!("`{}`; allowed: {FORMAT}", index.format),
            ));
        }
        let named = index.patrols.into_iter().map(Item::Patrol);
        let named = named.chain(index.reports.into_iter().map(Item::Report));
        let named = named.chain(index.photos.into_iter().map(Item::Photo));
        let named = named.chain(index.voices.into_iter().map(Item::Voice)).map(|item| item.member());
        let there = archive.names().iter().filter(|name| *name != INDEX).cloned();
        let members: BTreeSet<String> = named.chain(there).collect();
        let mut left: Vec<(String, Option<Item>)> =
            members.into_iter().map(|m| (m.clone(), Item::of(&m))).collect();
        left.sort_by(|a, b| b.1.cmp(&a.1));
        Ok(Self { archive, limits, left })
    }

    /// Members that are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.left.len()
    }

    /// Nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }
}

/// One after the other: patrols, reports, photos, voice notes; before them what is none of these.
impl Iterator for Outbox {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        let (member, item) = self.left.pop()?;
        let found = match item {
            None => Err(Error::invalid(
                member.as_str(),
                "is no part of an outbox; allowed: index.json, patrols/UUID.json, reports/UUID.json, photos/SHA256, \
                 voices/SHA256",
            )),
            Some(item) => {
                let most = match item {
                    Item::Patrol(_) | Item::Report(_) => self.limits.max_body,
                    Item::Photo(_) => self.limits.max_photo,
                    Item::Voice(_) => voice::MAX_BYTES,
                };
                self.archive.read(&member, most).map(|bytes| (item, bytes))
            }
        };
        Some((member, found))
    }
}

/// A plain archive of photos: every member is one, under the hash of its own bytes.
pub struct PhotoArchive {
    archive: Archive,
    max_photo: u64,
    left: Vec<String>,
}

impl PhotoArchive {
    /// Opens it.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn open(path: &Path, limits: Limits) -> Result<Self> {
        let archive = Archive::open(path, &limits)?;
        let left = archive.names().iter().rev().cloned().collect();
        Ok(Self { archive, max_photo: limits.max_photo, left })
    }
}

impl Iterator for PhotoArchive {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        let member = self.left.pop()?;
        let read =
            self.archive.read(&member, self.max_photo).map(|bytes| (Item::Photo(sha256_of(&bytes)), bytes));
        Some((member, read))
    }
}

fn sha256_of(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}
