//! Entries: what is written into the log, one leaf each, and what they commit to.
//!
//! An entry is an envelope (format version, type, time received, salted commitments) around one [`Kind`]. Persons, who
//! acted, and everything a person wrote are payloads under a salted commitment; nothing in an entry names anybody.
//!
//! # Adding a kind
//! 1. A variant of [`Kind`] with its fields and its word in [`Kind::as_str`]; names of persons are payloads.
//! 2. The noun's file in `store` appends it: `tx.append(received_at, Kind::…, id, &payloads)`.
//! 3. `store::audit` compares the noun's table with it.
//! 4. `evidence::verify`, tests/verify.py and the page `/verify` need it only if a bundle shows what it names.
//!
//! Bytes of earlier versions never change: `v1` reads them, tests/fixtures/v1 holds logs of that time.

mod payload;
mod sealed;
mod v1;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};
pub use payload::{Commitments, Payload, commit, commitment};
pub use sealed::Sealed;

/// The version of the entry format that is written.
pub const FORMAT: u8 = 2;
/// Who acted, where a command of the operator did.
pub const SHELL: &str = "shell";
/// An entry that was received so much before its predecessor says so: the clock had been set back.
const CLOCK_TOLERANCE_S: u64 = 60;

/// By how many seconds an entry received at `received_ms` lies before the one received at `before_ms`, which stands before it
/// in the log; `None` where that is no more than chance. Milliseconds since 1970.
#[must_use]
pub fn clock_behind_s(before_ms: i64, received_ms: i64) -> Option<u64> {
    let behind_s = before_ms.saturating_sub(received_ms).max(0).unsigned_abs() / 1000;
    (behind_s > CLOCK_TOLERANCE_S).then_some(behind_s)
}

/// One leaf of the log. Serialised once; from then on the bytes are what counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// 1 or [`FORMAT`].
    pub v: u8,
    /// What it says.
    #[serde(flatten)]
    pub kind: Kind,
    /// The server's clock.
    pub received_at: Timestamp,
    /// Seconds by which the server's clock was behind the entry before, where that is more than a minute.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock_behind_s: Option<u64>,
    /// Payload name → SHA-256(salt ‖ payload), hex.
    #[serde(skip_serializing_if = "Commitments::is_empty", default)]
    pub commit: Commitments,
    /// What an entry of version 1 says in the clear and a later one as a payload: `person`, `by`, `account`, `role`, `unit`,
    /// `of`.
    #[serde(skip)]
    pub clear: BTreeMap<&'static str, String>,
}

