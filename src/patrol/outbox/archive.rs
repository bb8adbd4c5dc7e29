//! A ZIP archive from outside, read member by member into memory and never unpacked: nothing in it says where a file lies.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Component, Path};

use zip::ZipArchive;

use super::Limits;
use crate::error::{Error, Result};

/// Most bytes of the list at the archive's end: 10,000 members with names of 100.
const LIST_MAX_BYTES: u64 = 4 << 20;
/// How an entry of that list begins, and its length without the name.
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_BYTES: usize = 46;

/// An archive whose list of members was looked through.
pub struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// Names of the members that are files, in the order of the list.
    names: Vec<String>,
}

impl Archive {
    /// Opens it.
    ///
    /// # Errors
    /// `Invalid` at `archive` for what is no ZIP, has a name twice or one that leads elsewhere; `TooLarge` past the limits.
    /// The message names the member. `Internal` if the disk fails.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let open = || File::open(path).map(BufReader::new);
        let mut zip = ZipArchive::new(open()?).map_err(|e| wrong(format!("no ZIP that can be read: {e}")))?;
        let listed = check_list(open()?, zip.central_directory_start(), limits)?;
        if listed != zip.len() {
            return Err(wrong(format!(
                "its list has {listed} members, and {} are found; make it anew",
                zip.len()
            )));
        }
        let (mut names, mut unfolded) = (Vec::new(), 0_u64);
        for n in 0..zip.len() {
            let member = zip.by_index_raw(n).map_err(|e| wrong(e.to_string()))?;
            let name = member.name().to_owned();
            unfolded = unfolded.saturating_add(member.size());
            if unfolded > limits.max_unfolded {
                let allowed = limits.max_unfolded;
                return Err(too_large(format!(
                    "unfolds past {allowed} bytes with `{name}`; allowed: {allowed}"
                )));
            }
            if !member.is_dir() {
                names.push(name);
            }
        }
        Ok(Self { zip, names })
    }

    /// Names of the members that are files.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The bytes of a member, at most `max_bytes`.
    ///
    /// # Errors
    /// `NotFound`; `TooLarge`; `Invalid` for one that is damaged, encrypted, or packed in a way that is not taken.
    pub fn read(&mut self, name: &str, max_bytes: u64) -> Result<Vec<u8>> {
        let member = match self.zip.by_name(name) {
            Ok(member) => member,
            Err(zip::result::ZipError::FileNotFound) => {
                return Err(Error::NotFound(format!("{name}: is not in the archive")));
            }
            Err(e) => return Err(Error::invalid(name, format!("cannot be unpacked: {e}"))),
        };
        // What it says of its size is a stranger's word.
        let mut bytes = Vec::new();
        let read = member.take(max_bytes + 1).read_to_end(&mut bytes);
        if bytes.len() as u64 > max_bytes {
            let message = format!("larger than allowed: {max_bytes} bytes");
            return Err(Error::TooLarge { field: name.to_owned(), message });
        }
        read.map_err(|e| Error::invalid(name, format!("is damaged: {e}")))?;
        Ok(bytes)
    }
}

fn wrong(message: String) -> Error {
    Error::invalid("archive", message)
}

fn too_large(message: String) -> Error {
    Error::TooLarge { field: "archive".into(), message }
}

/// Reads the list of members itself, and counts them: the library keeps one of two that share a name, and which is nobody's
/// choice.
fn check_list(mut file: BufReader<File>, start: u64, limits: &Limits) -> Result<usize> {
    file.seek(SeekFrom::Start(start))?;
    let mut list = Vec::new();
    file.take(LIST_MAX_BYTES).read_to_end(&mut list)?;
    let (mut rest, mut seen) = (list.as_slice(), HashSet::new());
    while let Some(entry) = rest.get(..ENTRY_BYTES).filter(|entry| entry.starts_with(ENTRY)) {
        let length = |at: usize| usize::from(u16::from_le_bytes([entry[at], entry[at + 1]]));
        let (name, more) = (length(28), length(30) + length(32));
        let bytes = rest.get(ENTRY_BYTES..ENTRY_BYTES + name).unwrap_or_default();
        let shown = String::from_utf8_lossy(bytes).escape_debug().to_string();
        if leads_elsewhere(bytes) {
            return Err(wrong(format!("member `{shown}`: allowed: plain names inside the archive")));
        }
        if !seen.insert(bytes) {
            return Err(wrong(format!("member `{shown}` stands in it twice; allowed: each name once")));
        }
        if seen.len() > limits.max_members {
            return Err(too_large(format!("more than {} members, from `{shown}` on", limits.max_members)));
        }
        rest = rest.get(ENTRY_BYTES + name + more..).unwrap_or_default();
    }
    if list.len() as u64 == LIST_MAX_BYTES {
        return Err(too_large(format!("its list of members is longer than {LIST_MAX_BYTES} bytes")));
    }
    Ok(seen.len())
}

/// Not a plain path below the archive's root, on any system.
fn leads_elsewhere(name: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(name) else {
        // Chinese systems write names in GBK: only their ASCII can lead anywhere.
        let up = name.split(|b| *b == b'/').any(|part| part.is_empty() || part == b"..");
        return up || name.iter().any(|b| b.is_ascii_control() || *b == b':');
    };
    let plain = |c: Component<'_>| matches!(c, Component::Normal(_));
    text.is_empty()
        || text.contains(['\\', ':'])
        || text.contains(char::is_control)
        || !Path::new(text).components().all(plain)
}
