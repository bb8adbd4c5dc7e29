//! Backup: the database as of one moment, the sealed files by hash, the log's key, the sign-in log, and a manifest that is
//! written last.
//!
//! `VACUUM INTO` makes the copy rather than the page-by-page backup of SQLite: that one begins again whenever another
//! process commits, or copies all pages in one step and takes the free ones along, where erased bytes could lie.
//!
//! A second backup into the same folder adds beside the first: the manifest is what makes a backup, and it is replaced
//! by a rename when all that it names is on the disk. Crash anywhere: the backup before is whole.

mod files;

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use indicatif::ProgressBar;
use jiff::Timestamp;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::files::{Copied, copy_file, each_file, is_erased};
use super::audit::{Finding, KnownHead, Options, audit_database, open_reading};
use super::pace::Pace;
use super::sign_ins::FILE as SIGN_INS;
use super::tx::store_error;
use super::{KEY, SCHEMA, by_hash, sync_dir};
use crate::error::{Error, Result};
use crate::evidence::entry::Sealed;
use crate::evidence::merkle::Head;
use crate::lake::Place;

/// The manifest's name.
pub const MANIFEST: &str = "manifest.json";
/// The log's signing key that is to follow the present one.
const NEXT_KEY: &str = "log.key.next";
/// The version of the backup's form.
const FORMAT: u8 = 1;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this form, 1.
    pub v: u8,
    /// When it was made.
    pub made_at: Timestamp,
    /// Schema of the database.
    pub schema: i64,
    /// The database.
    pub database: Part,
    /// The log's key, where there was one.
    pub key: Option<Part>,
    /// The key that is to follow it, where one was waiting.
    pub next_key: Option<Part>,
    /// The sign-in log, where there was one. A backup from before it was copied does not say.
    #[serde(default)]
    pub sign_ins: Option<Part>,
    /// Entries of the log.
    pub log_size: u64,
    /// RFC 6962 root over them, hex.
    pub log_root: String,
    /// Photos, by hash in `photos/`, their copies in `previews/`.
    pub photos: u64,
    /// Bytes of the originals.
    pub photo_bytes: u64,
    /// Voice notes, by hash in `voices/`. A backup from before there were any does not say.
    #[serde(default)]
    pub voices: u64,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, hex.
    pub sha256: String,
}

impl Manifest {
    /// Its files beside the photos, with the name that each has in a data directory.
    fn parts(&self) -> impl Iterator<Item = (&'static str, &Part)> {
        let others = [(KEY, &self.key), (NEXT_KEY, &self.next_key), (SIGN_INS, &self.sign_ins)];
        let others = others.into_iter().filter_map(|(name, part)| Some((name, part.as_ref()?)));
        std::iter::once(("jijia.db", &self.database)).chain(others)
    }
}

/// What a backup did.
#[derive(Clone, Debug)]
pub struct Made {
    /// The manifest as written.
    pub manifest: Manifest,
    /// Sealed files copied now; the others were there.
    pub copied: u64,
    /// Those whose bytes are damaged or missing here and not in the backup either, with what is wrong.
    pub damaged: Vec<String>,
}

/// Makes a backup of the data directory `dir` in `to`, beside a running service.
///
/// # Errors
/// `Conflict` if the copy does not pass the audit, or lacks entries that the backup before has: nothing good is replaced
/// by it. `Unavailable` if there is no database, `NoSpace`, `Internal`. Then the backup before, if any, is as it was.
pub fn backup(
    dir: &Path,
    to: &Path,
    place: &Place,
    rate_mb_s: Option<f64>,
    now: Timestamp,
    bar: &ProgressBar,
) -> Result<Made> {
    let (pace, mut buffer) = (Pace::new(rate_mb_s), vec![0; 1 << 20]);
    std::fs::create_dir_all(to)?;
    let before = to.join(MANIFEST).exists().then(|| read_manifest(to)).transpose()?;
    let (database, [key, next_key]) = loop {
        let keys = read_keys(dir)?;
        let database = copy_database(dir, to, &pace, &mut buffer)?;
        // A key replaced meanwhile is not the one that signed what the copy holds.
        if read_keys(dir)? == keys {
            break (database, keys);
        }
    };
    let conn = open_reading(&to.join(&database.file))?;
    let head = match check_copy(&conn, dir, place, before.as_ref()) {
        Ok(head) => head,
        Err(error) => {
            if before.is_none_or(|b| b.database != database) {
                std::fs::remove_file(to.join(&database.file))?;
            }
            return Err(error);
        }
    };
    let mut made = Made {
        manifest: Manifest {
            v: FORMAT,
            made_at: now,
            schema: SCHEMA,
            database,
            key: key.map(|key| write_part(to, "log", "key", &key)).transpose()?,
            next_key: next_key.map(|key| write_part(to, "log", "key", &key)).transpose()?,
            sign_ins: read(dir, SIGN_INS)?.map(|log| write_part(to, "sign-in", "log", &log)).transpose()?,
            log_size: head.size(),
            log_root: hex::encode(head.root()),
            photos: 0,
            photo_bytes: 0,
            voices: 0,
        },
        copied: 0,
        damaged: Vec::new(),
    };
    let erased = copy_files(&conn, dir, to, &pace, bar, &mut made)?;
    drop(conn);
    finish(to, &made.manifest, &erased)?;
    Ok(made)
}

