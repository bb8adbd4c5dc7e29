//! The verifier: whether a file is a good bundle (`evidence::bundle`), from the file alone.
//!
//! One pass, in the order of the file; what is kept in memory are the facts of the entries, never a photo.

mod content;
mod scan;
mod seal;
mod words;

use std::io::Read;

use jiff::Timestamp;

use super::bundle::{self, ENTRIES, FORMAT, FileLine, MANIFEST, Manifest, PAYLOADS, READINGS, README};
use super::checkpoint::Checkpoint;
use super::note::VerifierKey;
use crate::error::Result;
use content::{EntriesCheck, Facts, PayloadsCheck, ReadingsCheck};
use scan::{Found, Scan, Stop};

/// Longest manifest, bytes.
const MANIFEST_MOST: u64 = 64 << 20;
/// Findings that are kept; the others are counted.
const MOST_FINDINGS: usize = 100;

/// What the caller knows from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// The log's key; without one, whoever made the bundle is believed about it.
    pub log: Option<VerifierKey>,
    /// Witnesses that must have cosigned.
    pub witnesses: Vec<VerifierKey>,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// For programs: `proof`, `signature`.
    pub code: &'static str,
    /// For people, in Chinese.
    pub words: String,
}

/// What was found.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Every byte is as the format says.
    Good(Box<Proved>),
    /// It is not; the findings, and how many more there are.
    Broken(Vec<Finding>, u64),
    /// It does not begin like a bundle.
    NotABundle,
}

/// What a good bundle proves, and by what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proved {
    /// Where the data are from: place, filter, cut-off, `demo`.
    pub manifest: Option<Manifest>,
    /// The head of the log that everything is proved against.
    pub checkpoint: Option<Checkpoint>,
    /// Index of the bundle's own entry.
    pub seal_index: u64,
    /// The log's keys that signed.
    pub log_keys: Vec<VerifierKey>,
    /// The caller gave one of them.
    pub key_given: bool,
    /// Witnesses that cosigned, when, and whether the caller gave the key.
    pub witnesses: Vec<(VerifierKey, Timestamp, bool)>,
    /// Payloads disclosed.
    pub payloads: u64,
    /// Payloads and photos that were erased by law, as an entry says.
    pub erased: u64,
    /// Commitments whose payload is not in the bundle.
    pub withheld: u64,
    /// Observations.
    pub readings: u64,
    /// Photos.
    pub photos: u64,
    /// Of them, those whose entry names the viewers' copy.
    pub copies: u64,
    /// Photos that a report names and that had not come.
    pub photos_missing: u64,
    /// Documents.
    pub documents: u64,
    /// Entries received before the one before them: the clock had been set back, as an entry said or had not to say.
    pub clock_falls: u64,
}

/// Checks the file that `input` gives from its first byte.
///
/// # Errors
/// Those of reading `input`; what is wrong with the bundle is the verdict.
pub fn verify(input: impl Read, trusted: &Trusted) -> Result<Verdict> {
    let mut check = Check { trusted, found: Found::new(MOST_FINDINGS), proved: Proved::default() };
    match check.run(Scan::new(input)) {
        Ok(()) => {}
        Err(Stop::Io(error)) => return Err(error.into()),
        Err(Stop::NotABundle) => return Ok(Verdict::NotABundle),
        Err(Stop::Found(finding)) => {
            check.found.push(finding);
            check.found.add("rest-unchecked", "文件从此处起不合格式，其余部分没有再检查");
        }
    }
    let (findings, more) = check.found.into_parts();
    Ok(if findings.is_empty() {
        Verdict::Good(Box::new(check.proved))
    } else {
        Verdict::Broken(findings, more)
    })
}

struct Check<'t> {
    trusted: &'t Trusted,
    found: Found,
    proved: Proved,
}

