//! Photos: every sealed file hashed again, those without an entry and those missing named, folder by folder.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};

use super::{Audit, evidence};
use crate::error::Result;
use crate::evidence::entry::{Entry, PHOTO};
use crate::evidence::merkle::Head;
use crate::store::by_hash;
use crate::store::tx::store_error;

/// Where an interrupted run stands, in the data directory.
const STATE: &str = "audit.state";
/// One folder for each first byte of a hash.
const FOLDERS: u16 = 256;
/// Files hashed at once: reading and hashing overlap, and two cores do not starve the service.
const HASHERS: usize = 2;
/// A photo is sealed a moment before its entry is committed; a file without one is looked for again at this age.
const SEALING: Duration = Duration::from_secs(10);

/// What an audit keeps of the photos done, so that an interrupted one goes on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// The log's size when the interrupted run began; of the same log a later one is at least as long.
    entries: u64,
    /// Folders done.
    folders: u16,
    photos: u64,
    bytes: u64,
    /// Findings on photos, said by the interrupted run.
    findings: u64,
}

/// What was done with the photos.
pub(super) struct Done {
    pub photos: u64,
    pub bytes: u64,
    pub resumed_at: u16,
    pub found_before: u64,
}

/// A file that should be there.
struct Wanted {
    sha256: String,
    path: PathBuf,
    /// The original's hash is its name; a copy has one of its own.
    hash: String,
    bytes: Option<u64>,
}

pub(super) fn check(audit: &mut Audit<'_>, dir: &Path, head: &Head, fresh: bool) -> Result<Done> {
    let path = dir.join(STATE);
    let mut state = std::fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<State>(&bytes).ok())
        .filter(|s| !fresh && s.entries <= head.size() && s.folders < FOLDERS)
        .unwrap_or(State { entries: head.size(), ..State::default() });
    let (resumed_at, found_before) = (state.folders, state.findings);
    let all: f64 =
        audit.conn.query_row("select total(bytes) from photo", [], |r| r.get(0)).map_err(store_error)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for a bar")]
    audit.bar.set_length(all as u64);
    audit.bar.set_position(state.bytes);
    let mut strays = foreign_folders(dir)?;
    for folder in state.folders..FOLDERS {
        let before = audit.findings.get();
        let found = check_folder(audit, dir, folder, &mut strays)?;
        state.photos += found.0;
        state.bytes += found.1;
        state.findings += audit.findings.get() - before;
        state.folders = folder + 1;
        // A stray is looked for again at the end of this run: an interrupted one begins again at its folder.
        if strays.is_empty() && found.0 > 0 {
            save(&path, &state)?;
        }
    }
    check_strays(audit, dir, &strays)?;
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
        _ => {}
    }
    Ok(Done { photos: state.photos, bytes: state.bytes, resumed_at, found_before })
}

/// Crash in here: the old state or the new one stands; a folder is done twice at worst.
fn save(path: &Path, state: &State) -> Result<()> {
    let bytes = serde_json::to_vec(state).map_err(|e| crate::error::Error::Internal(e.to_string()))?;
    let new = path.with_extension("state.new");
    std::fs::write(&new, bytes)?;
    Ok(std::fs::rename(new, path)?)
}

/// Checks the photos of one folder; gives their number and bytes.
fn check_folder(
    audit: &mut Audit<'_>,
    dir: &Path,
    folder: u16,
    strays: &mut Vec<PathBuf>,
) -> Result<(u64, u64)> {
    let name = format!("{folder:02x}");
    // First the files, then the rows: a photo that comes in between has its entry before it is looked for.
    let mut files = list(&dir.join("photos").join(&name))?;
    files.extend(list(&dir.join("previews").join(&name))?);
    let rows = list_rows(audit, &name)?;
    let mut wanted = Vec::new();
    for (sha256, index, body) in rows {
        let erased = evidence::is_erased(audit, index, PHOTO).map_err(store_error)?;
        for file in files_of(dir, &sha256, &body) {
            let there = files.iter().position(|f| *f == file.path).map(|at| files.swap_remove(at));
            match (there, erased) {
                (Some(path), true) => {
                    audit.find("photo", &sha256, format!("{} is there although erased", path.display()));
                }
                (None, false) => {
                    audit.find("photo", &sha256, format!("the file {} is missing", file.path.display()));
                }
                (Some(_), false) => wanted.push(file),
                (None, true) => {}
            }
        }
    }
    strays.extend(files);
    hash_all(audit, &wanted)
}

fn list_rows(audit: &Audit<'_>, folder: &str) -> Result<Vec<(String, i64, Vec<u8>)>> {
    let first = hex::decode(folder).unwrap_or_default();
    // Up to the longest hash that begins so, wherever it ends.
    let last = [&first[..], &[0xff; 32]].concat();
    let mut statement = audit
        .conn
        .prepare_cached(
            "select lower(hex(p.sha256)), p.entry, e.body from photo p join entry e on e.idx = p.entry
             where p.sha256 between ?1 and ?2 order by p.sha256",
        )
        .map_err(store_error)?;
    let rows =
        statement.query_map((first, last), |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).map_err(store_error)?;
    rows.collect::<rusqlite::Result<_>>().map_err(store_error)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|e| Ok(e?.path())).collect(),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e.into()),
    }
}

