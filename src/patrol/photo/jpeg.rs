//! JPEG structure (ITU-T T.81 annex B): markers, scans, the end, and what may stand behind it.

use memchr::{memchr, memmem};

use super::{Limits, Result, Size, cut_off, invalid, trailer, unsupported};

/// Cameras write 1 scan, progressive encoders about 10. Each scan walks all blocks again, so thousands of
/// nearly empty ones in a small file would keep a core busy for minutes.
const MAX_SCANS: u32 = 64;

/// One JPEG image, start marker to end marker.
#[derive(Debug)]
pub(super) struct Jpeg {
    /// As the frame header states, not yet held against the limits.
    pub width: u32,
    /// As `width`.
    pub height: u32,
    /// Bytes of memory to decode one pixel: three colours, and a progressive image's coefficients.
    pub bytes_per_pixel: u64,
    /// Whether metadata says that further images follow: MPF (CIPA DC-007) or a Google photo container.
    pub announces_more: bool,
    /// Where the image ends: the first byte after its end marker.
    pub end: usize,
}

/// Reads structure and size; refuses bytes behind the end that are not a camera's known trailer.
pub(super) fn inspect(bytes: &[u8], limits: &Limits) -> Result<Size> {
    let jpeg = walk(bytes)?;
    let size = Size::within(limits, jpeg.width, jpeg.height)?;
    size.affords(jpeg.bytes_per_pixel, limits)?;
    trailer::check(bytes, &jpeg)?;
    Ok(size)
}

/// Walks one image that starts at the first byte.
pub(super) fn walk(bytes: &[u8]) -> Result<Jpeg> {
    let mut jpeg = Jpeg { width: 0, height: 0, bytes_per_pixel: 3, announces_more: false, end: 0 };
    let (mut at, mut scans) = (2, 0);
    loop {
        let marker = next_marker(bytes, &mut at)?;
        match marker {
            0xd9 if scans == 0 => return Err(invalid("the JPEG ends without a picture in it")),
            0xd9 => {
                jpeg.end = at;
                return Ok(jpeg);
            }
            0xd8 => return Err(invalid(format!("a second JPEG starts inside the first, at byte {at}"))),
            // TEM and RSTn stand alone (T.81 B.1.1.3).
            0x01 | 0xd0..=0xd7 => {}
            _ => {
                let body = segment(bytes, &mut at)?;
                match marker {
                    0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                        read_frame(marker, body, &mut jpeg)?;
                    }
                    0xda if jpeg.width == 0 => {
                        return Err(invalid("the JPEG has a scan before its frame header"));
                    }
                    0xda => {
                        scans += 1;
                        at = entropy_end(bytes, at)?;
                    }
                    0xe1 | 0xe2 => jpeg.announces_more |= announces_more(marker, body),
                    _ => {}
                }
            }
        }
        if scans > MAX_SCANS {
            return Err(invalid(format!(
                "the JPEG has more than {MAX_SCANS} scans; allowed: at most {MAX_SCANS}"
            )));
        }
    }
}

/// The next marker code; any number of 0xff may stand before it (T.81 B.1.1.2).
fn next_marker(bytes: &[u8], at: &mut usize) -> Result<u8> {
    let start = *at;
    while bytes.get(*at) == Some(&0xff) {
        *at += 1;
    }
    match bytes.get(*at) {
        None => Err(cut_off("JPEG", bytes.len())),
        Some(&code) if *at > start && code != 0 => {
            *at += 1;
            Ok(code)
        }
        Some(_) => Err(invalid(format!("damaged JPEG: no marker where one must stand, at byte {start}"))),
    }
}

/// The body of a marker segment, without its two length bytes.
fn segment<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8]> {
    let rest = bytes.get(*at..).unwrap_or_default();
    let Some(length) = rest.first_chunk().map(|b| usize::from(u16::from_be_bytes(*b))) else {
        return Err(cut_off("JPEG", bytes.len()));
    };
    if length < 2 {
        return Err(invalid(format!("damaged JPEG: a segment of {length} bytes, at byte {at}")));
    }
    let body = rest.get(2..length).ok_or_else(|| cut_off("JPEG", bytes.len()))?;
    *at += length;
    Ok(body)
}

/// Frame header (T.81 B.2.2): precision, height, width, components with their sampling factors.
fn read_frame(marker: u8, body: &[u8], jpeg: &mut Jpeg) -> Result<()> {
    if !matches!(marker, 0xc0..=0xc2) {
        return Err(unsupported(format!(
            "a JPEG of a coding that cameras do not use (SOF{}); allowed: baseline, extended, progressive",
            marker - 0xc0
        )));
    }
    if jpeg.width != 0 {
        return Err(invalid("damaged JPEG: two frame headers"));
    }
    let &[_, h1, h0, w1, w0, count, ref components @ ..] = body else {
        return Err(invalid("damaged JPEG: the frame header is too short"));
    };
    (jpeg.width, jpeg.height) = (u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into());
    if jpeg.width == 0 || jpeg.height == 0 {
        return Err(invalid("the JPEG does not state its width and height"));
    }
    let factors: Vec<u64> =
        components.chunks_exact(3).map(|c| u64::from((c[1] >> 4) * (c[1] & 15))).collect();
    if factors.len() != usize::from(count) || factors.iter().any(|f| !(1..=16).contains(f)) {
        return Err(invalid("damaged JPEG: the frame header names no usable components"));
    }
    if marker == 0xc2 {
        let most = factors.iter().copied().max().unwrap_or(1);
        // Two bytes for each coefficient of each component.
        jpeg.bytes_per_pixel += (2 * factors.iter().sum::<u64>()).div_ceil(most);
    }
    Ok(())
}

/// Where a scan's coded data stops: at the first marker that is neither stuffing nor a restart.
fn entropy_end(bytes: &[u8], mut at: usize) -> Result<usize> {
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr(0xff, rest)) {
        at += found;
        match bytes.get(at + 1) {
            Some(0x00 | 0xd0..=0xd7) => at += 2,
            Some(0xff) => at += 1,
            Some(_) => return Ok(at),
            None => break,
        }
    }
    Err(cut_off("JPEG", bytes.len()))
}

fn announces_more(marker: u8, body: &[u8]) -> bool {
    match marker {
        0xe2 => body.starts_with(b"MPF\0"),
        _ => memmem::find(body, b"ns.google.com/photos/1.0/container").is_some(),
    }
}
