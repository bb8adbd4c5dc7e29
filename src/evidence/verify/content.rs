//! Entries, payloads and readings against each other.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::Proved;
use super::scan::Found;
use crate::evidence::bundle::lines::{PayloadLine, ReadingLine, hash};
use crate::evidence::bundle::{DOCUMENTS, ERASED_PHOTO, Manifest, Photos, document_member};
use crate::evidence::entry::{self, commitment};
use crate::evidence::merkle::{Hash, leaf_hash};
use crate::evidence::proof::verify_inclusion;

/// Longest entry, bytes (C2SP tlog-tiles).
const ENTRY_MOST: usize = 65_535;

/// What of an entry is needed.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) index: u64,
    pub(super) leaf: Hash,
    kind: Kind,
    /// Commitments without a payload so far.
    open: BTreeMap<String, Hash>,
}

/// The fields that the format names, by type of entry; other entries are taken as they are.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Kind {
    Report {
        photos: Vec<String>,
    },
    Correction {
        photos: Vec<String>,
    },
    Photo {
        sha256: String,
        bytes: u64,
        media_type: String,
        /// Of the viewers' copy; an entry from before it said so has none.
        copy: Option<String>,
    },
    Observations {
        count: u64,
        root: String,
    },
    Export {
        format: String,
        sha256: String,
    },
    Erasure {
        target: u64,
        name: String,
    },
    #[serde(other)]
    Other,
}

/// When an entry was received, as it says.
#[derive(Clone, Debug, Deserialize)]
struct Received {
    v: u8,
    received_at: Timestamp,
    clock_behind_s: Option<u64>,
}

#[derive(Deserialize)]
struct Commits {
    #[serde(default)]
    commit: BTreeMap<String, String>,
}

/// Reads `entries.jsonl`.
pub(super) struct EntriesCheck<'a> {
    indexes: &'a [u64],
    facts: Vec<Fact>,
    lines: usize,
    /// The entry before: its index, and when it was received.
    before: Option<(u64, Timestamp)>,
    /// Entries received before the one before them, which somebody has said or nobody had to.
    clock_falls: u64,
    found: &'a mut Found,
}

impl<'a> EntriesCheck<'a> {
    pub(super) fn new(indexes: &'a [u64], found: &'a mut Found) -> Self {
        Self { indexes, facts: Vec::new(), lines: 0, before: None, clock_falls: 0, found }
    }

    pub(super) fn take(&mut self, line: &[u8]) {
        let index = self.indexes.get(self.lines).copied();
        self.lines += 1;
        let Some(index) = index else { return };
        match read_entry(line) {
            Some((kind, open)) => {
                self.check_time(index, line);
                self.facts.push(Fact { index, leaf: leaf_hash(line), kind, open });
            }
            None => self.found.add("entry-form", format!("条目 {index} 不是规定的写法")),
        }
    }

    pub(super) fn finish(self) -> Facts {
        if self.lines != self.indexes.len() {
            let words = format!("清单列出 {} 个条目，文件里有 {} 个", self.indexes.len(), self.lines);
            self.found.add("entry-count", words);
        }
        Facts { list: self.facts, clock_falls: self.clock_falls }
    }

    /// Times do not fall from one entry to the next, but for a clock that was set back: since version 2 the entry says so.
    fn check_time(&mut self, index: u64, line: &[u8]) {
        // An entry without a time was found, or is of a kind that has none here.
        let Ok(Received { v, received_at, clock_behind_s }) = serde_json::from_slice(line) else { return };
        let Some((before, at)) = self.before.replace((index, received_at)) else { return };
        let fallen = entry::clock_behind_s(at.as_millisecond(), received_at.as_millisecond());
        let Some(behind_s) = fallen else { return };
        // Between two that do not follow each other another may have said it.
        if v == 1 || clock_behind_s.is_some() || before + 1 != index {
            self.clock_falls += 1;
        } else {
            let words = format!("条目 {index} 的接收时间比前一条早 {behind_s} 秒，条目自己没有说明");
            self.found.add("clock", words);
        }
    }
}

