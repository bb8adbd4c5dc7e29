//! The bundle (证据包): a ZIP file with entries of the log and what they commit to, which a third party checks alone:
//! offline, with no program of ours but by this description.
//!
//! Every byte of the file is determined by other bytes of it, or proved by the log's signature. So a bundle has one
//! form, and what is altered, added, left out or written otherwise is found.
//!
//! # Words
//! - SHA-256 values are written as 64 hexadecimal digits in lower case. `‖` joins bytes.
//! - *Canonical JSON* here: UTF-8 without a mark, no blanks between tokens, the keys in the order given, whole numbers
//!   from 0 below 2^63 in decimal, characters written as themselves but for `\"`, `\\`, `\b`, `\f`, `\n`, `\r`,
//!   `\t` and `\u00xx` (lower case) for the other characters below U+0020. What Python's
//!   `json.dumps(x, ensure_ascii=False, separators=(",", ":"))` writes. A reader parses, writes again and compares.
//! - *Lines*: each ended by one `\n`; no line is empty. A file without lines has no bytes.
//! - The log's tree is that of RFC 6962: leaf hash SHA-256(0x00 ‖ entry), node hash SHA-256(0x01 ‖ left ‖ right).
//!   Inclusion proofs are checked as RFC 9162, 2.1.3.2.
//!
//! # The container
//! A ZIP file (PKWARE APPNOTE 6.3); all numbers little-endian. The members follow one another from byte 0, each a local
//! header and its bytes, as they are (method 0). Then the central directory with one header for each member in the
//! same order, then its end. Nothing stands before, between or behind. All header fields are:
//!
//! ```text
//! local header    50 4b 03 04 | 14 00 | 00 08 | 00 00 | 00 00 | 21 00 | crc32 | size | size | name length | 00 00 | name
//! central header  50 4b 01 02 | 14 00 | 14 00 | 00 08 | 00 00 | 00 00 | 21 00 | crc32 | size | size | name length |
//!                 extra length | 00 00 | 00 00 | 00 00 | 00 00 00 00 | offset of the local header | name | extra
//! end             50 4b 05 06 | 00 00 | 00 00 | members | members | length of the central directory | its offset | 00 00
//! ```
//!
//! (version 2.0, UTF-8 names, 1 January 1980, no comment, no data descriptor). `crc32`, `size`, `offset` and both of the
//! end's last numbers take 4 bytes, the lengths and the number of members 2. A member has at most 2^32 − 2 bytes.
//! ZIP64 is used for what does not fit, and only for that:
//! - offset ≥ 2^32 − 1: the field is `ff ff ff ff`, the second `14 00` is `2d 00`, the extra is `01 00 08 00` ‖ offset in
//!   8 bytes; else there is no extra.
//! - members ≥ 2^16 − 1, or length or offset of the central directory ≥ 2^32 − 1: before the end stand
//!   `50 4b 06 06 | 2c in 8 bytes | 14 00 | 2d 00 | 0 in 4 | 0 in 4 | members in 8 | members in 8 | length in 8 |
//!   offset in 8` and `50 4b 06 07 | 0 in 4 | offset of the former in 8 | 1 in 4`; in the end each of the numbers that does
//!   not fit is all `ff`, the others stay.
//!
//! # The members, in this order
//! 1. `读我.txt`: the check in ten lines, for people.
//! 2. `manifest.json`: canonical JSON with the keys `format` (`jijia-bundle@v1`), `origin` (of the log), `place`, `demo`
//!    (true: from simulated data), `filter` (what was asked for, in words), `cut_off` (RFC 3339 in UTC, ending in `Z`),
//!    `photos` (`originals` or `copies`), `entries` (the indexes of the entries in the log, ascending), `files`: for
//!    each other member but those under `seal/`, in their order, `name`, `bytes` and `sha256`. At most 64 MiB.
//! 3. `entries.jsonl`: the entries, as lines, as they are in the log: line n is entry `entries[n]`. Each is a JSON
//!    object of at most 65,535 bytes, with the text `type`.
//! 4. `payloads.jsonl`: what of the entries' payloads is disclosed. Lines of canonical JSON, ascending by `entry` and
//!    then `name` (as bytes): `entry`, `name`, `salt` (hexadecimal), and `text` where the payload is UTF-8, else `hex`.
//!    The entry's object `commit` has SHA-256(salt ‖ payload) under this name. A commitment without a line is
//!    a payload that is not disclosed; an entry of type `erasure` with `target` and `name` says that it was erased
//!    by law (已依法删除). One with the name `photo` says so of the photo whose entry `target` is.
//! 5. `readings.jsonl`: observations. Lines of canonical JSON, ascending by `entry` and then `pos`: `entry`, `pos`, `row`
//!    (array: station, property, unit, processing, milliseconds since 1970 UTC, value as received, and a mark if
//!    there is one), `path` (array of SHA-256). The entry has the type `observations`, and the path proves that the
//!    canonical JSON of the row is leaf `pos` of the tree with `count` leaves and root `root`, both in the entry.
//! 6. `photos/<sha256>.<ending>` if `photos` is `originals`, ascending: for every entry of type `photo`, but those erased by
//!    law, the bytes with its `sha256` and length `bytes`. The ending follows from its `media_type`: `jpg`, `png`, `webp`, `heic` for
//!    `image/jpeg`, `image/png`, `image/webp`, `image/heic`.
//!    Or `copies/<sha256>.jpg` if it is `copies`: a re-encoded copy, without metadata, of the photo with that hash; for
//!    every entry of type `photo` that is not `image/heic` and not erased by law. Where the entry has a `copy`, that is the
//!    SHA-256 of the copy.
//! 7. `documents/timeline.docx`, `.pdf`, `.xlsx`, those that were made: for every entry of type `export` the file whose
//!    ending is the entry's `format` and whose hash is its `sha256`.
//! 8. `seal/entry.json`: the bundle's own entry, made after all of the above: type `export`, `format` `zip`, `sha256` that
//!    of `manifest.json`. Its index is above all of `entries`.
//! 9. `seal/entry.tlog-proof`: the proof of that entry (C2SP tlog-proof, <https://c2sp.org/tlog-proof>) without an extra line.
//!    It ends with the checkpoint (C2SP tlog-checkpoint) of three lines and its signatures; the origin is the manifest's.
//! 10. `seal/keys.txt`: for each signature line of the checkpoint, in their order, the key as a line
//!     `name+id+base64(type ‖ public key)` (C2SP signed-note). No two are the same. A key of type 0x01 has the origin as
//!     its name and signs as a log; one of type 0x04 is a witness's (C2SP tlog-cosignature). At least one is a log's,
//!     all signatures verify, and there are no others.
//! 11. `seal/proofs.bin`: the inclusion proofs of `entries` against that checkpoint, in their order, 32 bytes a hash, from
//!     the leaf up. How many belong to an entry follows from its index i and the size n of the tree: with s = the bit
//!     length of i XOR (n − 1), it is s + the number of ones in i >> s.
//!
//! Base64 is that of RFC 4648, section 4, with its padding and without set bits in the padding.
//!
//! # What a good bundle proves
//! That each entry was in the log of the holder of that key, and all disclosed payloads, readings, originals and
//! documents with it, unchanged since the log had the checkpoint's size; by a witness's line, at the latest at its time.
//! Not that what they say is true; not that the choice of entries is complete; of a re-encoded copy that it is
//! the one made when the photo came, or, where its entry has no `copy`, only the one that went into the bundle.

