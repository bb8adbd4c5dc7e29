//! Photos and voice notes: every sealed file hashed again, those without an entry and those missing named, folder by
//! folder.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};

use super::{Audit, evidence};
use crate::error::Result;
use crate::evidence::entry::{Entry, Kind, Sealed};
use crate::evidence::merkle::Head;
use crate::store::by_hash;
use crate::store::tx::store_error;

/// Where an interrupted run stands, in the data directory.
const STATE: &str = "audit.state";
/// Where sealed files and the copies lie.
const ROOMS: [&str; 3] = ["photos", "previews", "voices"];
/// One folder for each first byte of a hash.
const FOLDERS: u16 = 256;
/// Files hashed at once: reading and hashing overlap, and two cores do not starve the service.
const HASHERS: usize = 2;
/// A file is sealed a moment before its entry is committed; a file without one is looked for again at this age.
const SEALING: Duration = Duration::from_secs(10);

/// What an audit keeps of the files done, so that an interrupted one goes on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// The log's size when the interrupted run began; of the same log a later one is at least as long.
    entries: u64,
    /// Folders done.
    folders: u16,
    tally: Tally,
    /// Findings on files, said by the interrupted run.
    findings: u64,
}

/// What was done with the files.
pub(super) struct Done {
    pub tally: Tally,
    pub resumed_at: u16,
    pub found_before: u64,
}

/// Files as they came that were hashed, and their bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tally {
    pub photos: u64,
    pub voices: u64,
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.photos += other.photos;
        self.voices += other.voices;
        self.bytes += other.bytes;
    }

    fn is_empty(self) -> bool {
        self.photos + self.voices == 0
    }
}

/// A file that should be there.
struct Wanted {
    kind: Sealed,
    sha256: String,
    path: PathBuf,
    /// The original's hash is its name; a copy has one of its own.
    hash: String,
    bytes: Option<u64>,
}

pub(super) fn check(audit: &mut Audit<'_>, dir: &Path, head: &Head, resume: bool) -> Result<Done> {
    let path = dir.join(STATE);
    let mut state = std::fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<State>(&bytes).ok())
        .filter(|s| resume && s.entries <= head.size() && s.folders < FOLDERS)
        .unwrap_or(State { entries: head.size(), ..State::default() });
    let (resumed_at, found_before) = (state.folders, state.findings);
    let all = "select (select total(bytes) from photo) + (select total(bytes) from voice)";
    let all: f64 = audit.conn.query_row(all, [], |r| r.get(0)).map_err(store_error)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for a bar")]
    audit.bar.set_length(all as u64);
    audit.bar.set_position(state.tally.bytes);
    let mut strays = foreign_folders(dir)?;
    for folder in state.folders..FOLDERS {
        let before = audit.findings.get();
        let found = check_folder(audit, dir, folder, &mut strays)?;
        state.tally.add(found);
        state.findings += audit.findings.get() - before;
        state.folders = folder + 1;
        // A stray is looked for again at the end of this run: an interrupted one begins again at its folder.
        if strays.is_empty() && !found.is_empty() {
            save(&path, &state)?;
        }
    }
    check_strays(audit, dir, &strays)?;
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
        _ => {}
    }
    Ok(Done { tally: state.tally, resumed_at, found_before })
}

/// Crash in here: the old state or the new one stands; a folder is done twice at worst.
fn save(path: &Path, state: &State) -> Result<()> {
    let bytes = serde_json::to_vec(state).map_err(|e| crate::error::Error::Internal(e.to_string()))?;
    let new = path.with_extension("state.new");
    std::fs::write(&new, bytes)?;
    Ok(std::fs::rename(new, path)?)
}

/// Checks the files of one folder.
fn check_folder(audit: &mut Audit<'_>, dir: &Path, folder: u16, strays: &mut Vec<PathBuf>) -> Result<Tally> {
    let name = format!("{folder:02x}");
    // First the files, then the rows: one that comes in between has its entry before it is looked for.
    let mut files = Vec::new();
    for room in ROOMS {
        files.extend(list(&dir.join(room).join(&name))?);
    }
    let mut wanted = Vec::new();
    for (kind, sha256, index, body) in list_rows(audit, &name)? {
        let erased = evidence::is_erased(audit, index, kind.as_str()).map_err(store_error)?;
        for file in files_of(dir, kind, &sha256, &body) {
            let there = files.iter().position(|f| *f == file.path).map(|at| files.swap_remove(at));
            match (there, erased) {
                (Some(path), true) => {
                    audit.find(
                        kind.as_str(),
                        &sha256,
                        format!("{} is there although erased", path.display()),
                    );
                }
                (None, false) => {
                    audit.find(
                        kind.as_str(),
                        &sha256,
                        format!("the file {} is missing", file.path.display()),
                    );
                }
                (Some(_), false) => wanted.push(file),
                (None, true) => {}
            }
        }
    }
    strays.extend(files);
    hash_all(audit, &wanted)
}

type FileRow = (Sealed, String, i64, Vec<u8>);

