//! The sealed files of a backup: which there are by the log, and how one is copied.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::private;
use crate::error::{Error, Result};
use crate::evidence::entry::{Entry, Kind, Sealed};
use crate::store::pace::Pace;
use crate::store::sync_dir;
use crate::store::tx::store_error;

/// A photo or a voice note by its entry.
pub(in crate::store) struct EntryFile {
    pub kind: Sealed,
    pub index: i64,
    pub sha256: String,
    pub bytes: u64,
    copy: Option<String>,
}

impl EntryFile {
    /// Folder, ending and hash of its files.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        let original = std::iter::once((self.kind.folder(), "bin", self.sha256.as_str()));
        original.chain(self.copy.as_deref().map(|hash| ("previews", "jpg", hash)))
    }
}

/// Goes through the sealed files of a database in the order of the log.
pub(in crate::store) fn each_file(
    conn: &Connection,
    mut with: impl FnMut(&EntryFile) -> Result<()>,
) -> Result<()> {
    let mut statement = conn
        .prepare("select idx, body from entry where kind in ('photo', 'voice') order by idx")
        .map_err(store_error)?;
    let mut rows = statement.query([]).map_err(store_error)?;
    while let Some(row) = rows.next().map_err(store_error)? {
        let read = || Ok::<(i64, Vec<u8>), rusqlite::Error>((row.get(0)?, row.get(1)?));
        let (index, body) = read().map_err(store_error)?;
        let (kind, sha256, bytes, copy) = match Entry::parse(&body).map(|entry| entry.kind) {
            Ok(Kind::Photo { sha256, bytes, copy, .. }) => (Sealed::Photo, sha256, bytes, copy),
            Ok(Kind::Voice { sha256, bytes, .. }) => (Sealed::Voice, sha256, bytes, None),
            _ => return Err(Error::Internal(format!("entry {index} does not read; run `jijia audit`"))),
        };
        with(&EntryFile { kind, index, sha256, bytes, copy })?;
    }
    Ok(())
}

pub(in crate::store) fn is_erased(conn: &Connection, file: &EntryFile) -> Result<bool> {
    conn.prepare_cached("select exists (select 1 from erasure where target = ?1 and name = ?2)")
        .and_then(|mut s| s.query_row((file.index, file.kind.as_str()), |r| r.get(0)))
        .map_err(store_error)
}

/// What became of one file.
pub(in crate::store) enum Copied {
    Now,
    /// It was there with the right hash.
    Before,
    Damaged(String),
}

/// Copies a file whose hash is known, by a rename, so that under its name there is never another.
pub(in crate::store) fn copy_file(
    from: &Path,
    to: &Path,
    hash: &str,
    pace: &Pace,
    buffer: &mut [u8],
) -> Result<Copied> {
    match pace.hash(to, buffer) {
        Ok((there, _)) if there == hash => return Ok(Copied::Before),
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
        _ => {}
    }
    let folder = to.parent().unwrap_or(to);
    std::fs::create_dir_all(folder)?;
    let new: PathBuf = to.with_extension("new");
    let mut file = private(&new)?;
    let copied = pace.copy(from, &mut file, buffer);
    match copied {
        Ok((found, _)) if found == hash => {
            file.sync_all()?;
            std::fs::rename(&new, to)?;
            sync_dir(folder)?;
            Ok(Copied::Now)
        }
        Ok((found, _)) => {
            std::fs::remove_file(&new)?;
            Ok(Copied::Damaged(format!("{} has the hash {found}", from.display())))
        }
        Err(e) if e.kind() == ErrorKind::StorageFull => Err(e.into()),
        Err(e) => {
            std::fs::remove_file(&new)?;
            Ok(Copied::Damaged(format!("{}: {e}", from.display())))
        }
    }
}