/// What an entry says. Payloads are named where a kind has others than `by`, who acted: an account, phone or token, `shell`
/// for a command of the operator, the source for a sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Kind {
    /// The log is that of a demo: its first entry.
    Demo,
    /// A report was accepted. Payloads `person`, `record`, `body`, and where given `note`, `name`.
    Report {
        /// The client's UUID.
        id: Uuid,
        /// The client's UUID of the patrol it was made on.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        patrol: Option<Uuid>,
        /// SHA-256 of its photos, hex, in the report's order.
        photos: Vec<String>,
    },
    /// A report was corrected, withdrawn, or its outfall chosen. Payloads `person`, `record` (the whole new version), `body`,
    /// `reason`, and where given `note`, `name`.
    Correction {
        /// The correction's own UUID.
        id: Uuid,
        /// The client's UUID of the report.
        report: Uuid,
        /// Index of the version it replaces.
        replaces: u64,
        /// `amend`, `withdraw`, `choose_outfall`.
        action: String,
        /// The fields it changed.
        changed: Vec<String>,
        /// SHA-256 of the version's photos, hex.
        photos: Vec<String>,
    },
    /// The bytes of a photo were uploaded and sealed.
    Photo {
        /// Of the original, hex.
        sha256: String,
        /// Of the original.
        bytes: u64,
        /// `image/jpeg`.
        media_type: String,
        /// Pixels; not known of HEIC.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        width: Option<u32>,
        /// Pixels; not known of HEIC.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        height: Option<u32>,
        /// SHA-256 of the viewers' copy, hex: it is what pages and documents show. HEIC has none.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        copy: Option<String>,
    },
    /// The bytes of a voice note were uploaded and sealed.
    Voice {
        /// Hex.
        sha256: String,
        /// Of the recording.
        bytes: u64,
        /// `audio/webm`.
        media_type: String,
        /// Whole seconds, where the container says so.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        duration_s: Option<u64>,
    },
    /// A patrol was recorded. Payloads `person`, `record`, `body`, and where given `note`, `name`.
    Patrol {
        /// The client's UUID.
        id: Uuid,
    },
    /// A batch of observations of one source. Payload `body` where the sender gave an id, `file` where they stood in one.
    Observations {
        /// The sender's UUID, where it gave one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Uuid>,
        /// `mqtt:lake`, `http`, `import`.
        source: String,
        /// Rows.
        count: u64,
        /// Earliest time measured.
        first: Timestamp,
        /// Latest time measured.
        last: Timestamp,
        /// RFC 6962 root over the canonical rows in their order, hex.
        root: String,
        /// The dead letters of the same commit.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        dead: Option<DeadLetters>,
    },
    /// A document was made from the log. Payload `filter`.
    Export {
        /// `docx`, `pdf`, `xlsx`, `csv`, `geojson`, `zip`.
        format: String,
        /// Of the file, of a bundle's manifest for `zip`; hex.
        sha256: String,
        /// Entries it was made from.
        log_size: u64,
        /// Index of the entry with the rules by which it was judged.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        rules: Option<u64>,
    },
    /// The place was configured or replaced.
    Place {
        /// SHA-256 over the place's files, hex.
        hash: String,
    },
    /// The rules by which evidence is judged were configured or changed. Payload `rules`: limits, windows, gauge, place, as
    /// JSON.
    Rules,
    /// A payload and its salt, or a sealed file, were erased by law (已依法删除). Payload `reason`.
    Erasure {
        /// Index of the entry that commits to what was erased.
        target: u64,
        /// The payload's name, or the word of what was [`Sealed`].
        name: String,
    },
    /// An account, a phone or a token was added, changed or disabled. Payloads `account` (`p-03`, `phone-2`, `token-1`), `role`
    /// and `unit` from here on, and `name` where it could have changed.
    Account {
        /// What was done.
        change: Change,
    },
    /// Somebody saw what is not for everybody. Payload `of`: SHA-256 of the photo, voice note or
    /// bundle's manifest, hex, or the account.
    Access {
        /// `original`, `voice`, `bundle` (with originals), `name`.
        what: String,
    },
    /// Originals and voice note of a report were disclosed to its responsible unit, by a supervisor.
    Disclosure {
        /// The client's UUID of the report.
        report: Uuid,
    },
    /// The log continues under a new name after a restore whose place in the old log could not be shown.
    Origin {
        /// The origin from here on.
        name: String,
        /// The origin before.
        old_name: String,
        /// Entries of the old log that were restored: all before this one.
        old_size: u64,
        /// RFC 6962 root over them, hex.
        old_root: String,
        /// The last head of the old log that was known at the restore; entries beyond `old_size` are lost.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        last_head: Option<LastHead>,
    },
    /// The log's key was replaced. The checkpoints over this entry are signed by the old key up to the first that is
    /// signed by the new one: who trusts the old one and finds this entry under it trusts the new one.
    Key {
        /// The verifier key before, C2SP signed-note `name+id+base64`.
        old: String,
        /// The one from here on.
        new: String,
    },
}

/// A head of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastHead {
    /// Entries.
    pub size: u64,
    /// RFC 6962 root over them, hex.
    pub root: String,
}

/// What became of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Added,
    /// Name, role, unit or login are others.
    Changed,
    /// It may not sign in any more.
    Disabled,
    /// It may again.
    Enabled,
    /// A password was set.
    Password,
    /// A PIN was set.
    Pin,
    /// A second factor was set or taken away.
    Totp,
    /// A one-time link to sign in or to set a secret was made for it by somebody else.
    Link,
    /// One-time codes are taken from every browser again.
    Unlocked,
    /// Every session was ended by somebody else.
    SignedOut,
}

/// What a batch's entry says of the messages that could not become observations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetters {
    /// How many.
    pub count: u64,
    /// RFC 6962 root over their canonical forms in their order, hex.
    pub root: String,
}

impl Kind {
    /// The word in the database's `kind` column, and `type` in the bytes.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Report { .. } => "report",
            Self::Correction { .. } => "correction",
            Self::Photo { .. } => Sealed::Photo.as_str(),
            Self::Voice { .. } => Sealed::Voice.as_str(),
            Self::Patrol { .. } => "patrol",
            Self::Observations { .. } => "observations",
            Self::Export { .. } => "export",
            Self::Place { .. } => "place",
            Self::Rules => "rules",
            Self::Erasure { .. } => "erasure",
            Self::Account { .. } => "account",
            Self::Access { .. } => "access",
            Self::Disclosure { .. } => "disclosure",
            Self::Origin { .. } => "origin",
            Self::Key { .. } => "key",
        }
    }
}