fn list_rows(audit: &Audit<'_>, folder: &str) -> Result<Vec<FileRow>> {
    let first = hex::decode(folder).unwrap_or_default();
    // Up to the longest hash that begins so, wherever it ends.
    let last = [&first[..], &[0xff; 32]].concat();
    let mut all = Vec::new();
    for kind in Sealed::ALL {
        let sql = format!(
            "select lower(hex(f.sha256)), f.entry, e.body from {kind} f join entry e on e.idx = f.entry
             where f.sha256 between ?1 and ?2 order by f.sha256"
        );
        let mut statement = audit.conn.prepare_cached(&sql).map_err(store_error)?;
        let rows = statement
            .query_map((&first, &last), |r| Ok((kind, r.get(0)?, r.get(1)?, r.get(2)?)))
            .map_err(store_error)?;
        for row in rows {
            all.push(row.map_err(store_error)?);
        }
    }
    Ok(all)
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
    let mut found = Vec::new();
    for room in ROOMS {
        found.extend(list(&dir.join(room))?);
    }
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_dir() && name.len() == 2 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    Ok(found.into_iter().filter(|path| !ours(path)).collect())
}

/// The bytes as they came, and the viewers' copy where there is one; an entry that does not name its hash leaves it
/// unhashed.
fn files_of(dir: &Path, kind: Sealed, sha256: &str, body: &[u8]) -> Vec<Wanted> {
    let wanted = |room: &str, ending, hash: &str, bytes| Wanted {
        kind,
        sha256: sha256.to_owned(),
        path: by_hash(&dir.join(room), sha256, ending),
        hash: hash.to_owned(),
        bytes,
    };
    let sealed = |bytes| wanted(kind.folder(), "bin", sha256, bytes);
    match Entry::parse(body).map(|entry| entry.kind) {
        Ok(Kind::Photo { bytes, copy, .. }) => {
            let copy = copy.map(|hash| wanted("previews", "jpg", &hash, None));
            std::iter::once(sealed(Some(bytes))).chain(copy).collect()
        }
        Ok(Kind::Voice { bytes, .. }) => vec![sealed(Some(bytes))],
        // Found as an entry already.
        _ => vec![sealed(None)],
    }
}

/// Hashes on [`HASHERS`] threads; findings in order. Copies are not counted.
fn hash_all(audit: &mut Audit<'_>, wanted: &[Wanted]) -> Result<Tally> {
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
    let mut tally = Tally::default();
    for (file, hashed) in done {
        let table = file.kind.as_str();
        match hashed {
            Ok((hash, bytes)) => {
                if hash != file.hash {
                    audit.find(table, &file.sha256, format!("{} has the hash {hash}", file.path.display()));
                } else if file.bytes.is_some_and(|b| b != bytes) {
                    audit.find(table, &file.sha256, format!("has {bytes} bytes, its entry says otherwise"));
                }
                match (file.bytes, file.kind) {
                    (None, _) => {}
                    (Some(_), Sealed::Photo) => tally.add(Tally { photos: 1, voices: 0, bytes }),
                    (Some(_), Sealed::Voice) => tally.add(Tally { photos: 0, voices: 1, bytes }),
                }
            }
            // Erased since it was listed, or a disk that does not read: the second is a finding.
            Err(e) if e.kind() == ErrorKind::NotFound && is_erased_by_now(audit, file)? => {}
            Err(e) => audit.find(table, &file.sha256, format!("{}: {e}", file.path.display())),
        }
    }
    Ok(tally)
}

fn is_erased_by_now(audit: &Audit<'_>, file: &Wanted) -> Result<bool> {
    let kind = file.kind;
    let entry = entry_of(audit, kind, &file.sha256)?;
    entry.map_or(Ok(false), |e| evidence::is_erased(audit, e, kind.as_str())).map_err(store_error)
}

fn entry_of(audit: &Audit<'_>, kind: Sealed, sha256: &str) -> Result<Option<i64>> {
    let sql = format!("select entry from {kind} where sha256 = ?1");
    audit
        .conn
        .query_row(&sql, [hex::decode(sha256).unwrap_or_default()], |r| r.get(0))
        .optional()
        .map_err(store_error)
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
        let (sha256, kind) = name_of(within);
        let known = kind.map_or(Ok(None), |kind| entry_of(audit, kind, &sha256))?.is_some();
        if path.exists() && !known {
            let table = kind.unwrap_or(Sealed::Photo).as_str();
            audit.find(table, sha256, format!("{} has no entry", path.display()));
        }
    }
    Ok(())
}

/// The hash that a file's address says, and of what it is the address, if it is one at all.
fn name_of(within: &Path) -> (String, Option<Sealed>) {
    let parts: Vec<_> = within.components().map(|c| c.as_os_str().to_string_lossy()).collect();
    let [room, folder, file] = &parts[..] else { return (within.display().to_string(), None) };
    let (stem, ending) = file.split_once('.').unwrap_or((file, ""));
    let kind = match (room.as_ref(), ending) {
        ("photos", "bin") | ("previews", "jpg") => Some(Sealed::Photo),
        ("voices", "bin") => Some(Sealed::Voice),
        _ => None,
    };
    (format!("{folder}{stem}"), kind)
}
