//! Voice notes (语音) as they arrive: what a file truly is, by its own first bytes. Nothing in it is decoded.
//!
//! Phones record WebM or MP4 as their browser has it, other programs also Ogg. How long it is, is what the container says
//! where that is cheap to find; nobody relies on it.

mod webm;

#[cfg(test)]
mod tests;

use memchr::memmem;

use super::photo::{bmff, foreign};
use crate::error::{Error, Result};

/// Largest recording, bytes. A minute takes 240 KB as the field app records it, and 1.4 MB as the most lavish phone might
/// (AAC, 192 kbit/s).
pub const MAX_BYTES: u64 = 2_000_000;
/// What is taken, in the words of an error message.
const ALLOWED: &str = "audio/webm, audio/ogg, audio/mp4";
/// So long no recording of [`MAX_BYTES`] is: who says more is not believed.
const LONGEST_S: u64 = 3_600;
/// Opus counts by this whatever it was recorded with (RFC 7845, 4).
const OPUS_HZ: u64 = 48_000;

/// What was found in a voice note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    /// `audio/webm`, `audio/ogg` or `audio/mp4`, from the bytes, never from a name.
    pub media_type: &'static str,
    /// Whole seconds, where the container says so.
    pub duration_s: Option<u64>,
}

/// Looks at a voice note.
///
/// # Errors
/// All name `voice`. `TooLarge`: over [`MAX_BYTES`]. `Unsupported`: none of the three containers. `Invalid`: something else
/// at the same time.
pub fn inspect(bytes: &[u8]) -> Result<Voice> {
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("{} bytes; allowed: at most {MAX_BYTES} bytes", bytes.len());
        return Err(Error::TooLarge { field: "voice".to_owned(), message });
    }
    let media_type = media_type(bytes)?;
    if let Some(found) = foreign::second_format(bytes) {
        let message = format!("the file is a recording and {found} at once; allowed: a recording alone");
        return Err(Error::invalid("voice", message));
    }
    let duration_ms = match media_type {
        "audio/webm" => webm::duration_ms(bytes),
        "audio/ogg" => ogg_ms(bytes),
        _ => mp4_ms(bytes),
    };
    let duration_s = duration_ms.map(|ms| ms.saturating_add(500) / 1000).filter(|s| *s <= LONGEST_S);
    Ok(Voice { media_type, duration_s })
}

/// The type by magic bytes at the very start of the file.
fn media_type(bytes: &[u8]) -> Result<&'static str> {
    match bytes {
        _ if webm::is_webm(bytes) => Ok("audio/webm"),
        [b'O', b'g', b'g', b'S', 0, ..] => Ok("audio/ogg"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] if bytes.len() >= 16 && !bmff::is_picture(bytes) => {
            Ok("audio/mp4")
        }
        _ => {
            let found = if bmff::is_picture(bytes) { "a picture" } else { foreign::name_of(bytes) };
            let message = format!("found {found}; allowed: {ALLOWED}");
            Err(Error::Unsupported { field: "voice".to_owned(), message })
        }
    }
}

/// The last page says how many samples there are (RFC 3533, 6; RFC 7845, 4.3).
fn ogg_ms(bytes: &[u8]) -> Option<u64> {
    let last = bytes.get(memmem::rfind(bytes, b"OggS")?..)?;
    let samples = u64::from_le_bytes(*last.get(6..)?.first_chunk()?);
    let segments = usize::from(*bytes.get(26)?);
    let head = bytes.get(27 + segments..)?;
    if !head.starts_with(b"OpusHead") {
        return None;
    }
    let skipped = u16::from_le_bytes(*head.get(10..)?.first_chunk()?);
    Some(samples.checked_sub(u64::from(skipped))?.checked_mul(1000)? / OPUS_HZ)
}

/// The movie header says it (14496-12, 8.2.2); 0 where the recording was written in fragments.
fn mp4_ms(bytes: &[u8]) -> Option<u64> {
    let header = child(child(bytes, b"moov")?, b"mvhd")?;
    let u32_at = |at: usize| Some(u32::from_be_bytes(*header.get(at..)?.first_chunk()?));
    let (per_second, length) = match header.first()? {
        0 => (u32_at(12)?, u64::from(u32_at(16)?)),
        _ => (u32_at(20)?, u64::from_be_bytes(*header.get(24..)?.first_chunk()?)),
    };
    let ms = length.checked_mul(1000)?.checked_div(u64::from(per_second))?;
    Some(ms).filter(|ms| *ms > 0)
}

/// The body of the first box of this kind.
fn child<'a>(bytes: &'a [u8], kind: &[u8]) -> Option<&'a [u8]> {
    let mut rest = bytes;
    loop {
        let part = bmff::first_box(rest)?;
        if part.kind == kind {
            return Some(part.body);
        }
        rest = part.rest;
    }
}
