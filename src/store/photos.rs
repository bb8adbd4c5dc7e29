//! Photos: streamed to a temporary file, sealed byte for byte under their SHA-256, never half a photo under a hash.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::reports::Added;
use super::writer::Tx;
use super::{Store, by_hash, read_error, sync_dir};
use crate::error::{Error, Result};
use crate::evidence::entry::{Entry, FORMAT};
use crate::patrol::photo::{self, Limits, Photo};

/// A photo that is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPhoto {
    /// `image/jpeg`.
    pub media_type: String,
    /// Length of the original.
    pub bytes: u64,
    /// There is a copy without metadata for viewers.
    pub preview: bool,
    /// Original and copy were erased by law (已依法删除).
    pub erased: bool,
}

/// An upload under way. Dropped before [`Store::add_photo`], it leaves nothing.
#[derive(Debug)]
pub struct Upload {
    file: Option<File>,
    path: PathBuf,
    hasher: Sha256,
    bytes: u64,
    limit: u64,
}

impl Drop for Upload {
    fn drop(&mut self) {
        // A crash before this line leaves the file in tmp/, which the next start empties.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Upload {
    /// Takes the next piece.
    ///
    /// # Errors
    /// `TooLarge` past the limit, `NoSpace` on a full disk.
    pub fn write(&mut self, piece: &[u8]) -> Result<()> {
        self.bytes += piece.len() as u64;
        if self.bytes > self.limit {
            return Err(Error::TooLarge {
                field: "photo".into(),
                message: format!("is larger than {} bytes; allowed: {}", self.bytes - 1, self.limit),
            });
        }
        self.hasher.update(piece);
        self.file.as_mut().map_or(Ok(()), |f| f.write_all(piece))?;
        Ok(())
    }

    /// Makes the bytes durable and checks that they are a photo with the promised hash.
    fn check(&mut self, sha256_hex: &str, limits: &Limits) -> Result<Photo> {
        let found = hex::encode(std::mem::take(&mut self.hasher).finalize());
        if found != sha256_hex {
            return Err(Error::invalid(
                "sha256",
                format!("the bytes have the hash {found}; allowed: bytes with the hash in the address"),
            ));
        }
        let bytes = std::fs::read(&self.path)?;
        let photo = photo::inspect(&bytes, limits)?;
        if let Some(file) = self.file.take() {
            file.sync_all()?;
        }
        Ok(photo)
    }
}

impl Store {
    /// Begins an upload of at most `limit` bytes.
    ///
    /// # Errors
    /// `NoSpace`, `Internal`.
    pub fn begin_upload(&self, limit: u64) -> Result<Upload> {
        let path = self.dir.join("tmp").join(uuid::Uuid::new_v4().to_string());
        let file = Some(File::create_new(&path)?);
        Ok(Upload { file, path, hasher: Sha256::new(), bytes: 0, limit })
    }

    /// Removes what interrupted uploads left. Only the service calls it, at its start.
    ///
    /// # Errors
    /// `Internal` if the folder cannot be read.
    pub fn empty_tmp(&self) -> Result<()> {
        for file in std::fs::read_dir(self.dir.join("tmp"))? {
            let path = file?.path();
            if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
        }
        Ok(())
    }

    /// Seals a finished upload: file, then entry. Sent again it gives the first receipt.
    ///
    /// # Errors
    /// `Invalid` for a wrong hash, `Unsupported` and `TooLarge` for what is not a photo within the limits; then
    /// nothing is kept.
    pub async fn add_photo(&self, mut upload: Upload, sha256_hex: &str, limits: Limits) -> Result<Added> {
        let hex = sha256_hex.to_owned();
        if self.find_photo(&hex).await?.is_some_and(|p| p.erased) {
            return Err(erased(&hex));
        }
        let original = self.original_path(&hex);
        let preview = self.preview_path(&hex);
        let bytes = upload.bytes;
        let seal = move || {
            let photo = upload.check(&hex, &limits)?;
            if let Some(copy) = &photo.preview {
                write_durably(&preview, copy)?;
            }
            rename_durably(&upload.path, &original)?;
            Ok::<_, Error>((hex, photo))
        };
        // Decoding takes a core for a moment: off the threads that serve.
        let (hex, photo) =
            tokio::task::spawn_blocking(seal).await.map_err(|e| Error::Internal(e.to_string()))??;
        // Crash here: the sealed file has no entry yet; the phone sends again and this line is reached again.
        let received_at = self.clock.now();
        self.writer.run(move |tx| add_photo(tx, &hex, bytes, &photo, received_at)).await
    }