pub mod archive;
pub mod lines;

use serde::{Deserialize, Serialize};

/// The format's name and version.
pub const FORMAT: &str = "jijia-bundle@v1";
/// The check in ten lines.
pub const README: &str = "读我.txt";
/// The list of what is in the bundle.
pub const MANIFEST: &str = "manifest.json";
/// The entries.
pub const ENTRIES: &str = "entries.jsonl";
/// The disclosed payloads.
pub const PAYLOADS: &str = "payloads.jsonl";
/// The observations.
pub const READINGS: &str = "readings.jsonl";
/// The bundle's own entry.
pub const SEAL_ENTRY: &str = "seal/entry.json";
/// Its proof, with the checkpoint.
pub const SEAL_PROOF: &str = "seal/entry.tlog-proof";
/// The keys of the checkpoint's signature lines.
pub const SEAL_KEYS: &str = "seal/keys.txt";
/// The proofs of the entries.
pub const SEAL_PROOFS: &str = "seal/proofs.bin";
/// The members that the manifest cannot name, in their order.
pub const SEAL: [&str; 4] = [SEAL_ENTRY, SEAL_PROOF, SEAL_KEYS, SEAL_PROOFS];
/// The members that stand in every bundle before the photos, in their order; the manifest does not name itself.
pub const HEAD: [&str; 5] = [README, MANIFEST, ENTRIES, PAYLOADS, READINGS];
/// The name in an erasure's entry that means the bytes of a photo.
pub const ERASED_PHOTO: &str = "photo";
/// Formats of documents, in their order.
pub const DOCUMENTS: [&str; 3] = ["docx", "pdf", "xlsx"];

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// Origin of the log.
    pub origin: String,
    /// 吉家湖.
    pub place: String,
    /// From simulated data.
    pub demo: bool,
    /// What was asked for, in words.
    pub filter: String,
    /// What had been received by this instant is in it; RFC 3339 in UTC.
    pub cut_off: String,
    /// Which form of the photos.
    pub photos: Photos,
    /// Indexes of the entries, ascending.
    pub entries: Vec<u64>,
    /// The other members but those under `seal/`.
    pub files: Vec<FileLine>,
}

/// A member in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileLine {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, hex.
    pub sha256: String,
}

/// The form of the photos in a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Photos {
    /// The sealed bytes, with all that the camera wrote into them: time, place, device.
    Originals,
    /// The viewers' copies, without metadata.
    Copies,
}

impl Photos {
    /// The name in a bundle of the photo with this hash and media type; `None` where a bundle of this form has none.
    #[must_use]
    pub fn member(self, sha256: &str, media_type: &str) -> Option<String> {
        let ending = match media_type {
            "image/jpeg" => "jpg",
            "image/png" => "png",
            "image/webp" => "webp",
            "image/heic" => "heic",
            _ => return None,
        };
        match self {
            Self::Originals => Some(format!("photos/{sha256}.{ending}")),
            Self::Copies => (ending != "heic").then(|| format!("copies/{sha256}.jpg")),
        }
    }
}

/// The name in a bundle of the document with this format.
#[must_use]
pub fn document_member(format: &str) -> String {
    format!("documents/timeline.{format}")
}

/// Hashes of the inclusion proof of leaf `index` in a tree of `size` leaves (RFC 9162, 2.1.3.1).
#[must_use]
pub fn proof_length(index: u64, size: u64) -> usize {
    let inner = u64::BITS - (index ^ size.saturating_sub(1)).leading_zeros();
    let border = index.checked_shr(inner).unwrap_or(0).count_ones();
    (inner + border) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::proof;

    #[test]
    fn lengths_of_proofs_are_those_of_the_proofs() {
        for size in 1..200 {
            for index in 0..size {
                let made = proof::inclusion(index, size, |_, _| Ok([0; 32])).unwrap();
                assert_eq!(proof_length(index, size), made.len(), "{index} of {size}");
            }
        }
    }
}