/// Copies the sealed files that the copy of the database names; gives those that were erased meanwhile.
fn copy_files(
    conn: &Connection,
    dir: &Path,
    to: &Path,
    pace: &Pace,
    bar: &ProgressBar,
    made: &mut Made,
) -> Result<Vec<(Sealed, String)>> {
    let mut buffer = vec![0; 1 << 20];
    // After the database: a file is sealed before its entry, so all that the copy names is there to be read.
    let live = open_reading(&dir.join("jijia.db"))?;
    let mut erased = Vec::new();
    each_file(conn, |sealed| {
        if is_erased(&live, sealed)? {
            erased.push((sealed.kind, sealed.sha256.clone()));
            return Ok(());
        }
        bar.inc(1);
        match sealed.kind {
            Sealed::Photo => {
                made.manifest.photos += 1;
                made.manifest.photo_bytes += sealed.bytes;
            }
            Sealed::Voice => made.manifest.voices += 1,
        }
        for (folder, ending, hash) in sealed.files() {
            let at = |root: &Path| by_hash(&root.join(folder), &sealed.sha256, ending);
            match copy_file(&at(dir), &at(to), hash, pace, &mut buffer)? {
                Copied::Now => made.copied += 1,
                Copied::Before => {}
                Copied::Damaged(what) => {
                    made.damaged.push(format!("{} {}: {what}", sealed.kind, sealed.sha256));
                }
            }
        }
        Ok(())
    })?;
    Ok(erased)
}

/// Copies a backup into the new folder `dir`, every file checked by its hash. Nothing there signs anything yet.
///
/// # Errors
/// `Invalid` for a folder that is no backup, a form that is not known, or a file that is damaged, with its name.
pub fn unpack(from: &Path, dir: &Path, rate_mb_s: Option<f64>, bar: &ProgressBar) -> Result<Manifest> {
    let (pace, mut buffer) = (Pace::new(rate_mb_s), vec![0; 1 << 20]);
    let manifest = read_manifest(from)?;
    if manifest.schema != SCHEMA {
        let message = format!(
            "is of schema {}; allowed: {SCHEMA}; restore it with the jijia that made it",
            manifest.schema
        );
        return Err(Error::invalid(MANIFEST, message));
    }
    for folder in ["", "photos", "previews", "voices", "tmp"] {
        std::fs::create_dir_all(dir.join(folder))?;
    }
    for (name, part) in manifest.parts() {
        let mut file = private(&dir.join(name))?;
        let (sha256, bytes) = pace
            .copy(&from.join(&part.file), &mut file, &mut buffer)
            .map_err(|e| Error::invalid(&part.file, format!("cannot be read: {e}")))?;
        if (&sha256, bytes) != (&part.sha256, part.bytes) {
            return Err(Error::invalid(
                &part.file,
                format!("is damaged: it has {bytes} bytes and the hash {sha256}"),
            ));
        }
        file.sync_all()?;
    }
    let conn = open_reading(&dir.join("jijia.db"))?;
    bar.set_length(manifest.photos + manifest.voices);
    each_file(&conn, |sealed| {
        if is_erased(&conn, sealed)? {
            return Ok(());
        }
        bar.inc(1);
        for (folder, ending, hash) in sealed.files() {
            let at = |root: &Path| by_hash(&root.join(folder), &sealed.sha256, ending);
            if let Copied::Damaged(what) = copy_file(&at(from), &at(dir), hash, &pace, &mut buffer)? {
                return Err(Error::invalid(format!("{} {}", sealed.kind, sealed.sha256), what));
            }
        }
        Ok(())
    })?;
    sync_dir(dir)?;
    Ok(manifest)
}