fn read_entry(line: &[u8]) -> Option<(Kind, BTreeMap<String, Hash>)> {
    if line.len() > ENTRY_MOST {
        return None;
    }
    let kind: Kind = serde_json::from_slice(line).ok()?;
    let commits: Commits = serde_json::from_slice(line).ok()?;
    let open = commits.commit.into_iter().map(|(name, hex)| Some((name, hash(&hex)?)));
    Some((kind, open.collect::<Option<_>>()?))
}

/// What an entry says of a photo.
struct PhotoFact<'a> {
    sha256: &'a str,
    bytes: u64,
    media_type: &'a str,
    copy: Option<&'a str>,
}

/// The entries, ascending by index.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) list: Vec<Fact>,
    clock_falls: u64,
}

impl Facts {
    fn place_of(&self, index: u64) -> Option<usize> {
        self.list.binary_search_by_key(&index, |f| f.index).ok()
    }

    /// Entry and name of what was erased by law.
    fn erased(&self) -> BTreeSet<(u64, &str)> {
        let erased = self.list.iter().filter_map(|f| match &f.kind {
            Kind::Erasure { target, name } => Some((*target, name.as_str())),
            _ => None,
        });
        erased.collect()
    }

    /// Those that are not erased.
    fn photos(&self) -> impl Iterator<Item = PhotoFact<'_>> {
        let erased = self.erased();
        let here = self.list.iter().filter(move |f| !erased.contains(&(f.index, ERASED_PHOTO)));
        here.filter_map(|f| match &f.kind {
            Kind::Photo { sha256, bytes, media_type, copy } => {
                Some(PhotoFact { sha256, bytes: *bytes, media_type, copy: copy.as_deref() })
            }
            _ => None,
        })
    }

    fn exports(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().filter_map(|f| match &f.kind {
            Kind::Export { format, sha256 } => Some((format.as_str(), sha256.as_str())),
            _ => None,
        })
    }

    pub(super) fn photo_members(&self, form: Photos) -> BTreeSet<String> {
        self.photos().filter_map(|p| form.member(p.sha256, p.media_type)).collect()
    }

    pub(super) fn document_members(&self) -> Vec<String> {
        let made = |format: &&str| self.exports().any(|(found, _)| found == *format);
        DOCUMENTS.into_iter().filter(made).map(document_member).collect()
    }

    /// The hashes that entries give of photos and documents, against those of the files.
    pub(super) fn compare_files(&self, manifest: &Manifest, found: &mut Found) {
        let files: BTreeMap<&str, (&str, u64)> =
            manifest.files.iter().map(|f| (f.name.as_str(), (f.sha256.as_str(), f.bytes))).collect();
        for photo in self.photos() {
            let Some(name) = manifest.photos.member(photo.sha256, photo.media_type) else { continue };
            let file = files.get(name.as_str());
            match manifest.photos {
                Photos::Originals if file != Some(&(photo.sha256, photo.bytes)) => {
                    found.add("photo", format!("照片 {name} 不是条目所记的原件"));
                }
                Photos::Copies if photo.copy.is_some() && file.map(|f| f.0) != photo.copy => {
                    found.add("copy", format!("照片 {name} 不是条目所记的副本"));
                }
                _ => {}
            }
        }
        for (format, sha256) in self.exports() {
            let name = document_member(format);
            if files.get(name.as_str()).is_none_or(|(file, _)| *file != sha256) {
                found.add("document", format!("文件 {name} 与存证条目所记的哈希不符"));
            }
        }
    }

    pub(super) fn count(&self, proved: &mut Proved) {
        let erased = self.erased();
        let open = || self.list.iter().flat_map(|f| f.open.keys().map(|name| (f.index, name.as_str())));
        let payloads_erased = open().filter(|o| erased.contains(o)).count() as u64;
        proved.withheld = open().count() as u64 - payloads_erased;
        let photos_erased = erased.iter().filter(|(_, name)| *name == ERASED_PHOTO).count() as u64;
        proved.erased = payloads_erased + photos_erased;
        let here: BTreeSet<&str> = self.photos().map(|p| p.sha256).collect();
        proved.copies = self.photos().filter(|p| p.copy.is_some()).count() as u64;
        let named: BTreeSet<&str> = self
            .list
            .iter()
            .flat_map(|f| match &f.kind {
                Kind::Report { photos } | Kind::Correction { photos } => photos.as_slice(),
                _ => &[],
            })
            .map(String::as_str)
            .collect();
        proved.photos = here.len() as u64;
        proved.photos_missing = (named.difference(&here).count() as u64).saturating_sub(photos_erased);
        proved.documents = self.exports().count() as u64;
        proved.clock_falls = self.clock_falls;
    }
}

