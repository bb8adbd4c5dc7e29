//! WebM as far as its length needs it (RFC 8794 EBML, RFC 9559 Matroska).

const EBML: u32 = 0x1A45_DFA3;
const DOC_TYPE: u32 = 0x4282;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
/// Nanoseconds in a tick.
const TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
const DURATION: u32 = 0x4489;
const CLUSTER: u32 = 0x1F43_B675;
const TIMESTAMP: u32 = 0xE7;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
const SIMPLE_BLOCK: u32 = 0xA3;
const MILLISECOND: u64 = 1_000_000;

struct Element<'a> {
    id: u32,
    body: &'a [u8],
    rest: &'a [u8],
    /// Where a container's first child begins: its end may be unknown while it is recorded, and stays so.
    inside: &'a [u8],
}

/// The number of bytes that a number's first byte announces.
fn width(first: u8) -> usize {
    first.leading_zeros() as usize + 1
}

fn number(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
}

fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let id_width = width(*bytes.first()?);
    let id = u32::try_from(number(bytes.get(..id_width)?)?).ok()?;
    let bytes = bytes.get(id_width..)?;
    let size_width = width(*bytes.first()?);
    let (size, inside) = (number(bytes.get(..size_width)?)?, bytes.get(size_width..)?);
    let most = 1_u64.checked_shl(7 * u32::try_from(size_width).ok()?)? - 1;
    let length = match size & most {
        unknown if unknown == most => inside.len(),
        known => usize::try_from(known).ok()?.min(inside.len()),
    };
    let (body, rest) = inside.split_at_checked(length)?;
    Some(Element { id, body, rest, inside })
}

/// Whether the file begins as WebM does, and not as another Matroska.
pub(super) fn is_webm(bytes: &[u8]) -> bool {
    let Some(head) = element(bytes).filter(|e| e.id == EBML) else { return false };
    let mut rest = head.body;
    while let Some(part) = element(rest) {
        if part.id == DOC_TYPE {
            return part.body.strip_prefix(b"webm").is_some_and(|pad| pad.iter().all(|b| *b == 0));
        }
        rest = part.rest;
    }
    false
}

/// What it says of its length, else when its last block begins: a browser that records does not go back to its beginning.
pub(super) fn duration_ms(bytes: &[u8]) -> Option<u64> {
    let (mut rest, mut scale, mut cluster, mut last) = (bytes, MILLISECOND, 0_u64, None);
    while let Some(part) = element(rest) {
        rest = part.rest;
        match part.id {
            // Gone into: what follows is a child of it, or stands behind it.
            SEGMENT | INFO | CLUSTER | BLOCK_GROUP => rest = part.inside,
            TIMESTAMP_SCALE => scale = number(part.body)?,
            DURATION => return said_ms(part.body, scale),
            TIMESTAMP => cluster = number(part.body)?,
            BLOCK | SIMPLE_BLOCK => {
                let track = width(*part.body.first()?);
                let since = i16::from_be_bytes(*part.body.get(track..)?.first_chunk()?);
                last = last.max(Some(cluster.saturating_add_signed(since.into())));
            }
            _ => {}
        }
    }
    Some(last?.saturating_mul(scale) / MILLISECOND)
}

fn said_ms(body: &[u8], scale: u64) -> Option<u64> {
    let ticks = match *body {
        [a, b, c, d] => f64::from(f32::from_be_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => return None,
    };
    let ms = ticks * scale as f64 / MILLISECOND as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a small number"
    )]
    (0.0..1e9).contains(&ms).then_some(ms as u64)
}