    /// The photo, if its bytes have come.
    ///
    /// # Errors
    /// `Internal` if the database cannot be read.
    pub async fn find_photo(&self, sha256_hex: &str) -> Result<Option<StoredPhoto>> {
        let key = hex::decode(sha256_hex).unwrap_or_default();
        let row: Option<(String, i64, bool, bool)> = sqlx::query_as(
            "select media_type, bytes, preview,
               exists (select 1 from erasure e where e.target = p.entry and e.name = 'photo')
             from photo p where sha256 = $1",
        )
        .bind(key)
        .fetch_optional(&self.readers)
        .await
        .map_err(read_error)?;
        Ok(row.map(|(media_type, bytes, preview, erased)| StoredPhoto {
            media_type,
            bytes: bytes.unsigned_abs(),
            preview,
            erased,
        }))
    }

    /// The first receipt of a photo, if its bytes have come.
    ///
    /// # Errors
    /// As every write.
    pub async fn find_photo_receipt(&self, sha256_hex: &str) -> Result<Option<Added>> {
        let hex = sha256_hex.to_owned();
        self.writer.run(move |tx| known_photo(tx, &hex)).await
    }

    /// Where the sealed original lies.
    #[must_use]
    pub fn original_path(&self, sha256_hex: &str) -> PathBuf {
        by_hash(&self.dir.join("photos"), sha256_hex, "bin")
    }

    /// Where the viewer's copy lies: JPEG, long edge at most 1000, no metadata. HEIC has none.
    #[must_use]
    pub fn preview_path(&self, sha256_hex: &str) -> PathBuf {
        by_hash(&self.dir.join("previews"), sha256_hex, "jpg")
    }
}

/// The answer to whoever asks for, or brings, a photo that was erased.
fn erased(sha256_hex: &str) -> Error {
    Error::Gone(format!("photo {sha256_hex} was erased by law (已依法删除)"))
}

fn known_photo(tx: &Tx<'_>, hex: &str) -> Result<Option<Added>> {
    let key = hex::decode(hex).unwrap_or_default();
    let known: Option<(u64,)> = tx.find("select entry from photo where sha256 = ?1", (key,))?;
    known.map(|(index,)| Ok(Added { receipt: tx.receipt(hex, index)?, new: false })).transpose()
}

fn add_photo(
    tx: &mut Tx<'_>,
    hex: &str,
    bytes: u64,
    photo: &Photo,
    received_at: jiff::Timestamp,
) -> Result<Added> {
    if let Some(known) = known_photo(tx, hex)? {
        return Ok(known);
    }
    let entry = Entry::Photo {
        v: FORMAT,
        sha256: hex.to_owned(),
        bytes,
        media_type: photo.media_type.into(),
        received_at,
        width: photo.width,
        height: photo.height,
        copy: photo.preview.as_ref().map(|copy| hex::encode(Sha256::digest(copy))),
    };
    let receipt = tx.append(&entry, hex, &[])?;
    let key = hex::decode(hex).unwrap_or_default();
    tx.exec(
        "insert into photo (sha256, entry, media_type, bytes, width, height, preview)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (key, receipt.index, photo.media_type, bytes, photo.width, photo.height, photo.preview.is_some()),
    )?;
    Ok(Added { receipt, new: true })
}

/// Renames into a hash folder and makes the name durable. The same bytes may lie there already: they are the same.
fn rename_durably(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(to);
    if !folder.is_dir() {
        std::fs::create_dir_all(folder)?;
        sync_dir(folder.parent().unwrap_or(folder))?;
    }
    std::fs::rename(from, to)?;
    sync_dir(folder)
}

fn write_durably(to: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = to.with_extension(format!("{}.tmp", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(to.parent().unwrap_or(to))?;
    let mut file = File::create_new(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    rename_durably(&temporary, to)
}