/// Reads the manifest of a backup.
///
/// # Errors
/// `Invalid` if there is none, or one of another form.
pub fn read_manifest(from: &Path) -> Result<Manifest> {
    let wrong = |what: String| Error::invalid(MANIFEST, what);
    let bytes = std::fs::read(from.join(MANIFEST))
        .map_err(|e| wrong(format!("{} is no backup, or its first was not finished: {e}", from.display())))?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|e| wrong(format!("does not read: {e}")))?;
    if manifest.v != FORMAT {
        return Err(wrong(format!(
            "is of form {}; allowed: {FORMAT}; use the jijia that made it",
            manifest.v
        )));
    }
    Ok(manifest)
}

/// The manifest, and then what no backup needs any more.
fn finish(to: &Path, manifest: &Manifest, erased: &[(Sealed, String)]) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(manifest).map_err(|e| Error::Internal(e.to_string()))?;
    let name = format!("{MANIFEST}.new");
    let mut file = private(&to.join(&name))?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    sync_dir(to)?;
    // Crash before this line: the old manifest and all that it names are there. After it: the new one's are.
    std::fs::rename(to.join(&name), to.join(MANIFEST))?;
    sync_dir(to)?;
    for entry in std::fs::read_dir(to)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let ours = ["jijia-", "log-", "sign-in-"].iter().any(|start| name.starts_with(start));
        if ours && !manifest.parts().any(|(_, part)| part.file == name) {
            std::fs::remove_file(to.join(name))?;
        }
    }
    for (kind, sha256) in erased {
        let copy = (*kind == Sealed::Photo).then_some(("previews", "jpg"));
        for (folder, ending) in std::iter::once((kind.folder(), "bin")).chain(copy) {
            match std::fs::remove_file(by_hash(&to.join(folder), sha256, ending)) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
                _ => {}
            }
        }
    }
    Ok(())
}

fn copy_database(dir: &Path, to: &Path, pace: &Pace, buffer: &mut [u8]) -> Result<Part> {
    let new = to.join("jijia.new");
    // Left by a backup that broke off; and VACUUM INTO takes no file that is there, but an empty one of our rights.
    for ending in ["new", "new-wal", "new-shm", "new-journal"] {
        match std::fs::remove_file(to.join("jijia").with_extension(ending)) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
    }
    drop(private(&new)?);
    let conn = open_reading(&dir.join("jijia.db"))?;
    let path = new.to_str().ok_or_else(|| Error::invalid("dir", "the folder's name is no UTF-8"))?;
    conn.execute("vacuum into ?1", [path]).map_err(store_error)?;
    File::open(&new)?.sync_all()?;
    let (sha256, bytes) = pace.hash(&new, buffer)?;
    let file = format!("jijia-{}.db", &sha256[..16]);
    std::fs::rename(&new, to.join(&file))?;
    sync_dir(to)?;
    Ok(Part { file, bytes, sha256 })
}

/// The key, and the one that is to follow.
fn read_keys(dir: &Path) -> Result<[Option<Vec<u8>>; 2]> {
    Ok([read(dir, KEY)?, read(dir, NEXT_KEY)?])
}

fn read(dir: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    match std::fs::read(dir.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Under a name of its own: the backup before goes on naming its own until the new manifest is there.
fn write_part(to: &Path, start: &str, ending: &str, bytes: &[u8]) -> Result<Part> {
    let sha256 = hex::encode(Sha256::digest(bytes));
    let file = format!("{start}-{}.{ending}", &sha256[..16]);
    let new = to.join("part.new");
    let mut out = private(&new)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    std::fs::rename(&new, to.join(&file))?;
    Ok(Part { file, bytes: bytes.len() as u64, sha256 })
}

/// A new, empty file that only its owner reads: the database has personal data, the key signs.
pub(super) fn private(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok(options.open(path)?)
}

/// Audits the copy, and that the log of the backup before is the beginning of its log.
fn check_copy(conn: &Connection, dir: &Path, place: &Place, before: Option<&Manifest>) -> Result<Head> {
    let known = before.map(|m| {
        let root = hex::decode(&m.log_root).ok().and_then(|root| root.try_into().ok());
        let root = root.ok_or_else(|| Error::invalid(MANIFEST, "log_root is no hash"))?;
        Ok::<_, Error>(KnownHead { whose: "the backup before".into(), size: m.log_size, root })
    });
    let options = Options { heads: known.transpose()?.into_iter().collect(), ..Options::default() };
    let mut first = None;
    let mut say = |finding: &Finding| {
        if !finding.remark {
            first.get_or_insert_with(|| finding.to_string());
        }
    };
    let head = audit_database(conn, dir, place, &options, &ProgressBar::hidden(), &mut say)?;
    match first {
        None => Ok(head),
        Some(finding) => Err(Error::Conflict(format!(
            "nothing was backed up, and a backup before it stays as it is: {finding}. Run `jijia audit`; for a log of its \
             own choose another folder"
        ))),
    }
}
