//! The file member by member, each byte of the container compared with the one that must stand there.

use std::io::{self, ErrorKind, Read};

use sha2::{Digest, Sha256};

use super::Finding;
use crate::evidence::bundle::archive::{LOCAL, LOCAL_BYTES, MOST_BYTES, Member, tail};
use crate::evidence::bundle::{README, SEAL};

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;
/// Longest line: an entry has at most 65,535 bytes, a payload or a path in hexadecimal a few times that.
const LINE_MOST: usize = 1 << 20;

/// Why the check does not go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// The file cannot be read.
    Io(io::Error),
    /// Its beginning is not that of a bundle.
    NotABundle,
    /// From here on it is not known what the bytes are to be.
    Found(Finding),
}

impl Stop {
    pub(super) fn found(code: &'static str, words: String) -> Self {
        Self::Found(Finding { code, words })
    }
}

/// The findings.
#[derive(Debug)]
pub(super) struct Found {
    list: Vec<Finding>,
    most: usize,
    more: u64,
}

impl Found {
    pub(super) fn new(most: usize) -> Self {
        Self { list: Vec::new(), most, more: 0 }
    }

    pub(super) fn add(&mut self, code: &'static str, words: impl Into<String>) {
        self.push(Finding { code, words: words.into() });
    }

    pub(super) fn push(&mut self, finding: Finding) {
        if self.list.len() < self.most { self.list.push(finding) } else { self.more += 1 }
    }

    pub(super) fn len(&self) -> u64 {
        self.list.len() as u64 + self.more
    }

    pub(super) fn into_parts(self) -> (Vec<Finding>, u64) {
        (self.list, self.more)
    }
}

/// SHA-256 in hex and length of a member.
pub(super) type Digested = (String, u64);

/// The file as far as it was read.
pub(super) struct Scan<R> {
    input: R,
    members: Vec<Member>,
    buffer: Vec<u8>,
}

