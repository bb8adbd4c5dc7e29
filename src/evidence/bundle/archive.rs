//! The container: a ZIP file that has one form. What is written here the verifier writes again and compares.

use std::io::{self, Read, Write};

/// How a local header begins.
pub const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// Length of a local header without the name.
pub const LOCAL_BYTES: usize = 30;
/// Longest member: a size of all ones would mean ZIP64.
pub const MOST_BYTES: u64 = u32::MAX as u64 - 1;

/// Bits of a field that says: look into the ZIP64 record.
const FULL: u64 = u32::MAX as u64;
/// Version 2.0; method, time, date as in every header: stored, 1 January 1980.
const VERSION: [u8; 2] = [20, 0];
const VERSION_64: [u8; 2] = [45, 0];
const FIXED: [u8; 8] = [0x00, 0x08, 0, 0, 0, 0, 0x21, 0];
const COPY_BYTES: usize = 128 << 10;

/// A member of the archive, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its length, at most [`MOST_BYTES`].
    pub bytes: u64,
    /// CRC-32 of its bytes.
    pub crc32: u32,
}

impl Member {
    /// A member that is at hand whole.
    #[must_use]
    pub fn of(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), bytes: bytes.len() as u64, crc32: crc32fast::hash(bytes) }
    }

    fn sizes(&self) -> impl Iterator<Item = u8> {
        let size = low(self.bytes);
        [self.crc32.to_le_bytes(), size, size].into_iter().flatten()
    }

    /// What stands before its bytes.
    #[must_use]
    pub fn local_header(&self) -> Vec<u8> {
        let mut header = Vec::with_capacity(LOCAL_BYTES + self.name.len());
        header.extend(LOCAL);
        header.extend(VERSION);
        header.extend(FIXED);
        header.extend(self.sizes());
        header.extend(short(self.name.len() as u64));
        header.extend([0, 0]);
        header.extend(self.name.as_bytes());
        header
    }

    fn central_header(&self, offset: u64, out: &mut Vec<u8>) {
        let far = offset >= FULL;
        out.extend(*b"PK\x01\x02");
        out.extend(VERSION);
        out.extend(if far { VERSION_64 } else { VERSION });
        out.extend(FIXED);
        out.extend(self.sizes());
        out.extend(short(self.name.len() as u64));
        out.extend(short(if far { 12 } else { 0 }));
        out.extend([0; 10]);
        out.extend(low(offset));
        out.extend(self.name.as_bytes());
        if far {
            out.extend([1, 0, 8, 0]);
            out.extend(offset.to_le_bytes());
        }
    }
}

/// The last four bytes of a number, or all ones where it does not fit.
fn low(number: u64) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

/// The same for two bytes.
fn short(number: u64) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes()
}

/// Central directory and end of an archive with these members.
#[must_use]
pub fn tail(members: &[Member]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut offset = 0;
    for member in members {
        member.central_header(offset, &mut out);
        offset += (LOCAL_BYTES + member.name.len()) as u64 + member.bytes;
    }
    let (count, length) = (members.len() as u64, out.len() as u64);
    if count >= u64::from(u16::MAX) || length >= FULL || offset >= FULL {
        out.extend(*b"PK\x06\x06");
        out.extend(44_u64.to_le_bytes());
        out.extend([VERSION, VERSION_64].concat());
        out.extend([0; 8]);
        [count, count, length, offset].iter().for_each(|n| out.extend(n.to_le_bytes()));
        out.extend(*b"PK\x06\x07\0\0\0\0");
        out.extend((offset + length).to_le_bytes());
        out.extend([1, 0, 0, 0]);
    }
    out.extend(*b"PK\x05\x06\0\0\0\0");
    out.extend([short(count), short(count)].concat());
    out.extend([low(length), low(offset)].concat());
    out.extend([0, 0]);
    out
}

/// Writes an archive, member after member.
#[derive(Debug)]
pub struct Archive<W> {
    out: W,
    members: Vec<Member>,
}

impl<W: Write> Archive<W> {
    /// An archive into `out`, which stands at its beginning.
    pub fn new(out: W) -> Self {
        Self { out, members: Vec::new() }
    }

    /// Adds a member with the bytes of `from`.
    ///
    /// # Errors
    /// Those of both sides; `InvalidData` if the bytes are not those that `member` was made of.
    pub fn add(&mut self, member: Member, mut from: impl Read) -> io::Result<()> {
        let changed = || {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} changed while it was read", member.name))
        };
        self.out.write_all(&member.local_header())?;
        let mut crc32 = crc32fast::Hasher::new();
        let (mut bytes, mut buffer) = (0, vec![0; COPY_BYTES]);
        loop {
            let n = from.read(&mut buffer)?;
            let piece = buffer.get(..n).unwrap_or_default();
            if piece.is_empty() {
                break;
            }
            crc32.update(piece);
            bytes += n as u64;
            self.out.write_all(piece)?;
        }
        if bytes != member.bytes || bytes > MOST_BYTES || crc32.finalize() != member.crc32 {
            return Err(changed());
        }
        self.members.push(member);
        Ok(())
    }

    /// Writes the end and gives the writer back.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&tail(&self.members))?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Seek, SeekFrom};

    #[test]
    fn another_reader_takes_it() {
        let files: Vec<(String, Vec<u8>)> =
            (0..40_u8).map(|n| (format!("文件/{n}.txt"), vec![n; usize::from(n) * 97])).collect();
        let mut archive = Archive::new(Vec::new());
        for (name, bytes) in &files {
            archive.add(Member::of(name, bytes), &bytes[..]).unwrap();
        }
        let mut read = zip::ZipArchive::new(Cursor::new(archive.finish().unwrap())).unwrap();
        assert_eq!(read.len(), files.len());
        for (i, (name, bytes)) in files.iter().enumerate() {
            let mut member = read.by_index(i).unwrap();
            let mut found = Vec::new();
            member.read_to_end(&mut found).unwrap();
            assert_eq!((member.name(), &found), (name.as_str(), bytes));
        }
    }

    /// The far end of an archive of 5 GB, without its middle: another reader finds the members there.
    #[test]
    fn zip64_where_it_does_not_fit() {
        let big = Member { name: "big".into(), bytes: MOST_BYTES, crc32: 0 };
        let far = Member::of("far", b"behind four gigabytes");
        let mut file = tempfile::tempfile().unwrap();
        let offset = (LOCAL_BYTES + 3) as u64 + MOST_BYTES;
        file.write_all(&big.local_header()).unwrap();
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.write_all(&[&far.local_header()[..], b"behind four gigabytes"].concat()).unwrap();
        file.write_all(&tail(&[big, far])).unwrap();
        let mut read = zip::ZipArchive::new(file).unwrap();
        let mut text = String::new();
        read.by_name("far").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "behind four gigabytes");
        let many: Vec<Member> = (0..70_000).map(|n| Member::of(&n.to_string(), b"")).collect();
        let locals: Vec<u8> = many.iter().flat_map(Member::local_header).collect();
        let read = zip::ZipArchive::new(Cursor::new([locals, tail(&many)].concat())).unwrap();
        assert_eq!(read.len(), 70_000);
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_refused() {
        let mut archive = Archive::new(Vec::new());
        let member = Member::of("a", b"before");
        assert!(archive.add(member.clone(), &b"behind"[..]).is_err());
        assert!(archive.add(member, &b"before it"[..]).is_err());
    }
}
