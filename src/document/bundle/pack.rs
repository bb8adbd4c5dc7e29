//! Files on the disk into the container, in constant memory: measured once, written once, compared on the way.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::evidence::bundle::MANIFEST;
use crate::evidence::bundle::archive::{Archive, MOST_BYTES, Member};

/// Space that stays free beside a bundle.
pub(super) const MARGIN_BYTES: u64 = 256 << 20;
const READ_BYTES: usize = 256 << 10;

/// A member that lies in a file.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    /// The hash that it must have.
    promised: Option<String>,
    /// Its SHA-256 in hex, once measured.
    pub(super) sha256: String,
    /// Name, length and checksum, once measured.
    pub(super) member: Member,
}

impl Part {
    pub(super) fn new(name: String, path: PathBuf) -> Self {
        Self { path, promised: None, sha256: String::new(), member: Member { name, bytes: 0, crc32: 0 } }
    }

    /// A file that must still have this hash.
    pub(super) fn sealed(name: String, path: PathBuf, sha256: String) -> Self {
        Self { promised: Some(sha256), ..Self::new(name, path) }
    }

    fn open(&self) -> Result<File> {
        File::open(&self.path).map_err(|e| self.damaged(&format!("cannot be read ({e})")))
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Internal(format!("{} {what}; run `jijia audit`", self.member.name))
    }
}

/// Reads every part once.
pub(super) fn measure(mut parts: Vec<Part>) -> Result<Vec<Part>> {
    let mut buffer = vec![0; READ_BYTES];
    for part in &mut parts {
        let mut file = part.open()?;
        let (mut sha256, mut crc32) = (Sha256::new(), crc32fast::Hasher::new());
        loop {
            let n = file.read(&mut buffer)?;
            let piece = buffer.get(..n).unwrap_or_default();
            if piece.is_empty() {
                break;
            }
            sha256.update(piece);
            crc32.update(piece);
            part.member.bytes += n as u64;
        }
        part.sha256 = hex::encode(sha256.finalize());
        part.member.crc32 = crc32.finalize();
        if part.promised.as_ref().is_some_and(|promised| *promised != part.sha256) {
            return Err(part.damaged("is not what was sealed"));
        }
        if part.member.bytes > MOST_BYTES {
            return Err(part.damaged("is too large for a bundle"));
        }
    }
    Ok(parts)
}

/// Bytes of all parts.
pub(super) fn total(parts: &[Part]) -> u64 {
    parts.iter().map(|part| part.member.bytes).sum()
}

/// Writes the bundle to `path`, whole or not at all; gives its length.
pub(super) fn write(
    path: &Path,
    parts: &[Part],
    manifest: &[u8],
    seal: &[(&'static str, Vec<u8>)],
) -> Result<u64> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let written = write_new(&new, parts, manifest, seal).and_then(|bytes| {
        std::fs::rename(&new, path)?;
        Ok(bytes)
    });
    if written.is_err() {
        // Nothing to say if it was never there.
        let _ = std::fs::remove_file(&new);
    }
    written
}

fn write_new(new: &Path, parts: &[Part], manifest: &[u8], seal: &[(&'static str, Vec<u8>)]) -> Result<u64> {
    let mut archive = Archive::new(BufWriter::new(File::create(new)?));
    let mut parts = parts.iter();
    for part in parts.by_ref().take(1) {
        archive.add(part.member.clone(), part.open()?)?;
    }
    archive.add(Member::of(MANIFEST, manifest), manifest)?;
    for part in parts {
        archive.add(part.member.clone(), part.open()?)?;
    }
    for (name, bytes) in seal {
        archive.add(Member::of(name, bytes), &bytes[..])?;
    }
    let mut out = archive.finish()?;
    out.flush()?;
    let file = out.into_inner().map_err(|e| Error::from(e.into_error()))?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}