impl<R: Read> Scan<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, members: Vec::new(), buffer: vec![0; READ_BYTES] }
    }

    /// A member whose bytes are only hashed.
    pub(super) fn plain(&mut self, name: &str) -> Result<Digested, Stop> {
        self.member(name, |_| Ok(()))
    }

    /// A member that is kept, at most `most` bytes.
    pub(super) fn whole(&mut self, name: &str, most: u64) -> Result<(Vec<u8>, String), Stop> {
        let mut all = Vec::new();
        let (sha256, _) = self.member(name, |piece| {
            all.extend_from_slice(piece);
            let short = all.len() as u64 <= most;
            short.then_some(()).ok_or_else(|| Stop::found("too-long", format!("{name} 超过 {most} 字节")))
        })?;
        Ok((all, sha256))
    }

    /// A member of lines, each given without its end.
    pub(super) fn lines(&mut self, name: &str, mut each: impl FnMut(&[u8])) -> Result<Digested, Stop> {
        let mut open = Vec::new();
        let digested = self.member(name, |piece| {
            let mut rest = piece;
            while let Some((part, after)) = memchr::memchr(b'\n', rest).and_then(|end| {
                let (part, after) = rest.split_at_checked(end)?;
                Some((part, after.get(1..)?))
            }) {
                rest = after;
                if open.is_empty() {
                    each(part);
                } else {
                    open.extend_from_slice(part);
                    each(&open);
                    open.clear();
                }
            }
            open.extend_from_slice(rest);
            let short = open.len() <= LINE_MOST;
            short
                .then_some(())
                .ok_or_else(|| Stop::found("too-long", format!("{name} 有一行超过 {LINE_MOST} 字节")))
        })?;
        if open.is_empty() {
            return Ok(digested);
        }
        Err(Stop::found("line-end", format!("{name} 的最后一行没有结束")))
    }

    /// The next member, which must have this name; its bytes go to `each` in pieces.
    fn member(
        &mut self,
        name: &str,
        mut each: impl FnMut(&[u8]) -> Result<(), Stop>,
    ) -> Result<Digested, Stop> {
        let member = self.header(name)?;
        let (mut sha256, mut crc32) = (Sha256::new(), crc32fast::Hasher::new());
        let mut left = member.bytes;
        while left > 0 {
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let piece = self.buffer.get_mut(..n).unwrap_or_default();
            read_exact(&mut self.input, piece, name)?;
            sha256.update(&*piece);
            crc32.update(piece);
            each(piece)?;
            left -= n as u64;
        }
        if crc32.finalize() != member.crc32 {
            return Err(Stop::found("crc32", format!("{name} 的校验和（CRC-32）与内容不符")));
        }
        let bytes = member.bytes;
        self.members.push(member);
        Ok((hex::encode(sha256.finalize()), bytes))
    }

    fn header(&mut self, name: &str) -> Result<Member, Stop> {
        let mut header = vec![0; LOCAL_BYTES];
        let first = self.members.is_empty();
        read_exact(&mut self.input, &mut header, name).map_err(|stop| not_yet(stop, first))?;
        let number = |at: usize| {
            let bytes = header.get(at..at + 4).and_then(|b| b.try_into().ok());
            u32::from_le_bytes(bytes.unwrap_or_default())
        };
        let (crc32, bytes) = (number(14), u64::from(number(18)));
        let name_length = header.get(26..28).and_then(|b| b.try_into().ok()).unwrap_or_default();
        let is_local = header.starts_with(&LOCAL);
        let mut found = vec![0; usize::from(u16::from_le_bytes(name_length))];
        if is_local {
            read_exact(&mut self.input, &mut found, name).map_err(|stop| not_yet(stop, first))?;
        }
        if first && (!is_local || found != README.as_bytes()) {
            return Err(Stop::NotABundle);
        }
        if !is_local {
            return Err(Stop::found("member-missing", format!("缺少文件 {name}")));
        }
        if found != name.as_bytes() {
            return Err(self.wrong_name(name, &String::from_utf8_lossy(&found)));
        }
        let member = Member { name: name.to_owned(), bytes, crc32 };
        header.extend(found);
        if header != member.local_header() || bytes > MOST_BYTES {
            return Err(Stop::found("container", format!("{name} 的文件头不是规定的写法")));
        }
        Ok(member)
    }

    fn wrong_name(&self, expected: &str, found: &str) -> Stop {
        if self.members.iter().any(|m| m.name == found) {
            Stop::found("member-twice", format!("文件 {found} 出现两次"))
        } else if SEAL.contains(&found) {
            Stop::found("member-missing", format!("缺少文件 {expected}"))
        } else {
            Stop::found("member-unknown", format!("此处应当是 {expected}，却是 {found}"))
        }
    }

    /// Compares what is left with central directory and end.
    pub(super) fn finish(mut self) -> Result<(), Stop> {
        let wrong = |words: &str| Stop::found("container", words.to_owned());
        for expected in tail(&self.members).chunks(READ_BYTES) {
            let piece = self.buffer.get_mut(..expected.len()).unwrap_or_default();
            read_exact(&mut self.input, piece, "目录")?;
            if piece != expected {
                return Err(wrong("最后一个文件之后不是规定的目录：多了文件，或目录被改动"));
            }
        }
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(Stop::found("trailing", "文件末尾之后还有多余的字节".to_owned())),
            Err(error) => Err(Stop::Io(error)),
        }
    }
}

/// A file that breaks off before the name of its first member is not one of ours.
fn not_yet(stop: Stop, first: bool) -> Stop {
    if first && matches!(stop, Stop::Found(_)) { Stop::NotABundle } else { stop }
}

fn read_exact(input: &mut impl Read, piece: &mut [u8], name: &str) -> Result<(), Stop> {
    input.read_exact(piece).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => Stop::found("truncated", format!("文件在 {name} 处中断")),
        _ => Stop::Io(error),
    })
}
