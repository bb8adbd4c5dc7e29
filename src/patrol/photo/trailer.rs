//! What cameras write behind a JPEG's end. It is sealed with the original and never shown; all else behind the
//! end makes the file two things at once and is refused.
//!
//! Sources: MPF CIPA DC-007; Motion Photo 1.0 (developer.android.com/media/platform/motion-photo-format);
//! Samsung, vivo and OnePlus trailers as `ExifTool` documents them. No maker publishes the latter.

use serde::Deserialize;

use super::{Result, bmff, foreign, invalid, jpeg, le_u32};

/// The last bytes of a vivo trailer.
const VIVO_END: &[u8] = b"\xff\xff\xff\xff\x1b*9HWfu\x84\x93\xa2\xb1";

/// Refuses what stands behind the image unless all of it is a camera's.
pub(super) fn check(bytes: &[u8], image: &jpeg::Jpeg) -> Result<()> {
    let mut rest = &bytes[image.end..];
    while let Some(start) = closing_block(rest).or_else(|| closing_block(trim_zeros(rest))) {
        rest = &rest[..start];
    }
    while !rest.is_empty() {
        let zeros = rest.iter().take_while(|&&b| b == 0).count();
        // A movie's length begins with up to three zeros, which are not padding.
        let movie =
            (zeros.saturating_sub(3)..=zeros).find_map(|at| bmff::movie_end(&rest[at..]).map(|n| at + n));
        let behind = &rest[zeros..];
        rest = if let Some(end) = movie {
            &rest[end..]
        } else if behind.is_empty() {
            return Ok(());
        } else if behind.starts_with(&[0xff, 0xd8, 0xff]) && image.announces_more {
            &behind[jpeg::walk(behind)?.end..]
        } else {
            return Err(invalid(format!(
                "{} bytes of {} follow the end of the JPEG, at byte {}; allowed there: \
                 further images the camera announced, a motion photo's video, a known maker's data",
                behind.len(),
                foreign::name_of(behind),
                bytes.len() - behind.len()
            )));
        };
    }
    Ok(())
}

fn trim_zeros(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// Where the block starts that ends with the last byte of `rest`, when a known maker wrote it.
fn closing_block(rest: &[u8]) -> Option<usize> {
    samsung(rest).or_else(|| oneplus(rest)).or_else(|| vivo(rest)).or_else(|| huawei(rest))
}

/// Samsung: blocks, `SEFH` directory of them, the directory's length, `SEFT`. A directory entry is the first four
/// bytes of its block, how far before the directory the block starts, and the block's length.
fn samsung(rest: &[u8]) -> Option<usize> {
    let body = rest.strip_suffix(b"SEFT")?;
    let directory_len = usize::try_from(le_u32(body, body.len().checked_sub(4)?)?).ok()?;
    let directory_at = body.len().checked_sub(4 + directory_len)?;
    let directory = &body[directory_at..body.len() - 4];
    let count = usize::try_from(le_u32(directory, 8)?).ok()?;
    if !directory.starts_with(b"SEFH") || directory_len != count.checked_mul(12)?.checked_add(12)? {
        return None;
    }
    let mut start = directory_at;
    for entry in directory[12..].chunks_exact(12) {
        let back = usize::try_from(le_u32(entry, 4)?).ok()?;
        let length = usize::try_from(le_u32(entry, 8)?).ok()?;
        let block_at = directory_at.checked_sub(back)?;
        let block = body.get(block_at..block_at.checked_add(length)?)?;
        if length > back || block.first_chunk::<4>() != entry.first_chunk::<4>() {
            return None;
        }
        start = start.min(block_at);
    }
    Some(start)
}

/// OnePlus and OPPO: blocks, a JSON list that says how far before it each starts, `jxrs` and the list's length.
fn oneplus(rest: &[u8]) -> Option<usize> {
    #[derive(Deserialize)]
    struct Block {
        offset: usize,
        length: usize,
    }
    let list_len = usize::try_from(le_u32(rest, rest.len().checked_sub(4)?)?).ok()?;
    let list_at = rest.len().checked_sub(list_len)?;
    let json = rest.get(list_at..rest.len().checked_sub(8)?)?;
    if !rest[..rest.len() - 4].ends_with(b"jxrs") {
        return None;
    }
    let blocks: Vec<Block> = serde_json::from_slice(trim_zeros(json)).ok()?;
    let mut start = list_at;
    for block in blocks {
        if block.length > block.offset {
            return None;
        }
        start = start.min(list_at.checked_sub(block.offset)?);
    }
    Some(start)
}

/// vivo: an optional second image behind `streamdata`, then `vivo{"…}` JSON, then a fixed end.
fn vivo(rest: &[u8]) -> Option<usize> {
    let body = rest.strip_suffix(VIVO_END)?;
    let json = memchr::memmem::find(body, b"vivo{\"")?;
    Some(memchr::memmem::find(&body[..json], b"streamdata\xff\xd8\xff").unwrap_or(json))
}

/// Huawei: up to 60 bytes of text behind a moving picture's video, closing with `LIVE_`, digits and blanks
/// (from memory, of files seen).
fn huawei(rest: &[u8]) -> Option<usize> {
    let text_at = rest
        .iter()
        .rposition(|b| !matches!(b, b' ' | b'0'..=b'9' | b'A'..=b'Z' | b'_' | b':' | b'.' | b'v' | b'f'))?
        + 1;
    let text = std::str::from_utf8(&rest[text_at..]).ok()?;
    let (_, number) = text.trim_end().rsplit_once("LIVE_")?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) && text.len() <= 64).then_some(text_at)
}
