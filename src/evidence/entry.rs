//! Entries: what is written into the log, one leaf each, and what they commit to.

mod payload;
mod sealed;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};
pub use payload::{Commitments, Payload, commit, commitment};
pub use sealed::Sealed;

/// The version of the entry format, in every entry.
pub const FORMAT: u8 = 1;

/// One leaf of the log. Serialised once, in the order of the fields, and from then on the bytes are what counts.
/// Holds no personal data: persons by opaque id, everything else by salted commitment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// A report was accepted.
    Report {
        /// [`FORMAT`].
        v: u8,
        /// The client's UUID.
        id: Uuid,
        /// When the server had it.
        received_at: Timestamp,
        /// Opaque person id.
        person: String,
        /// Its patrol.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        patrol: Option<Uuid>,
        /// Payloads `record`, `body`, and where given `note`, `name`.
        commit: Commitments,
        /// SHA-256 of its photos, hex, in the report's order.
        photos: Vec<String>,
        /// Who sent it: the account, phone or token that was signed in; absent where a file brought it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<String>,
    },
    /// A report was corrected, withdrawn, or its outfall chosen.
    Correction {
        /// [`FORMAT`].
        v: u8,
        /// The correction's own UUID.
        id: Uuid,
        /// The report's UUID.
        report: Uuid,
        /// Index of the version it replaces.
        replaces: u64,
        /// `amend`, `withdraw`, `choose_outfall`.
        action: String,
        /// The fields it changed.
        changed: Vec<String>,
        /// When the server had it.
        received_at: Timestamp,
        /// Opaque person id.
        person: String,
        /// Payloads `record` (the whole new version), `body`, `reason`, and where given `note`, `name`.
        commit: Commitments,
        /// SHA-256 of the version's photos, hex.
        photos: Vec<String>,
        /// Who sent it, as in a report.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<String>,
    },
    /// The bytes of a photo have come and are sealed.
    Photo {
        /// [`FORMAT`].
        v: u8,
        /// SHA-256 of the original, hex.
        sha256: String,
        /// Its length.
        bytes: u64,
        /// `image/jpeg`.
        media_type: String,
        /// When the last byte came.
        received_at: Timestamp,
        /// Width, pixels; not known of HEIC.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        width: Option<u32>,
        /// Height, pixels; not known of HEIC.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        height: Option<u32>,
        /// SHA-256 of the viewers' copy, hex: it is what pages and documents show. HEIC has none.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        copy: Option<String>,
    },
    /// The bytes of a voice note have come and are sealed.
    Voice {
        /// [`FORMAT`].
        v: u8,
        /// SHA-256 of the bytes, hex.
        sha256: String,
        /// Their length.
        bytes: u64,
        /// `audio/webm`.
        media_type: String,
        /// When the last byte came.
        received_at: Timestamp,
        /// How long it is, whole seconds, where the container says so.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        duration_s: Option<u64>,
    },
    /// A patrol was recorded.
    Patrol {
        /// [`FORMAT`].
        v: u8,
        /// The client's UUID.
        id: Uuid,
        /// When the server had it.
        received_at: Timestamp,
        /// Opaque person id.
        person: String,
        /// Payloads `record`, `body`, and where given `note`, `name`.
        commit: Commitments,
        /// Who sent it, as in a report.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<String>,
    },
    /// A batch of observations of one source.
    Observations {
        /// [`FORMAT`].
        v: u8,
        /// The sender's UUID, where it gave one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Uuid>,
        /// `mqtt:lake`, `http`, `import`.
        source: String,
        /// When the server had it.
        received_at: Timestamp,
        /// Rows.
        count: u64,
        /// First time measured.
        first: Timestamp,
        /// Last time measured.
        last: Timestamp,
        /// RFC 6962 root over the canonical rows in their order, hex.
        root: String,
        /// The dead letters of the same commit, where there were any.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        dead: Option<DeadLetters>,
        /// Payload `body` where the sender gave an id, `file` where they stood in one.
        #[serde(skip_serializing_if = "Commitments::is_empty", default)]
        commit: Commitments,
    },
    /// A document was made from the log.
    Export {
        /// [`FORMAT`].
        v: u8,
        /// When.
        received_at: Timestamp,
        /// `docx`, `pdf`, `xlsx`, `csv`, `geojson`.
        format: String,
        /// SHA-256 of the file, hex.
        sha256: String,
        /// Entries it was made from.
        log_size: u64,
        /// Payload `filter`.
        commit: Commitments,
        /// Who asked for it; absent where the shell did.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<String>,
    },
    /// The place was configured or replaced.
    Place {
        /// [`FORMAT`].
        v: u8,
        /// When.
        received_at: Timestamp,
        /// SHA-256 over the place's files, hex.
        hash: String,
    },
    /// A payload and its salt, or a sealed file, were erased by law (已依法删除).
    Erasure {
        /// [`FORMAT`].
        v: u8,
        /// When.
        received_at: Timestamp,
        /// Index of the entry that commits to what was erased.
        target: u64,
        /// The payload's name, or the word of what was [`Sealed`].
        name: String,
        /// Payload `reason`.
        commit: Commitments,
    },
    /// An account, a phone or a token was added, changed or shut out.
    Account {
        /// [`FORMAT`].
        v: u8,
        /// When.
        received_at: Timestamp,
        /// Whose: `p-03`, `phone-2`, `token-1`.
        account: String,
        /// What became of it.
        change: Change,
        /// The role from here on.
        role: String,
        /// The unit it speaks for from here on.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        unit: Option<String>,
        /// Who did it: an account, or `shell`.
        by: String,
        /// Payload `name`, where it could have changed.
        #[serde(skip_serializing_if = "Commitments::is_empty", default)]
        commit: Commitments,
    },
    /// Somebody looked at what is not for everybody's eyes.
    Access {
        /// [`FORMAT`].
        v: u8,
        /// When.
        received_at: Timestamp,
        /// Who.
        by: String,
        /// `original`, `voice`, `name`.
        what: String,
        /// SHA-256 of the photo or the voice note, hex, or the account.
        of: String,
    },
    /// The log goes on under a new name after a restoration whose place in the old log nobody could show.
    Origin {
        /// [`FORMAT`].
        v: u8,
        /// When.
        received_at: Timestamp,
        /// The origin from here on.
        name: String,
        /// The origin before.
        old_name: String,
        /// Entries of the old log that were restored: all before this one.
        old_size: u64,
        /// RFC 6962 root over them, hex.
        old_root: String,
    },
    /// The log's key was replaced. The checkpoints over this entry are signed by the old key up to the first that is
    /// signed by the new one: who trusts the old one and finds this entry under it trusts the new one.
    Key {
        /// [`FORMAT`].
        v: u8,
        /// When.
        received_at: Timestamp,
        /// The verifier key before, C2SP signed-note `name+id+base64`.
        old: String,
        /// The one from here on.
        new: String,
    },
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
    /// A second factor was set.
    Totp,
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

