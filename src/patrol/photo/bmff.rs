//! ISO base media files (ISO/IEC 14496-12): boxes, HEIC pictures, and the videos of motion photos.

use super::{Limits, Result, Size, be_u32, foreign, invalid};

/// Brands of HEVC-coded pictures (ISO/IEC 23008-12 annex B) and of the containers they come in.
const HEIC_BRANDS: [&[u8]; 6] = [b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heif"];
/// The same containers hold AV1 pictures, which are not taken.
const AVIF_BRANDS: [&[u8]; 2] = [b"avif", b"avis"];

pub(in crate::patrol) struct Part<'a> {
    pub kind: &'a [u8],
    pub body: &'a [u8],
    pub rest: &'a [u8],
}

/// The first box of `bytes` (14496-12, 4.2), `None` when no whole one starts there.
pub(in crate::patrol) fn first_box(bytes: &[u8]) -> Option<Part<'_>> {
    let kind = bytes.get(4..8)?;
    let (header, total) = match be_u32(bytes, 0)? {
        0 => (8, bytes.len()),
        1 => (16, usize::try_from(u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?)).ok()?),
        n => (8, usize::try_from(n).ok()?),
    };
    let printable = kind.iter().all(|b| matches!(b, b' '..=b'~' | 0xa9));
    let body = bytes.get(header..total).filter(|_| printable)?;
    Some(Part { kind, body, rest: &bytes[total..] })
}

/// Whether the file begins as a HEIC picture does.
pub(super) fn is_heic(bytes: &[u8]) -> bool {
    // Read from the bytes rather than as a box: a file cut off inside its first box is still a HEIC.
    let length = be_u32(bytes, 0).map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let (Some(b"ftyp"), Some(major)) = (bytes.get(4..8), bytes.get(8..12)) else { return false };
    let compatible = bytes.get(16..length.min(bytes.len())).unwrap_or_default();
    HEIC_BRANDS.contains(&major) && !compatible.chunks_exact(4).any(|brand| AVIF_BRANDS.contains(&brand))
}

/// Whether the file says of itself, first of all, that it is a picture.
pub(in crate::patrol) fn is_picture(bytes: &[u8]) -> bool {
    bytes.get(8..12).is_some_and(|major| HEIC_BRANDS.contains(&major) || AVIF_BRANDS.contains(&major))
}

/// Walks a HEIC file: its boxes must tile it, and a picture's `meta` and its data must be there. The size is the
/// largest one stated (`ispe`): those of tiles, thumbnails and gain maps are smaller. Pixels are not decoded.
pub(super) fn inspect_heic(bytes: &[u8], limits: &Limits) -> Result<Option<Size>> {
    let (mut rest, mut meta, mut has_data) = (bytes, None, false);
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let part = first_box(rest).ok_or_else(|| {
            invalid(format!(
                "cut off or damaged HEIC: its boxes must fill the file; at byte {at} are {} bytes of {}",
                rest.len(),
                foreign::name_of(rest)
            ))
        })?;
        match part.kind {
            b"meta" if meta.is_some() => return Err(invalid("damaged HEIC: two meta boxes")),
            b"meta" => meta = Some(part.body),
            b"mdat" => has_data = true,
            _ => {}
        }
        rest = part.rest;
    }
    let meta = meta
        .and_then(|m| m.get(4..))
        .ok_or_else(|| invalid("the HEIC has no meta box: it holds no picture"))?;
    let parts = children(meta)?;
    if !parts.iter().any(|p| p.kind == b"hdlr" && p.body.get(8..12) == Some(b"pict")) {
        return Err(invalid("the HEIC's meta box does not describe a picture"));
    }
    if !has_data && !parts.iter().any(|p| p.kind == b"idat") {
        return Err(invalid("the HEIC has no picture data (mdat); send the whole file again"));
    }
    largest_extent(&parts)?.map(|(width, height)| Size::within(limits, width, height)).transpose()
}

/// A picture of 50 megapixels has some hundred tiles with a few properties; a list of millions is an attack.
const MAX_CHILDREN: usize = 10_000;

/// All boxes of a body, which must tile it.
fn children(mut body: &[u8]) -> Result<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    while !body.is_empty() {
        let part = first_box(body).ok_or_else(|| invalid("damaged HEIC: boxes do not fill their box"))?;
        body = part.rest;
        parts.push(part);
        if parts.len() > MAX_CHILDREN {
            return Err(invalid(format!("damaged HEIC: more than {MAX_CHILDREN} boxes in one")));
        }
    }
    Ok(parts)
}

/// The largest `ispe` in `iprp` / `ipco` (23008-12, 6.5.3), before any rotation.
fn largest_extent(meta: &[Part<'_>]) -> Result<Option<(u32, u32)>> {
    let mut largest: Option<(u32, u32)> = None;
    for properties in meta.iter().filter(|p| p.kind == b"iprp") {
        for container in children(properties.body)?.iter().filter(|p| p.kind == b"ipco") {
            for extent in children(container.body)?.iter().filter(|p| p.kind == b"ispe") {
                let (Some(w), Some(h)) = (be_u32(extent.body, 4), be_u32(extent.body, 8)) else {
                    return Err(invalid("damaged HEIC: a picture size is too short"));
                };
                let area = |(w, h): (u32, u32)| u64::from(w) * u64::from(h);
                largest = largest.filter(|&l| area(l) >= area((w, h))).or(Some((w, h)));
            }
        }
    }
    Ok(largest)
}

/// Where a video ends that starts at the first byte: `ftyp`, then boxes, `moov` among them. `None`: there is none,
/// or it is cut off before its `moov`.
pub(super) fn movie_end(bytes: &[u8]) -> Option<usize> {
    let mut rest = first_box(bytes).filter(|p| p.kind == b"ftyp")?.rest;
    let mut has_movie = false;
    while let Some(part) = first_box(rest) {
        has_movie |= part.kind == b"moov";
        rest = part.rest;
    }
    has_movie.then_some(bytes.len() - rest.len())
}
