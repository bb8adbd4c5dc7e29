//! What is sealed as a file, photos and voice notes: byte for byte under its SHA-256, never half of it under a hash. Found,
//! receipted and placed alike; what the bytes must be is said beside each kind.

use std::fs::File;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::reports::Added;
use super::tx::{Tx, receipt};
use super::{Store, by_hash, read_error, sync_dir};
use crate::clock::from_ms;
use crate::error::{Error, Result};
use crate::evidence::entry::Sealed;

/// A file that is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedFile {
    /// `image/jpeg`.
    pub media_type: String,
    /// There is a copy without metadata for viewers.
    pub preview: bool,
    /// It was erased by law (已依法删除), its copy too.
    pub erased: bool,
}

/// Makes the bytes of `file`, now at `from`, durable, then their name `to` in a hash folder. The same bytes may lie there
/// already: they are the same.
pub(super) fn seal(file: &File, from: &Path, to: &Path) -> Result<()> {
    file.sync_all()?;
    let folder = to.parent().unwrap_or(to);
    std::fs::create_dir_all(folder)?;
    // Also where the folder was there: who made it may not have come to this line yet, or was killed before it.
    sync_dir(folder.parent().unwrap_or(folder))?;
    std::fs::rename(from, to)?;
    sync_dir(folder)
}

/// Checks that the bytes have the promised hash.
pub(super) fn check_hash(bytes: &[u8], sha256_hex: &str) -> Result<()> {
    let found = hex::encode(Sha256::digest(bytes));
    if found == sha256_hex {
        return Ok(());
    }
    Err(Error::invalid("sha256", format!("the bytes have the hash {found}; allowed: {sha256_hex}")))
}

/// A report that a sealed file belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its outfall's code.
    pub outfall: String,
    /// Its originals were disclosed to the unit.
    pub disclosed: bool,
}

impl Store {
    /// The file, if its bytes have come.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn find_sealed(&self, kind: Sealed, sha256_hex: &str) -> Result<Option<SealedFile>> {
        let key = hex::decode(sha256_hex).unwrap_or_default();
        let sql = match kind {
            Sealed::Photo => {
                "select media_type, preview,
                   exists (select 1 from erasure e where e.target = p.entry and e.name = 'photo')
                 from photo p where sha256 = $1"
            }
            Sealed::Voice => {
                "select media_type, 0,
                   exists (select 1 from erasure e where e.target = v.entry and e.name = 'voice')
                 from voice v where sha256 = $1"
            }
        };
        let row: Option<(String, bool, bool)> =
            sqlx::query_as(sql).bind(key).fetch_optional(&self.readers).await.map_err(read_error)?;
        Ok(row.map(|(media_type, preview, erased)| SealedFile { media_type, preview, erased }))
    }

    /// The first receipt of a file, if it is stored.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn find_stored_receipt(&self, kind: Sealed, sha256_hex: &str) -> Result<Option<Added>> {
        let sql = match kind {
            Sealed::Photo => {
                "select e.idx, e.received_ms, e.leaf, e.body from photo p join entry e on e.idx = p.entry where p.sha256 = $1"
            }
            Sealed::Voice => {
                "select e.idx, e.received_ms, e.leaf, e.body from voice v join entry e on e.idx = v.entry where v.sha256 = $1"
            }
        };
        let row: Option<(i64, i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(sql)
            .bind(hex::decode(sha256_hex).unwrap_or_default())
            .fetch_optional(&self.readers)
            .await
            .map_err(read_error)?;
        let Some((index, ms, leaf, body)) = row else { return Ok(None) };
        let receipt = receipt(sha256_hex, index.unsigned_abs(), leaf, from_ms(ms), body)?;
        Ok(Some(Added { receipt, new: false }))
    }

    /// The same for whoever brings the file: behind every write that was begun before, also one whose client has gone.
    ///
    /// # Errors
    /// As every write.
    pub async fn find_sealed_receipt(&self, kind: Sealed, sha256_hex: &str) -> Result<Option<Added>> {
        let hex = sha256_hex.to_owned();
        self.writer.run(move |tx| known_file(tx, kind, &hex)).await
    }

    /// The outfalls that a photo or a voice note belongs to, by the reports that name it. A photo belongs to the
    /// report that brought it first, and to others of the same person: who names another's hash gets nothing by it.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn list_owners_of(&self, kind: Sealed, sha256_hex: &str) -> Result<Vec<Owner>> {
        let sql = match kind {
            Sealed::Photo => {
                "select s.outfall, d.report is not null from report_photo r join sighting s using (report)
                 left join disclosure d using (report)
                 where r.sha256 = $1 and s.outfall is not null and s.withdrawn = 0
                   and not exists (select 1 from report_photo q join sighting o on o.report = q.report
                     where q.sha256 = r.sha256 and o.first_entry < s.first_entry and o.person <> s.person)"
            }
            Sealed::Voice => {
                "select s.outfall, d.report is not null from sighting s left join disclosure d using (report)
                 where s.voice = $1 and s.outfall is not null and s.withdrawn = 0
                   and not exists (select 1 from sighting o
                     where o.voice = s.voice and o.first_entry < s.first_entry and o.person <> s.person)"
            }
        };
        let rows: Vec<(String, bool)> = sqlx::query_as(sql)
            .bind(hex::decode(sha256_hex).unwrap_or_default())
            .fetch_all(&self.readers)
            .await
            .map_err(read_error)?;
        Ok(rows.into_iter().map(|(outfall, disclosed)| Owner { outfall, disclosed }).collect())
    }

    /// Where the sealed bytes lie.
    #[must_use]
    pub fn sealed_path(&self, kind: Sealed, sha256_hex: &str) -> PathBuf {
        by_hash(&self.dir.join(kind.folder()), sha256_hex, "bin")
    }

    /// Whoever asks for, or brings, what was erased is told so.
    ///
    /// # Errors
    /// `Gone`; `Internal` if the database cannot be read.
    pub async fn check_erased(&self, kind: Sealed, sha256_hex: &str) -> Result<()> {
        match self.find_sealed(kind, sha256_hex).await? {
            Some(file) if file.erased => Err(erased(kind, sha256_hex)),
            _ => Ok(()),
        }
    }
}

/// The answer where something was erased.
#[must_use]
pub fn erased(kind: Sealed, sha256_hex: &str) -> Error {
    Error::Gone(format!("{kind} {sha256_hex} was erased by law (已依法删除)"))
}

pub(super) fn known_file(tx: &Tx<'_>, kind: Sealed, hex: &str) -> Result<Option<Added>> {
    let key = hex::decode(hex).unwrap_or_default();
    let sql = match kind {
        Sealed::Photo => "select entry from photo where sha256 = ?1",
        Sealed::Voice => "select entry from voice where sha256 = ?1",
    };
    let known: Option<(u64,)> = tx.find(sql, (key,))?;
    known.map(|(index,)| Ok(Added { receipt: tx.receipt(hex, index)?, new: false })).transpose()
}