impl Entry {
    /// The word in the database's `kind` column.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Report { .. } => "report",
            Self::Correction { .. } => "correction",
            Self::Photo { .. } => Sealed::Photo.as_str(),
            Self::Voice { .. } => Sealed::Voice.as_str(),
            Self::Patrol { .. } => "patrol",
            Self::Observations { .. } => "observations",
            Self::Export { .. } => "export",
            Self::Place { .. } => "place",
            Self::Erasure { .. } => "erasure",
            Self::Account { .. } => "account",
            Self::Access { .. } => "access",
            Self::Origin { .. } => "origin",
            Self::Key { .. } => "key",
        }
    }

    /// When the server had it.
    #[must_use]
    pub fn received_at(&self) -> Timestamp {
        match self {
            Self::Report { received_at, .. }
            | Self::Correction { received_at, .. }
            | Self::Photo { received_at, .. }
            | Self::Voice { received_at, .. }
            | Self::Patrol { received_at, .. }
            | Self::Observations { received_at, .. }
            | Self::Export { received_at, .. }
            | Self::Place { received_at, .. }
            | Self::Erasure { received_at, .. }
            | Self::Account { received_at, .. }
            | Self::Access { received_at, .. }
            | Self::Origin { received_at, .. }
            | Self::Key { received_at, .. } => *received_at,
        }
    }

    /// What it commits to; `None` for kinds that have no payloads.
    #[must_use]
    pub fn commitments(&self) -> Option<&Commitments> {
        match self {
            Self::Report { commit, .. }
            | Self::Correction { commit, .. }
            | Self::Patrol { commit, .. }
            | Self::Observations { commit, .. }
            | Self::Export { commit, .. }
            | Self::Erasure { commit, .. }
            | Self::Account { commit, .. } => Some(commit),
            Self::Photo { .. }
            | Self::Voice { .. }
            | Self::Place { .. }
            | Self::Access { .. }
            | Self::Origin { .. }
            | Self::Key { .. } => None,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_and_hides_the_text() {
        let note = Payload::new("note", "排口有臭味").unwrap();
        let entry = Entry::Report {
            v: FORMAT,
            id: Uuid::nil(),
            received_at: "2026-07-14T01:00:00Z".parse().unwrap(),
            person: "p-03".into(),
            patrol: None,
            commit: commit(std::slice::from_ref(&note)),
            photos: vec![],
            by: None,
        };
        let bytes = entry.to_bytes().unwrap();
        assert!(!String::from_utf8(bytes.clone()).unwrap().contains("臭"));
        assert_eq!(serde_json::from_slice::<Entry>(&bytes).unwrap(), entry);
        assert_eq!(hex::encode(commitment(&note.salt, &note.body)), hex::encode(note.commitment()));
    }
}