/// What lies beside the folders that are gone through.
fn foreign_folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = list(&dir.join("photos"))?;
    found.extend(list(&dir.join("previews"))?);
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_dir() && name.len() == 2 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    Ok(found.into_iter().filter(|path| !ours(path)).collect())
}

/// The original, and the viewers' copy where there is one; an entry that does not name its hash leaves it unhashed.
fn files_of(dir: &Path, sha256: &str, body: &[u8]) -> Vec<Wanted> {
    let original = Wanted {
        sha256: sha256.to_owned(),
        path: by_hash(&dir.join("photos"), sha256, "bin"),
        hash: sha256.to_owned(),
        bytes: None,
    };
    match serde_json::from_slice(body) {
        Ok(Entry::Photo { bytes, copy, .. }) => {
            let copy = copy.map(|hash| Wanted {
                sha256: sha256.to_owned(),
                path: by_hash(&dir.join("previews"), sha256, "jpg"),
                hash,
                bytes: None,
            });
            let original = Wanted { bytes: Some(bytes), ..original };
            std::iter::once(original).chain(copy).collect()
        }
        // Found as an entry already.
        _ => vec![original],
    }
}

/// Hashes on [`HASHERS`] threads; findings in order. Gives the number and bytes of the originals.
fn hash_all(audit: &mut Audit<'_>, wanted: &[Wanted]) -> Result<(u64, u64)> {
    let next = AtomicUsize::new(0);
    let (pace, bar) = (&audit.pace, audit.bar);
    let work = || {
        let mut done = Vec::new();
        let mut buffer = vec![0; 1 << 20];
        while let Some(file) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            let hashed = pace.hash(&file.path, &mut buffer);
            if let (Some(_), Ok((_, bytes))) = (file.bytes, &hashed) {
                bar.inc(*bytes);
            }
            done.push((file, hashed));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..HASHERS.min(wanted.len())).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        // A thread here cannot panic; if it did, its files would be missing below and be said so.
        done.extend(others.into_iter().filter_map(|o| o.join().ok()).flatten());
        done
    });
    done.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    let (mut photos, mut all_bytes) = (0, 0);
    for (file, hashed) in done {
        match hashed {
            Ok((hash, bytes)) => {
                if hash != file.hash {
                    audit.find("photo", &file.sha256, format!("{} has the hash {hash}", file.path.display()));
                } else if file.bytes.is_some_and(|b| b != bytes) {
                    audit.find("photo", &file.sha256, format!("has {bytes} bytes, its entry says otherwise"));
                }
                if file.bytes.is_some() {
                    photos += 1;
                    all_bytes += bytes;
                }
            }
            // Erased since it was listed, or a disk that does not read: the second is a finding.
            Err(e) if e.kind() == ErrorKind::NotFound && is_erased_by_now(audit, &file.sha256)? => {}
            Err(e) => audit.find("photo", &file.sha256, format!("{}: {e}", file.path.display())),
        }
    }
    Ok((photos, all_bytes))
}

fn is_erased_by_now(audit: &Audit<'_>, sha256: &str) -> Result<bool> {
    let entry: Option<i64> = audit
        .conn
        .query_row(
            "select entry from photo where sha256 = ?1",
            [hex::decode(sha256).unwrap_or_default()],
            |r| r.get(0),
        )
        .optional()
        .map_err(store_error)?;
    entry.map_or(Ok(false), |e| evidence::is_erased(audit, e, PHOTO)).map_err(store_error)
}

/// Files that no entry named when their folder was read, and that none names now either.
fn check_strays(audit: &mut Audit<'_>, dir: &Path, strays: &[PathBuf]) -> Result<()> {
    let written = |path: &PathBuf| std::fs::metadata(path).and_then(|m| m.modified()).ok();
    if let Some(youngest) = strays.iter().filter_map(written).max() {
        // A time in the future (a clock set back) says nothing.
        let age = youngest.elapsed().unwrap_or(SEALING);
        std::thread::sleep(SEALING.saturating_sub(age));
    }
    for path in strays {
        let within = path.strip_prefix(dir).unwrap_or(path);
        let (sha256, named) = name_of(within);
        let known: bool = audit
            .conn
            .query_row(
                "select exists (select 1 from photo where sha256 = ?1)",
                [hex::decode(&sha256).unwrap_or_default()],
                |r| r.get(0),
            )
            .map_err(store_error)?;
        if path.exists() && !(named && known) {
            audit.find("photo", sha256, format!("{} has no entry", path.display()));
        }
    }
    Ok(())
}

/// The hash that a file's address says, and whether it is the address of a photo or its copy at all.
fn name_of(within: &Path) -> (String, bool) {
    let parts: Vec<_> = within.components().map(|c| c.as_os_str().to_string_lossy()).collect();
    let [room, folder, file] = &parts[..] else { return (within.display().to_string(), false) };
    let (stem, ending) = file.split_once('.').unwrap_or((file, ""));
    (format!("{folder}{stem}"), matches!((room.as_ref(), ending), ("photos", "bin") | ("previews", "jpg")))
}