/// Reads `payloads.jsonl`.
pub(super) struct PayloadsCheck<'a> {
    facts: &'a mut Facts,
    last: Option<(u64, String)>,
    count: u64,
    found: &'a mut Found,
}

impl<'a> PayloadsCheck<'a> {
    pub(super) fn new(facts: &'a mut Facts, found: &'a mut Found) -> Self {
        Self { facts, last: None, count: 0, found }
    }

    pub(super) fn take(&mut self, line: &[u8]) {
        self.count += 1;
        let n = self.count;
        let Some((line, salt, body)) = read_payload(line) else {
            return self.found.add("payload-form", format!("载荷第 {n} 行不是规定的写法"));
        };
        let place = (line.entry, line.name.clone());
        if self.last.as_ref().is_some_and(|last| *last >= place) {
            self.found.add("payload-order", format!("载荷第 {n} 行的次序不对"));
        }
        self.last = Some(place);
        let fact = self.facts.place_of(line.entry).and_then(|at| self.facts.list.get_mut(at));
        match fact.and_then(|f| f.open.remove(&line.name)) {
            Some(known) if known == commitment(&salt, &body) => {}
            Some(_) => {
                let words = format!("条目 {} 的载荷 {} 与条目中的承诺不符", line.entry, line.name);
                self.found.add("payload", words);
            }
            None => {
                let words = format!("载荷第 {n} 行：包里没有条目 {} 对 {} 的承诺", line.entry, line.name);
                self.found.add("payload", words);
            }
        }
    }

    pub(super) fn finish(self) -> u64 {
        self.count
    }
}

fn read_payload(line: &[u8]) -> Option<(PayloadLine, Vec<u8>, Vec<u8>)> {
    let read: PayloadLine = serde_json::from_slice(line).ok()?;
    let (salt, body) = read.parts()?;
    (serde_json::to_vec(&read).ok()? == line).then_some((read, salt, body))
}

/// Reads `readings.jsonl`.
pub(super) struct ReadingsCheck<'a> {
    facts: &'a Facts,
    last: Option<(u64, u64)>,
    count: u64,
    found: &'a mut Found,
}

impl<'a> ReadingsCheck<'a> {
    pub(super) fn new(facts: &'a Facts, found: &'a mut Found) -> Self {
        Self { facts, last: None, count: 0, found }
    }

    pub(super) fn take(&mut self, line: &[u8]) {
        self.count += 1;
        let n = self.count;
        let Some((line, path)) = read_reading(line) else {
            return self.found.add("reading-form", format!("观测第 {n} 行不是规定的写法"));
        };
        let place = (line.entry, line.pos);
        if self.last.is_some_and(|last| last >= place) {
            self.found.add("reading-order", format!("观测第 {n} 行的次序不对"));
        }
        self.last = Some(place);
        let batch = self.facts.place_of(line.entry).and_then(|at| self.facts.list.get(at));
        let proved = batch.and_then(|f| match &f.kind {
            Kind::Observations { count, root } => {
                let leaf = leaf_hash(line.row.get().as_bytes());
                verify_inclusion(&leaf, line.pos, *count, &path, &hash(root)?).ok()
            }
            _ => None,
        });
        if proved.is_none() {
            let words = format!("观测第 {n} 行：不能证明它在条目 {} 的批次里", line.entry);
            self.found.add("reading", words);
        }
    }

    pub(super) fn finish(self) -> u64 {
        self.count
    }
}

fn read_reading(line: &[u8]) -> Option<(ReadingLine, Vec<Hash>)> {
    let read: ReadingLine = serde_json::from_slice(line).ok()?;
    let row: Vec<Value> = serde_json::from_str(read.row.get()).ok()?;
    let canonical = serde_json::to_vec(&row).ok()? == read.row.get().as_bytes();
    let path = read.hashes().filter(|_| canonical)?;
    (serde_json::to_vec(&read).ok()? == line).then_some((read, path))
}
