//! Photos: gathered by `uploads`, sealed with the copy that viewers get.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::reports::Added;
use super::sealed::{check_hash, known_file, seal};
use super::tx::Tx;
use super::uploads::Upload;
use super::{Store, by_hash, off_thread};
use crate::error::{Error, Result};
use crate::evidence::entry::{Kind, Payload, Sealed};
use crate::evidence::timeline::PhotoRef;
use crate::patrol::photo::taken::{Taken, taken};
use crate::patrol::photo::{self, Limits, Photo};

/// A folder in `tmp/` that nobody has written into for so long was left by a crash.
const TMP_AGE: std::time::Duration = std::time::Duration::from_secs(86_400);

/// Checks that the bytes are a photo with the promised hash.
fn check(bytes: &[u8], sha256_hex: &str, limits: &Limits) -> Result<Photo> {
    check_hash(bytes, sha256_hex)?;
    photo::inspect(bytes, limits)
}

/// Seals the viewers' copy.
fn seal_copy(copy: &[u8], tmp: &Path, to: &Path) -> Result<()> {
    // A crash before the renaming leaves the file in tmp/, which the next start empties.
    let path = tmp.join(uuid::Uuid::new_v4().to_string());
    let mut file = File::create_new(&path)?;
    let sealed = file.write_all(copy).map_err(Error::from).and_then(|()| seal(&file, &path, to));
    if sealed.is_err() {
        // Best effort: the next start empties the folder.
        let _ = std::fs::remove_file(&path);
    }
    sealed
}

impl Store {
    /// Removes copies of photos that were never sealed, and folders of documents that nobody has worked in for a day: a younger
    /// one may be a command's at the shell. Only the service calls it, at its start.
    ///
    /// # Errors
    /// `Internal` if the folder cannot be read.
    pub fn empty_tmp(&self) -> Result<()> {
        for entry in std::fs::read_dir(self.dir.join("tmp"))? {
            let entry = entry?;
            let about = entry.metadata()?;
            if !about.is_dir() {
                std::fs::remove_file(entry.path())?;
            } else if about.modified()?.elapsed().is_ok_and(|age| age > TMP_AGE) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Seals a photo of which all has come: file, then entry. Sent again it gives the first receipt.
    ///
    /// # Errors
    /// `Invalid` for a wrong hash, `Unsupported` and `TooLarge` for what is not a photo within the limits; then
    /// nothing is kept.
    pub async fn add_photo(
        &self,
        upload: Upload,
        sha256_hex: &str,
        limits: Limits,
        by: String,
    ) -> Result<Added> {
        let hex = sha256_hex.to_owned();
        let upload = self.unless_erased(Sealed::Photo, &hex, upload).await?;
        let original = self.original_path(&hex);
        let preview = self.preview_path(&hex);
        let tmp = self.dir.join("tmp");
        let (part, bytes) = upload.into_part();
        let seal = move || {
            let photo = match check(&part.read()?, &hex, &limits) {
                Ok(photo) => photo,
                Err(wrong) => return part.remove().and(Err(wrong)),
            };
            if let Some(copy) = &photo.preview {
                seal_copy(copy, &tmp, &preview)?;
            }
            part.seal(&original)?;
            Ok((part, hex, photo))
        };
        // The claim is held until the entry stands: whoever comes next finds the photo known.
        let (_claim, hex, photo) = self.decode(seal).await?;
        // Crash here: the sealed file has no entry yet; the phone sends again and this line is reached again.
        let received_at = self.clock.now();
        self.writer.run(move |tx| add_photo(tx, &hex, bytes, &photo, received_at, by)).await
    }

    /// What each photo says of its own taking, in order; from the sealed originals, so that nothing else can say it.
    ///
    /// # Errors
    /// `Internal` if the work is broken off.
    pub async fn read_taken(&self, photos: &[PhotoRef]) -> Result<Vec<Taken>> {
        let stored = |p: &PhotoRef| (p.stored && !p.erased).then(|| self.original_path(&p.sha256));
        let paths: Vec<_> = photos.iter().map(stored).collect();
        let read = |path: Option<PathBuf>| {
            // A file that is missing is the audit's to find.
            let file = path.and_then(|path| File::open(path).ok());
            file.map(|file| taken(&mut BufReader::new(file))).unwrap_or_default()
        };
        let all = move || Ok(paths.into_iter().map(read).collect());
        off_thread(all).await
    }

    /// Where the sealed original lies.
    #[must_use]
    pub fn original_path(&self, sha256_hex: &str) -> PathBuf {
        self.sealed_path(Sealed::Photo, sha256_hex)
    }

    /// Where the viewer's copy lies: JPEG, long edge at most 1000, no metadata. HEIC has none.
    #[must_use]
    pub fn preview_path(&self, sha256_hex: &str) -> PathBuf {
        by_hash(&self.dir.join("previews"), sha256_hex, "jpg")
    }
}

fn add_photo(
    tx: &mut Tx<'_>,
    hex: &str,
    bytes: u64,
    photo: &Photo,
    received_at: jiff::Timestamp,
    by: String,
) -> Result<Added> {
    if let Some(known) = known_file(tx, Sealed::Photo, hex)? {
        return Ok(known);
    }
    let kind = Kind::Photo {
        sha256: hex.to_owned(),
        bytes,
        media_type: photo.media_type.into(),
        width: photo.width,
        height: photo.height,
        copy: photo.preview.as_ref().map(|copy| hex::encode(Sha256::digest(copy))),
    };
    let receipt = tx.append(received_at, kind, hex, &[Payload::new("by", by)?])?;
    let key = hex::decode(hex).unwrap_or_default();
    tx.exec(
        "insert into photo (sha256, entry, media_type, bytes, width, height, preview)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (key, receipt.index, photo.media_type, bytes, photo.width, photo.height, photo.preview.is_some()),
    )?;
    Ok(Added { receipt, new: true })
}