impl Entry {
    /// An entry that commits to `payloads`.
    #[must_use]
    pub fn new(received_at: Timestamp, kind: Kind, payloads: &[Payload]) -> Self {
        let (commit, clear) = (commit(payloads), BTreeMap::new());
        Self { v: FORMAT, kind, received_at, clock_behind_s: None, commit, clear }
    }

    /// Reads the bytes of a leaf, of whichever version.
    ///
    /// # Errors
    /// `Invalid` where they are not what this program, or one before, would have written.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            v: u8,
        }
        let wrong = |e: serde_json::Error| Error::invalid("entry", e.to_string());
        match serde_json::from_slice::<Version>(bytes).map_err(wrong)?.v {
            1 => serde_json::from_slice::<v1::Entry>(bytes).map(Self::from).map_err(wrong),
            FORMAT => {
                let entry: Self = serde_json::from_slice(bytes).map_err(wrong)?;
                // One form: a field that this program does not know, or another order, is not passed over.
                if entry.to_bytes()? == bytes {
                    Ok(entry)
                } else {
                    Err(Error::invalid("entry", "is not in canonical form"))
                }
            }
            v => Err(Error::invalid("v", format!("version {v}; known: 1 to {FORMAT}"))),
        }
    }

    /// The bytes that become the leaf.
    ///
    /// # Errors
    /// `Invalid` past 65,535 bytes, the limit of an entry bundle (C2SP tlog-tiles).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let bytes = serde_json::to_vec(self).map_err(|e| Error::Internal(e.to_string()))?;
        if bytes.len() > usize::from(u16::MAX) {
            return Err(Error::invalid(
                "",
                format!("the entry would be {} bytes; allowed: 65535", bytes.len()),
            ));
        }
        Ok(bytes)
    }
}

/// What a submitter gets for an accepted thing: its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Receipt {
    /// The submission's id: the client's UUID, or the SHA-256 of a photo or voice note.
    pub id: String,
    /// Index of its entry in the log, from 0.
    pub index: u64,
    /// RFC 6962 leaf hash of the entry, hex.
    pub leaf_hash: String,
    /// When the server had it.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// The entry's bytes, verbatim: SHA-256(0x00 ‖ entry) is the leaf hash, so nobody needs the log to read them.
    pub entry: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_and_hides_who_and_what() {
        let payloads = [("note", "排口有臭味"), ("person", "p-03"), ("by", "phone-2")]
            .map(|(name, text)| Payload::new(name, text).unwrap());
        let kind = Kind::Report { id: Uuid::nil(), patrol: None, photos: vec![] };
        let entry = Entry::new("2026-07-14T01:00:00Z".parse().unwrap(), kind, &payloads);
        let bytes = entry.to_bytes().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(!["臭", "p-03", "phone-2"].iter().any(|word| text.contains(word)), "{text}");
        assert_eq!(Entry::parse(&bytes).unwrap(), entry);
        let [note, ..] = &payloads;
        assert_eq!(entry.commit["note"], hex::encode(commitment(&note.salt, &note.body)));
    }

    #[test]
    fn an_entry_has_one_form() {
        let good = br#"{"v":2,"type":"place","hash":"00","received_at":"2026-12-01T00:00:00Z"}"#;
        assert_eq!(Entry::parse(good).unwrap().kind, Kind::Place { hash: "00".into() });
        for bad in [
            r#"{"v":2,"type":"place","hash":"00","received_at":"2026-12-01T00:00:00Z","by":"p-03"}"#,
            r#"{"v":2,"type":"place","received_at":"2026-12-01T00:00:00Z","hash":"00"}"#,
            r#"{"v":2,"type":"place","hash":"00","received_at":"2026-12-01T08:00:00+08:00"}"#,
            r#"{"v":2,"type":"place","hash":"00","received_at":"2026-12-01T00:00:00Z"} "#,
            r#"{"v":3,"type":"place","hash":"00","received_at":"2026-12-01T00:00:00Z"}"#,
            r#"{"v":2,"type":"nothing","received_at":"2026-12-01T00:00:00Z"}"#,
        ] {
            assert!(Entry::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