impl Check<'_> {
    fn run<R: Read>(&mut self, mut scan: Scan<R>) -> std::result::Result<(), Stop> {
        let readme = scan.plain(README)?;
        let (text, manifest_sha256) = scan.whole(MANIFEST, MANIFEST_MOST)?;
        let manifest = self.read_manifest(&text)?;
        let mut entries = EntriesCheck::new(&manifest.entries, &mut self.found);
        let read_entries = scan.lines(ENTRIES, |line| entries.take(line))?;
        let mut facts = entries.finish();
        let names = expected(&manifest, &facts);
        self.compare_names(&names, &manifest.files);
        let mut payloads = PayloadsCheck::new(&mut facts, &mut self.found);
        let read_payloads = scan.lines(PAYLOADS, |line| payloads.take(line))?;
        self.proved.payloads = payloads.finish();
        let mut readings = ReadingsCheck::new(&facts, &mut self.found);
        let read_readings = scan.lines(READINGS, |line| readings.take(line))?;
        self.proved.readings = readings.finish();
        let mut digests = vec![readme, read_entries, read_payloads, read_readings];
        for name in names.iter().skip(digests.len()) {
            digests.push(scan.plain(name)?);
        }
        for (file, digest) in manifest.files.iter().zip(&digests) {
            self.compare_digest(file, digest);
        }
        facts.compare_files(&manifest, &mut self.found);
        facts.count(&mut self.proved);
        let sealed = seal::Sealed { manifest: &manifest, manifest_sha256: &manifest_sha256, facts: &facts };
        sealed.check(&mut scan, self.trusted, &mut self.found, &mut self.proved)?;
        self.proved.manifest = Some(manifest);
        scan.finish()
    }

    fn read_manifest(&mut self, text: &[u8]) -> std::result::Result<Manifest, Stop> {
        let wrong = |what: &str| Stop::found("manifest", format!("{MANIFEST} {what}"));
        let manifest: Manifest =
            serde_json::from_slice(text).map_err(|e| wrong(&format!("读不出来：{e}")))?;
        if serde_json::to_vec(&manifest).ok().as_deref() != Some(text) {
            return Err(wrong("不是规定的写法"));
        }
        if manifest.format != FORMAT {
            return Err(wrong(&format!("的格式是“{}”，本程序只认得 {FORMAT}", manifest.format)));
        }
        let ascending = manifest.entries.is_sorted_by(|a, b| a < b);
        if !ascending || manifest.entries.last().is_some_and(|last| i64::try_from(*last).is_err()) {
            self.found.add("manifest", format!("{MANIFEST} 的条目序号没有按升序排列"));
        }
        let cut_off = manifest.cut_off.parse::<Timestamp>().ok().map(|at| at.to_string());
        if cut_off.as_ref() != Some(&manifest.cut_off) {
            self.found.add("manifest", format!("{MANIFEST} 的截止时间不是规定的写法"));
        }
        Ok(manifest)
    }

    fn compare_names(&mut self, expected: &[String], files: &[FileLine]) {
        let listed: Vec<&String> = files.iter().map(|f| &f.name).collect();
        if listed == expected.iter().collect::<Vec<_>>() {
            return;
        }
        let before = self.found.len();
        for name in expected.iter().filter(|name| !listed.contains(name)) {
            self.found.add("manifest-files", format!("{MANIFEST} 没有列出 {name}，而按条目应当有"));
        }
        for name in listed.iter().filter(|name| !expected.contains(name)) {
            self.found.add("manifest-files", format!("{MANIFEST} 列出了 {name}，而按条目不应当有"));
        }
        if self.found.len() == before {
            self.found.add("manifest-files", format!("{MANIFEST} 的文件次序不对或有重复"));
        }
    }

    fn compare_digest(&mut self, file: &FileLine, (sha256, bytes): &(String, u64)) {
        if *bytes != file.bytes {
            let words = format!("{} 有 {bytes} 字节，清单上是 {}", file.name, file.bytes);
            self.found.add("file-length", words);
        } else if *sha256 != file.sha256 {
            self.found.add("file-hash", format!("{} 的内容与清单上的哈希不符", file.name));
        }
    }
}

/// The members before the seal but the manifest, as they follow from the entries.
fn expected(manifest: &Manifest, facts: &Facts) -> Vec<String> {
    let mut names: Vec<String> =
        bundle::HEAD.iter().filter(|n| **n != MANIFEST).map(|n| (*n).to_owned()).collect();
    names.extend(facts.photo_members(manifest.photos));
    names.extend(facts.document_members());
    names
}
