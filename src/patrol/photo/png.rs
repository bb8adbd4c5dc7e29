//! PNG structure (W3C PNG, 3rd edition, section 5): chunks from the signature to IEND, and nothing behind.

use super::{Limits, Result, Size, be_u32, cut_off, foreign, invalid, unsupported};

/// Chunks up to IEND; the size comes from IHDR before anything is decoded.
pub(super) fn inspect(bytes: &[u8], limits: &Limits) -> Result<Size> {
    let (mut at, mut size, mut coded, mut most_coded) = (8, None, 0_u64, 0);
    loop {
        let length = usize::try_from(be_u32(bytes, at).ok_or_else(|| cut_off("PNG", bytes.len()))?);
        let next = length.ok().and_then(|n| at.checked_add(n)?.checked_add(12)).filter(|&n| n <= bytes.len());
        let next = next.ok_or_else(|| cut_off("PNG", bytes.len()))?;
        let (kind, body) = (&bytes[at + 4..at + 8], &bytes[at + 8..next - 4]);
        match (kind, size) {
            (b"IHDR", None) => {
                let header = header(body, limits)?;
                (size, most_coded) = (Some(header.0), header.1);
            }
            (b"IHDR", Some(_)) | (_, None) => {
                return Err(invalid("damaged PNG: IHDR must stand once, at the start"));
            }
            (b"acTL", _) => return Err(unsupported("an animated PNG; allowed: still pictures".to_owned())),
            // 11.2.2 of the standard; png 0.18.1 takes any length and panics where it expands the colours.
            (b"PLTE", _) if !(3..=768).contains(&body.len()) || !body.len().is_multiple_of(3) => {
                return Err(invalid("damaged PNG: the palette must have 1 to 256 colours of 3 bytes"));
            }
            (b"IDAT", _) => coded += body.len() as u64,
            (b"IEND", Some(size)) => {
                refuse_rest(bytes, next)?;
                if coded > most_coded {
                    return Err(invalid(format!(
                        "{coded} bytes of pixel data; allowed for this width and height: at most {most_coded}"
                    )));
                }
                return Ok(size);
            }
            _ => {}
        }
        at = next;
    }
}

/// Size, and the most bytes its pixel data can take: a deflate stream larger than the pixels uncompressed is
/// there to be inflated for minutes.
fn header(body: &[u8], limits: &Limits) -> Result<(Size, u64)> {
    let (Some(width), Some(height), &[.., depth, colour, _, _, _]) = (be_u32(body, 0), be_u32(body, 4), body)
    else {
        return Err(invalid("damaged PNG: IHDR must have 13 bytes"));
    };
    let size = Size::within(limits, width, height)?;
    let channels = match colour {
        0 | 3 => 1,
        4 => 2,
        2 => 3,
        _ => 4,
    };
    // Each row has a filter byte; interlacing has up to 15/8 of the rows. Stored blocks add 5 bytes in 65,535,
    // weak encoders write smaller ones.
    let row = u64::from(width).saturating_mul(channels * u64::from(depth)).div_ceil(8) + 1;
    let plain = row.saturating_mul(u64::from(height)).saturating_add(u64::from(height) * 8);
    Ok((size, plain + plain / 8 + 4096))
}

fn refuse_rest(bytes: &[u8], end: usize) -> Result<()> {
    let rest = &bytes[end..];
    if rest.is_empty() {
        return Ok(());
    }
    Err(invalid(format!(
        "{} bytes of {} follow the end of the PNG, at byte {end}; allowed there: nothing",
        rest.len(),
        foreign::name_of(rest)
    )))
}
