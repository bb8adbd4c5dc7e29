//! WebP structure (RFC 9649): one RIFF of exactly the file's size, its chunks filling it.

use super::{Limits, Result, Size, cut_off, foreign, invalid, le_u32, unsupported};

/// Chunks to the end; the size comes from the first, before anything is decoded.
pub(super) fn inspect(bytes: &[u8], limits: &Limits) -> Result<Size> {
    let stated = le_u32(bytes, 4).map_or(0, u64::from) + 8;
    if stated > bytes.len() as u64 {
        return Err(cut_off("WebP", bytes.len()));
    }
    if stated < bytes.len() as u64 {
        let rest = usize::try_from(stated).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        return Err(invalid(format!(
            "{} bytes of {} follow the end of the WebP, at byte {stated}; allowed there: nothing",
            rest.len(),
            foreign::name_of(rest)
        )));
    }
    let (mut at, mut size, mut bytes_per_pixel) = (12, None, 5);
    while at < bytes.len() {
        let length = le_u32(bytes, at + 4).and_then(|n| usize::try_from(n).ok());
        let end = length.and_then(|n| at.checked_add(8)?.checked_add(n)).filter(|&end| end <= bytes.len());
        let end =
            end.ok_or_else(|| invalid(format!("damaged WebP: a chunk leaves the file, at byte {at}")))?;
        let (kind, body) = (&bytes[at..at + 4], &bytes[at + 8..end]);
        if matches!(kind, b"ANIM" | b"ANMF") {
            return Err(unsupported("an animated WebP; allowed: still pictures".to_owned()));
        }
        // Memory to decode, as measured: lossless and transparent pictures are held in several forms at once.
        bytes_per_pixel = bytes_per_pixel.max(match kind {
            b"VP8L" => 8,
            b"ALPH" => 10,
            _ => 0,
        });
        if size.is_none() {
            let (width, height) = stated_size(kind, body)
                .ok_or_else(|| invalid("damaged WebP: the first chunk states no width and height"))?;
            size = Some(Size::within(limits, width, height)?);
        }
        // A chunk of odd length is followed by one byte of padding.
        at = end + (end - at) % 2;
    }
    let size: Size = size.ok_or_else(|| invalid("the WebP has no picture in it"))?;
    size.affords(bytes_per_pixel, limits)?;
    Ok(size)
}

/// Width and height from the first chunk: lossy (RFC 6386, 9.1), lossless (RFC 9649, 3.4) or extended (2.7).
fn stated_size(kind: &[u8], body: &[u8]) -> Option<(u32, u32)> {
    match (kind, body) {
        (b"VP8 ", &[_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..]) => {
            let fourteen_bits = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
            Some((fourteen_bits(w0, w1), fourteen_bits(h0, h1)))
        }
        (b"VP8L", &[0x2f, ..]) => {
            let bits = le_u32(body, 1)?;
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        (b"VP8X", &[_, _, _, _, w0, w1, w2, h0, h1, h2, ..]) => {
            Some((u32::from_le_bytes([w0, w1, w2, 0]) + 1, u32::from_le_bytes([h0, h1, h2, 0]) + 1))
        }
        _ => None,
    }
}
